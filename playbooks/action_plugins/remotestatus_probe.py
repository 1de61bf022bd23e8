"""
Action plugin: probes one remote through Ansible's connection plugin for it.

It writes the answer to the run's private directory, like the SSH probes. The script is sent on standard input if the
plugin supports that, else as an argument of `sh -c`. Errors of the remote or the plugin are an answer, not an error of
the task. The arguments are documented in `library/remotestatus_probe.py`.
"""

from __future__ import annotations

import os
import shlex
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.plugins.action import ActionBase

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from remotestatus_playbook.become import SHELL
from remotestatus_playbook.children import Password, Secret, log_file
from remotestatus_playbook.handed_passwords import asked_passwords
from remotestatus_playbook.host_variables import plain, say_error
from remotestatus_playbook.inventory import become_password, passwords
from remotestatus_playbook.order import root
from remotestatus_playbook.plan import CHECKS, read_checks
from remotestatus_playbook.plugin_probe import (
    PLUGIN_PROBES,
    PluginProbe,
    TimeUp,
    TooMuch,
    answer_of_failure,
    kill_children,
    limited,
    read_brought,
)
from remotestatus_playbook.private_directory import answer_file
from remotestatus_playbook.probe_script import compose
from remotestatus_playbook.protocol import REMOTE_ANSWERS, Outcome, RemoteAnswer
from remotestatus_playbook.ssh_log import KEPT, own_words, tells_log_in
from remotestatus_playbook.workdir import Workdir

_NOWHERE = Path("/dev/null")
"""Ansible keeps standard error."""


class _WrongVariable(Exception):
    """A variable of the inventory that cannot be evaluated, with its name."""


def _learn(password: Password) -> str:
    """The password. Raises _WrongVariable."""
    try:
        return password.learn()
    except Exception as error:
        raise _WrongVariable(f"{password.variable}: {say_error(error)}") from None


def _answer_ssh(probe: PluginProbe, password: Password, workdir: Workdir, name: str) -> Secret:
    """Let our askpass answer the ssh of this process, once, for this host."""
    output = workdir.output(name)
    secret = Secret(password, probe.asked, output.with_name(f"{output.name}.secret"))
    os.environ.update(secret.environment(workdir.tool("askpass")))
    return secret


_BY_PASSWORD = (
    *("-o", "PasswordAuthentication=yes", "-o", "KbdInteractiveAuthentication=yes"),
    *("-o", "PreferredAuthentications=gssapi-with-mic,hostbased,publickey,keyboard-interactive,password"),
)
"""Ansible's ssh plugin forbids these to a host without a password."""


