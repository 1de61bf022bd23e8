"""
Plans the probe of one remote: its command, its time limit, and its questions.

A slow link to its proxy extends the time limit.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from remotestatus_playbook.become import SECONDS, SHELL, Become
from remotestatus_playbook.children import log_file
from remotestatus_playbook.device_probe import Device
from remotestatus_playbook.inventory import Entry
from remotestatus_playbook.probe_script import UNIT_NAME, Check, Questions
from remotestatus_playbook.protocol import (
    CHECK_SECONDS,
    LOG_FILE,
    PREFIX,
    REMOTE_SECONDS,
    Order,
    Outcome,
    ProxyAnswer,
    RemoteAnswer,
    seconds_in,
    whole_unit,
)
from remotestatus_playbook.ssh_commands import look_command, probe_command
from remotestatus_playbook.topology import Hop, Host, Topology, place_of, socket_name
from remotestatus_playbook.workdir import Workdir

_SLOWER = 2
"""
Factor by which a remote's log-in takes longer than its proxy's on a slow link.

It has a few round trips more, and all remotes share one connection, in which the proxy's sshd holds a small packet back
until the one before is acknowledged (Nagle's algorithm): a round trip each, measured 33 s to the proxy's 15.
"""

_FOR_DEVICES = 30
"""Seconds for which a remote's connection stays open to probe its devices."""

_FAR = 5
"""Seconds of additional time from which compression is worth it."""


@dataclass(frozen=True, slots=True)
class ProbePlan:
    """
    How one remote is probed.

    `command` is empty unless it is reached by ssh or is this machine itself; `host` is None unless it is reached by
    ssh, and `hop` the last proxy on the way to it. `kept` is the socket of a kept connection. `answer` is there when it
    cannot be probed at all. `by_plugin`: by Ansible's own connection. `looking`: it is a proxy, probed through its own
    shared connection. `devices` are probed through `kept`, which is `passing` if it is only for them, and `suspect` if
    an earlier attempt may have failed because of it.
    """

    name: str
    seconds: int
    host: Host | None = None
    hop: Hop | None = None
    command: tuple[str, ...] = ()
    questions: Questions = field(default_factory=Questions)
    kept: Path | None = None
    become: Become | None = None
    answer: RemoteAnswer | None = None
    by_plugin: bool = False
    looking: bool = False
    devices: tuple[Device, ...] = ()
    passing: bool = False
    suspect: bool = False
    place: tuple[str, int | None] = ("", None)
    """The address and port that the last proxy connects to."""

    @property
    def asked(self) -> str:
        """How ssh names the host when it asks for its password."""
        return f"{self.host.user or ''}@{self.host.key_name}" if self.host else ""


def plan_probe(
    entry: Entry,
    topology: Topology,
    known_hosts: Path,
    workdir: Workdir,
    order: Order,
    proxies: Mapping[str, ProxyAnswer],
) -> ProbePlan:
    """
    Plan the probe of one remote, now that the `proxies` have answered, by alias.

    A slow link to the proxy extends the remote's time limit.
    """
    hop = topology.last_hop.get(entry.name)
    answer = proxies.get(hop.spec) if hop else None
    far = min(_whole_seconds(entry), _SLOWER * (answer.took_ms or 0) // 1000) if answer else 0
    plan = _begin(entry, topology, order, far)
    if plan.answer:
        return plan
    host = entry.host if entry.connection == "ssh" else None
    if host is not None:
        return _plan_ssh(replace(plan, host=host, hop=hop), host, topology, known_hosts, workdir, order, far)
    return replace(plan, command=_local_command(plan)) if entry.connection == "local" else plan


def plan_look(entry: Entry, hop: Hop, topology: Topology, workdir: Workdir, order: Order) -> ProbePlan:
    """Plan the probe of a proxy that has answered: one exec more through the connection that is open."""
    plan = replace(_begin(entry, topology, order), host=entry.host, looking=True)
    if plan.answer:
        return plan
    socket, log = workdir.control / hop.socket, log_file(workdir.output(entry.name))
    command = look_command(hop, config=workdir.config_for(hop.config), control=socket, log=log)
    questions = replace(plan.questions, listeners=not order.asks_again(entry.name))
    return replace(plan, command=tuple(command), questions=questions, kept=socket)


def _begin(entry: Entry, topology: Topology, order: Order, far: int = 0) -> ProbePlan:
    """The plan without a command, and without questions if it cannot be probed."""
    plan = ProbePlan(
        name=entry.name,
        seconds=order.seconds_of(_whole_seconds(entry)) + far,
        become=entry.become,
        by_plugin=entry.by_plugin,
    )
    if problem := problem_of(entry, topology):
        return replace(plan, answer=RemoteAnswer(Outcome.MISCONFIGURED, stderr=problem))
    if entry.unsupported:
        return replace(plan, answer=RemoteAnswer(Outcome.UNSUPPORTED, stderr=entry.unsupported))
    devices = () if order.asks_again(entry.name) else tuple(_devices_of(entry))
    return replace(plan, questions=_questions_for(entry, order), devices=devices)


def _whole_seconds(entry: Entry) -> int:
    return _seconds_of(entry.variables.get(f"{PREFIX}timeout"), REMOTE_SECONDS)


def problem_of(entry: Entry, topology: Topology, *, only_passed: bool = False) -> str:
    """
    The problems of one host's variables, by name; may be empty.

    A proxy that is `only_passed` needs none of our own variables.
    """
    wrong = (one for one in entry.problems if not (only_passed and one[0].startswith(PREFIX)))
    problems = [f"{variable}: {sentence}" for variable, sentence in wrong]
    wrong_way = topology.problems.get(entry.name)
    return "; ".join([*problems, *([f"ansible_ssh_common_args: {wrong_way}"] if wrong_way else [])])


def _local_command(plan: ProbePlan) -> tuple[str, ...]:
    if plan.become is None:
        return ("/bin/sh", "-s")
    return ("/bin/sh", "-c", plan.become.command.replace(SECONDS, str(plan.seconds))) if plan.become.command else ()


def _plan_ssh(
    plan: ProbePlan, host: Host, topology: Topology, known_hosts: Path, workdir: Workdir, order: Order, far: int
) -> ProbePlan:
    # On a slow link the list of processes takes several round trips; compressed it takes one.
    options = ["-o", "Compression=yes"] if order.attempt > 1 or far > _FAR else []
    # Two remotes may both be 127.0.0.1:8001, behind different proxies.
    keep_seconds = order.keep_seconds or (_FOR_DEVICES if plan.devices else 0)
    kept = workdir.control / socket_name((host, plan.hop and plan.hop.socket)) if keep_seconds else None
    # Later attempts do not use it: a kept connection may be dead without notice.
    again = order.attempt > 1 and not order.asks_again(plan.name)
    if kept and not again and not order.fresh:
        ours = ("ControlMaster=auto", f"ControlPersist={keep_seconds}", f"ControlPath={kept}")
        options = [word for option in ours for word in ("-o", option)]
    command = probe_command(
        host,
        topology,
        config=workdir.config_for(host.options.config, behind=plan.hop is not None),
        known_hosts=known_hosts,
        options=options,
        # The handshake takes most of the time; one more exchange and the probe are left.
        seconds=max(3, plan.seconds * 3 // 4),
        log=log_file(workdir.output(plan.name)),
        shell=plan.become.command if plan.become and plan.become.command else SHELL,
    )
    return replace(
        plan,
        command=tuple(command),
        kept=kept,
        suspect=again,
        passing=not order.keep_seconds,
        place=place_of(host, topology),
    )


CHECKS = f"{PREFIX}checks"
"""The variable with the commands that are run on a remote, which may hold passwords."""


def _questions_for(entry: Entry, order: Order) -> Questions:
    """The questions to the remote beyond facts and processes."""
    if order.asks_again(entry.name):
        # These names come from the remote.
        units = tuple(unit for unit in order.units.get(entry.name, ()) if UNIT_NAME.fullmatch(unit))
        paths = tuple(path for path in order.last_lines.get(entry.name, ()) if LOG_FILE.fullmatch(path))
        return Questions(units=units, journal=True, last_lines=paths)
    return Questions(
        tuple(read_checks(entry.variables.get(CHECKS))),
        tuple(_files_of(entry)),
        tuple(unit for one in _listed(entry, "units") if (unit := _unit_of(one))),
        hourly=entry.name in order.hourly,
        log_files=entry.name in order.log_files,
    )


def _listed(entry: Entry, name: str) -> list[Any]:
    """The entries of a variable that may also be a single one."""
    value = entry.variables.get(f"{PREFIX}{name}") or []
    return value if isinstance(value, list) else [value]


def _unit_of(entry: Any) -> str | None:
    """The whole name of a unit that is asked for; none where `failed` is."""
    unit = entry if isinstance(entry, str) else entry.get("unit")
    return None if unit is None else whole_unit(str(unit))


def _files_of(entry: Entry) -> Iterator[tuple[str, str]]:
    for file in _listed(entry, "files"):
        path = file if isinstance(file, str) else str(file["path"])
        yield (path if isinstance(file, str) else str(file.get("name") or path)).strip(), path


def _devices_of(entry: Entry) -> Iterator[Device]:
    for device in _listed(entry, "devices"):
        name = str(device.get("name") or f"{device['host']}:{device['port']}").strip()
        yield Device(
            name,
            str(device["host"]).strip(),
            int(device["port"]),
            tls=str(device.get("tls", False)).lower() in ("true", "yes", "1"),
        )


def read_checks(value: Any) -> Iterator[Check]:
    """The checks that the inventory writes for a host, one or a list of them."""
    for check in value if isinstance(value, list) else [value] if value else []:
        seconds = _seconds_of(check.get("timeout"), CHECK_SECONDS)
        yield Check(str(check["name"]), str(check["command"]), seconds)


def _seconds_of(value: object, default: int) -> int:
    """Read a timeout as the inventory writes it: seconds, or a duration such as 1m30s; else the default."""
    text = str(value).strip()
    try:
        return max(1, int(text) if text.isdigit() else seconds_in(text))
    except ValueError:
        return default
