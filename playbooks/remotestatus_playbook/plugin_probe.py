"""
The input and the result of a probe by Ansible's own connection.

The play over all hosts writes a PluginProbe for each remote that needs a connection plugin; the play over those remotes
reads it, and makes an answer of the plugin's result. It contains no passwords.
"""

import json
import os
import re
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from remotestatus_playbook.host_variables import say_error
from remotestatus_playbook.output_limits import PLUGIN_MEMORY_BYTES
from remotestatus_playbook.plan import ProbePlan
from remotestatus_playbook.probe_output import parse
from remotestatus_playbook.probe_script import Questions
from remotestatus_playbook.protocol import Outcome, RemoteAnswer

BY_PLUGIN = "remotestatus_by_plugin"
"""The group of these remotes, which the play over all hosts fills."""

PLUGIN_PROBES = "plugin-probes"
"""The folder of the PluginProbes in the private directory."""

_TICK_SECONDS = 0.1
_FAREWELL = re.compile(r"^(Shared c|C)onnection to \S+ closed\.\s*$", re.MULTILINE)
"""ssh's message when a terminal is closed. With one, errors are part of the output."""

_NO_TERMINAL = "does not provide a TTY"
_OUR_VARIABLES = re.compile(r"undefined|template|could not be converted|invalid value|lookup|vault", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class PluginProbe:
    """
    The probe of one remote by Ansible's own connection.

    `questions` are without checks: their commands may hold passwords, and this is a file. `checks` tells whether there
    are any. `ssh` are the words with which ssh is started, and `address` where it connects to; both are empty for any
    other plugin, and so is `asked`, which is what ssh calls the host when it asks for its password. `attempt` is its
    number in the round.
    """

    seconds: int
    attempt: int
    nonce: str
    questions: Questions
    checks: bool = True
    ssh: Sequence[str] = ()
    address: str = ""
    asked: str = ""

    @classmethod
    def of(cls, plan: ProbePlan, *, attempt: int, nonce: str) -> "PluginProbe":
        """The PluginProbe of a plan."""
        questions = replace(plan.questions, checks=())
        # The last words are `--`, the address, and the shell.
        ssh, address = (plan.command[:-3], plan.command[-2]) if plan.host else ((), "")
        return cls(plan.seconds, attempt, nonce, questions, bool(plan.questions.checks), ssh, address, plan.asked)

    @classmethod
    def from_json(cls, text: str) -> "PluginProbe":
        """Read what `to_json` wrote."""
        values = json.loads(text)
        return cls(**{**values, "questions": Questions(**values["questions"])})


def read_brought(
    probe: PluginProbe, result: Mapping[str, Any], times: tuple[float, float, float], *, become: bool
) -> RemoteAnswer:
    """
    The answer for the plugin's result: exit code and output, as from Ansible.

    `times` are how many seconds it took, and when it was asked and answered (POSIX); `become` tells whether the user
    was to be changed.
    """
    code = int(result["rc"])
    out, err = (str(result[name]).encode("utf-8", "surrogateescape") for name in ("stdout", "stderr"))
    said = err.decode("utf-8", "replace")
    if b"[" + probe.nonce.encode() + b":frame\r\n" in out:
        out = out.replace(b"\r\n", b"\n")  # a terminal's
    output = parse(out, probe.nonce)
    answer = output.answer_of(*times)
    if answer is not None:
        return answer
    words = _FAREWELL.sub("", said).strip() or output.noise
    if become and not output.frame and code not in (0, 255):
        return RemoteAnswer(Outcome.BECOME_FAILED, stderr=words, logged_in=True)
    if not (probe.ssh or out) and code != 0:
        # The plugin's program (docker, kubectl) prints why it failed.
        return RemoteAnswer(Outcome.CONNECTION_FAILED, stderr=words)
    return RemoteAnswer(Outcome.NO_PROBE_OUTPUT, stderr=said, noise=output.noise, frame=output.frame, logged_in=True)


def answer_of_failure(words: str) -> RemoteAnswer:
    """The answer for a task that failed before its probe: by a variable, or a missing dependency."""
    if _NO_TERMINAL in words:
        sentence = say_error(words).rstrip(".")
        return RemoteAnswer(Outcome.MISCONFIGURED, stderr=f"ansible_become_method: {sentence}")
    outcome = Outcome.MISCONFIGURED if _OUR_VARIABLES.search(words) else Outcome.ERROR
    return RemoteAnswer(outcome, stderr=say_error(words))


class TimeUp(BaseException):
    """A probe timed out. It is no Exception, because plugins catch those and retry."""


class TooMuch(BaseException):
    """The other end's output is too large."""


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Interrupt the block with TimeUp at its time limit, or TooMuch at its memory limit."""
    end = time.monotonic() + seconds
    most = _resident() + PLUGIN_MEMORY_BYTES

    def tick(_number: int, _frame: object) -> None:
        if time.monotonic() > end:
            raise TimeUp
        if _resident() > most:
            raise TooMuch

    before = signal.signal(signal.SIGALRM, tick)
    signal.setitimer(signal.ITIMER_REAL, _TICK_SECONDS, _TICK_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _resident() -> int:
    """How much memory this process takes, in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def kill_children() -> None:
    """End all descendants, which a plugin may have left running."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError, IndexError):
            parents[int(stat.parent.name)] = int(stat.read_text(errors="replace").rpartition(") ")[2].split()[1])
    ours = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in ours and pid not in ours}:
        ours |= more
    for pid in ours - {os.getpid()}:
        with suppress(OSError):
            os.kill(pid, signal.SIGKILL)