class ActionModule(ActionBase):
    """Probes one remote by Ansible's own connection."""

    _VALID_ARGS = frozenset({"workdir"})

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return only the outcome: the answer is in the private directory."""
        super().run(tmp, task_vars)
        variables = task_vars or {}
        name = str(variables["inventory_hostname"])
        workdir = Workdir(Path(self._task.args["workdir"]))
        probe = PluginProbe.from_json(answer_file(workdir.path, PLUGIN_PROBES, name).read_text())
        checks = tuple(read_checks(plain(variables["hostvars"][name].get(CHECKS)))) if probe.checks else ()
        probe = replace(probe, questions=replace(probe.questions, checks=checks))
        log = log_file(workdir.output(name))
        password = passwords(variables["hostvars"], [name], asked_passwords().connection).get(name)
        secret = _answer_ssh(probe, password, workdir, name) if probe.ssh and password else None
        answer = replace(self._probe(probe, name, variables, log, password), attempts=probe.attempt)
        if trouble := secret.forget() if secret else "":
            answer = RemoteAnswer(Outcome.MISCONFIGURED, stderr=trouble, attempts=probe.attempt)
        log.unlink(missing_ok=True)
        workdir.leave(REMOTE_ANSWERS, name, answer)
        workdir.count(answer.outcome)
        return {"changed": False, "msg": str(answer.outcome)}

    def _probe(
        self, probe: PluginProbe, name: str, variables: dict[str, Any], log: Path, password: Password | None
    ) -> RemoteAnswer:
        """Probe the remote; ssh writes its messages to `log`."""
        try:
            with limited(probe.seconds):
                if probe.ssh:
                    self._lead_through_proxies(probe, by_password=password is not None)
                elif password is not None and self._connection.has_option("password"):
                    self._connection.set_option("password", _learn(password))
                self._hand_over_become_password(name, variables["hostvars"])
                return self._ask(probe)
        except TimeUp:
            said = own_words(log, _NOWHERE)
            return RemoteAnswer(Outcome.TIMED_OUT, stderr=said, logged_in=not probe.ssh or tells_log_in(said))
        except TooMuch:
            return RemoteAnswer(Outcome.TOO_MUCH, logged_in=True)
        except _WrongVariable as error:
            return RemoteAnswer(Outcome.MISCONFIGURED, stderr=str(error))
        except AnsibleError as error:
            words = str(error).strip()[:KEPT]
            if self._is_about_become(words):
                return RemoteAnswer(Outcome.BECOME_FAILED, stderr=words, logged_in=True)
            if not isinstance(error, AnsibleConnectionFailure):
                return answer_of_failure(words)
            if not probe.ssh:
                return RemoteAnswer(Outcome.CONNECTION_FAILED, stderr=words)
            said = own_words(log, _NOWHERE)
            return RemoteAnswer(Outcome.SSH_FAILED, stderr=said or words, logged_in=tells_log_in(said))
        finally:
            kill_children()

    def _ask(self, probe: PluginProbe) -> RemoteAnswer:
        """Run the script. docker and sudo fail alike: then the connection is tried without become, too."""
        doubtful = self._connection.become is not None and not probe.ssh
        try:
            answer = self._run_script(probe)
        except AnsibleError:
            if doubtful and (nowhere := self._leads_nowhere()):
                return nowhere
            raise
        if doubtful and answer.outcome is Outcome.BECOME_FAILED:
            return self._leads_nowhere() or answer
        return answer

    def _leads_nowhere(self) -> RemoteAnswer | None:
        """The answer if the connection cannot start a shell."""
        result = self._low_level_execute_command("exit 0", sudoable=False, executable=False)
        if int(result["rc"]) == 0:
            return None
        words = str(result["stderr"] or result["stdout"]).strip()[:KEPT]
        return RemoteAnswer(Outcome.CONNECTION_FAILED, stderr=words)

    def _run_script(self, probe: PluginProbe) -> RemoteAnswer:
        become = self._connection.become
        pipelines = bool(self._connection.has_pipelining) and (become is None or bool(become.pipelining))
        script = compose(probe.nonce, probe.questions, root())
        command = SHELL if pipelines else f"/bin/sh -c {shlex.quote(script.decode('utf-8', 'surrogateescape'))}"
        asked_at, started = time.time(), time.monotonic()
        result = self._low_level_execute_command(
            command, in_data=script if pipelines else None, executable=False, encoding_errors="surrogateescape"
        )
        taken = time.monotonic() - started
        return read_brought(probe, result, (taken, asked_at, time.time()), become=become is not None)

    def _hand_over_become_password(self, name: str, hostvars: Any) -> None:
        """Evaluate the host's password once; the play hides it from Ansible, which would do so many times."""
        password = become_password(hostvars, name, asked_passwords().become)
        if self._connection.become is not None and password is not None:
            self._connection.become.set_option("become_pass", _learn(password))

    def _lead_through_proxies(self, probe: PluginProbe, *, by_password: bool) -> None:
        """
        Let Ansible's ssh plugin start ssh like the SSH probes, through the open connections.

        It gets no password, because its askpass would answer every ssh, also one to a jump host.
        """
        arguments = shlex.join([*probe.ssh[1:], *(_BY_PASSWORD if by_password else ())])
        words = {"ssh_executable": probe.ssh[0], "ssh_args": arguments, "host": probe.address}
        empty = dict.fromkeys(("ssh_common_args", "ssh_extra_args", "control_path", "password"), "")
        for option, value in {**words, **empty, "reconnection_retries": 0}.items():
            self._connection.set_option(option, value)
        self._connection._play_context.password = ""  # typed, for `-k`
        self._connection.host = probe.address

    def _is_about_become(self, words: str) -> bool:
        """Whether the connection plugin failed because of become, which comes after the log-in."""
        become = self._connection.become
        if become is None or not become.success:
            return False
        names = ("privilege escalation", "become", f"{become.name} password")
        return any(name in words for name in names)
