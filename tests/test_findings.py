"""
Findings: one trouble for each thing that is wrong, with its severity, and how several are written together.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from pydantic import TypeAdapter
from remotestatus_playbook.machine_facts import Disk, Facts
from remotestatus_playbook.protocol import CheckOutput, DeviceOutput, Outcome, Process, RemoteAnswer

from remotestatus.evaluate.check_results import read_remote
from remotestatus.evaluate.finding_states import REMEMBERED, unseen_findings
from remotestatus.evaluate.state_machine import next_state
from remotestatus.model.causes import Cause
from remotestatus.model.check_result import CheckResult, Trouble, most_severe_first, summarize
from remotestatus.model.fleet import Remote
from remotestatus.model.inventory_variables import RemoteSettings
from remotestatus.model.states import Kind, Policy, State
from remotestatus.model.status_words import Severity, Status

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def check(settings: Mapping[str, object], **answer: object) -> CheckResult:
    """The check result of a remote with these settings that answered so."""
    remote = Remote("box", (), RemoteSettings.model_validate(settings), path=("jump",))
    values = {"facts": Facts(), "processes": (), "processes_complete": True} | answer
    return read_remote(remote, RemoteAnswer(Outcome.ANSWERED, **values), NOW)  # type: ignore[arg-type]


def process(*argv: str) -> Process:
    return Process(7, 1, "me", "S", None, None, argv, True, False, False)


def test_each_finding_is_one_trouble_and_the_most_severe_comes_first() -> None:
    """Processes, limits and checks make one trouble each, with what it is about; critical before warning."""
    result = check(
        {
            "processes": [{"name": "logger", "command": "logger", "severity": "warning"}, "encoder", "web --port 80"],
            "limits": {"disk": "90%"},
            "checks": [{"name": "queue", "command": "-"}, {"name": "lamp", "command": "-"}],
        },
        facts=Facts(disks=(Disk("/", 100, 97, 97.0), Disk("/srv", 100, 7, 7.0))),
        checks=(CheckOutput("queue", 1, "WARNING: long"), CheckOutput("lamp", 2, "CRITICAL: off")),
    )
    assert [(*trouble.key, trouble.severity.value) for trouble in result.troubles] == [
        (Cause.PROCESS_MISSING, "encoder", "critical"),
        (Cause.PROCESS_MISSING, "web --port 80", "critical"),
        (Cause.CHECK_FAILED, "lamp", "critical"),
        (Cause.PROCESS_MISSING, "logger", "warning"),
        (Cause.LIMIT_EXCEEDED, "disk /", "warning"),
        (Cause.CHECK_FAILED, "queue", "warning"),
    ]
    assert result.status is Status.DEGRADED


@pytest.mark.parametrize(
    ("output", "severity", "words"),
    [
        (CheckOutput("c", 1, "slow"), Severity.WARNING, "WARNING: slow"),
        (CheckOutput("c", 2, "off"), Severity.CRITICAL, "CRITICAL: off"),
        (CheckOutput("c", 3, "no idea"), Severity.WARNING, "UNKNOWN: no idea"),
        (CheckOutput("c", 127, ""), Severity.WARNING, "exit code 127"),
        (CheckOutput("c", None, ""), Severity.CRITICAL, "did not end within"),
    ],
)
def test_a_plugin_says_by_its_exit_code_how_bad_it_is(output: CheckOutput, severity: Severity, words: str) -> None:
    """1 is a warning, 2 critical, 3 a warning that says unknown; one that does not end is critical."""
    (trouble,) = check({"checks": [{"name": "c", "command": "-"}]}, checks=(output,)).troubles
    assert trouble.severity is severity
    assert words in trouble.message


def test_the_worst_of_several_severities_is_found_by_comparing() -> None:
    """Severities are in order, as numbers are: `max` is the worst, whatever the letters say."""
    assert max(Severity) is Severity.CRITICAL
    assert sorted(Severity, reverse=True) == [Severity.CRITICAL, Severity.WARNING]
    assert Severity.WARNING < Severity.CRITICAL
    assert Severity.WARNING <= Severity.WARNING
    assert Severity.CRITICAL >= Severity.WARNING
    down = Trouble(Cause.TUNNEL_DOWN, "", severity=Severity.CRITICAL)
    warning = Trouble(Cause.CHECK_FAILED, "", severity=Severity.WARNING)
    assert most_severe_first([warning, Trouble(Cause.NOT_CHECKED, ""), down])[0] is down


def test_several_findings_of_one_cause_are_read_as_a_short_list() -> None:
    """Twenty missing processes are one sentence that names six and counts the rest; two severities are two."""
    names = [f"p{number}" for number in range(20)]
    settings = {"processes": [*names, {"name": "extra", "command": "ls", "max": 1, "severity": "warning"}]}
    result = check(settings, processes=(process("ls"), process("ls")))
    assert len(result.troubles) == 21
    assert [trouble.message for trouble in summarize(result.troubles)] == [
        "Not running: p0, p1, p2, p3, p4, p5 and 14 more.",
        "Running too often: extra (2 run, at most 1 wanted).",
    ]
    several = [
        replace(one, detail=f"why {number // 2}" if number else "", log=(f"line {number // 2}",))
        for number, one in enumerate(result.troubles[:5])
    ]
    (listed,) = summarize(several)
    assert (listed.detail, listed.log) == ("why 0; why 1; why 2", ("line 0", "line 0", "line 1", "line 2"))
    (down,) = read_remote(Remote("box", (), RemoteSettings()), RemoteAnswer(Outcome.SSH_FAILED), NOW).troubles
    assert summarize([down]) == (down,)
    change = next_state(Kind.REMOTE, "box", None, result.troubles, Policy(), NOW)
    assert change.state.troubles == result.troubles
    assert change.seen
    assert change.seen.trouble
    assert "p5 and 14 more" in change.seen.trouble.message


def test_what_an_older_version_recorded_is_read_on() -> None:
    """A state and a check result without `what`, severity and phrase are read as they were, and count as critical."""
    trouble = {"cause": "process-missing", "message": "Not running: a, b.", "hint": "", "detail": "", "proxy": ""}
    moment = "2026-03-01T12:00:00Z"
    old_state = {"kind": "remote", "name": "box", "status": "degraded", "since": moment, "seen_at": moment}
    state = TypeAdapter(State).validate_json(json.dumps({**old_state, "troubles": [trouble]}))
    assert state.troubles == (Trouble(Cause.PROCESS_MISSING, "Not running: a, b."),)
    assert summarize(state.troubles) == state.troubles
    old_process = {"name": "a", "running": False, "count": 0, "min": 1, "max": None}
    old_finding = {"kind": "limit", "name": "disk /", "ok": False, "value": "97 %"}
    old_result = {"name": "box", "at": moment, "processes": [old_process], "findings": [old_finding]}
    result = TypeAdapter(CheckResult).validate_json(json.dumps(old_result))
    assert result.processes[0].severity is Severity.CRITICAL
    assert not result.findings[0].ok


WATCHED = {
    "processes": ["encoder"],
    "limits": {"disk": "90%", "inodes": "90%", "swap": "50%", "temperature": "80", "disk_full_within": "3d"},
    "checks": [{"name": "queue", "command": "-"}],
    "files": [{"name": "recordings", "path": "/srv/*.mp4", "newer_than": "15m"}],
    "units": ["capture.service", {"failed": "none"}],
    "devices": [{"name": "camera", "host": "192.0.2.20", "port": 554}],
}
DISKS = (Disk("/", 100, 7, 7.0),)
ONCE = Policy()


def after(before: State | None, settings: Mapping[str, object], policy: Policy = ONCE, **answer: object) -> State:
    """The state after a round in which a remote with these settings answered so."""
    remote = Remote("box", (), RemoteSettings.model_validate(settings), path=("jump",))
    result = check(settings, **answer)
    unseen = unseen_findings(remote, result, before)
    return next_state(Kind.REMOTE, "box", before, result.troubles, policy, NOW, unseen).state


def broken(*keys: tuple[Cause, str]) -> State:
    """The state of a remote of which these findings are confirmed."""
    return next_state(Kind.REMOTE, "box", None, tuple(Trouble(*key, what=key[1]) for key in keys), Policy(), NOW).state


def confirmed(state: State) -> set[str]:
    return {trouble.what for trouble in state.confirmed_troubles}


@pytest.mark.parametrize(
    ("cause", "what", "facts", "left"),
    [
        (Cause.FILE_STALE, "recordings", {}, True),
        (Cause.UNIT_FAILED, "capture.service", {}, True),
        (Cause.UNIT_FAILED, "cron.service", {}, True),
        (Cause.UNIT_FAILED, "cron.service", {"failed_units": (), "hourly": True}, False),
        (Cause.DEVICE_UNREACHABLE, "camera", {}, True),
        (Cause.LIMIT_EXCEEDED, "temperature", {}, True),
        (Cause.LIMIT_EXCEEDED, "temperature", {"temperature_celsius": 20.0}, False),
        (Cause.LIMIT_EXCEEDED, "inodes /", {}, True),
        (Cause.LIMIT_EXCEEDED, "disk_full_within /", {}, True),
        (Cause.LIMIT_EXCEEDED, "disk_full_within /", {"disks": DISKS}, False),
        (Cause.LIMIT_EXCEEDED, "swap", {}, True),
        (Cause.LIMIT_EXCEEDED, "swap", {"swap_total_kb": 0, "swap_free_kb": 0}, False),
        (Cause.STORAGE_FAULT, "/srv", {}, True),
        (Cause.STORAGE_FAULT, "/srv", {"mounts": ()}, False),
        (Cause.BOOT_LOOP, "starts", {}, False),
    ],
)
def test_what_nobody_could_look_at_is_not_over(
    cause: Cause, what: str, facts: Mapping[str, object], left: bool
) -> None:
    """A round that learned nothing of a file, unit, device or value keeps its finding; one that could look ends it."""
    state = after(broken((cause, what)), WATCHED, facts=Facts(**facts))  # type: ignore[arg-type]
    assert (what in confirmed(state)) is left
    assert state.status is Status.DEGRADED  # the file could not be looked at


@pytest.mark.parametrize("recover_after", [1, 2])
def test_a_remote_is_not_up_because_its_camera_was_not_asked(recover_after: int) -> None:
    """Where all that was wrong was not looked at, the remote stays degraded; it is up when it is seen to be so."""
    settings = {"devices": WATCHED["devices"]}
    policy = Policy(recover_after=recover_after)
    camera = DeviceOutput("camera", connected=False, connect_ms=None)
    before = after(None, settings, policy, devices=(camera,))
    asleep = after(before, settings, policy)
    assert (asleep.status, asleep.confirmed, asleep.troubles) == (before.status, before.confirmed, before.troubles)
    outage = next_state(Kind.REMOTE, "box", asleep, (Trouble(Cause.TUNNEL_DOWN, ""),), policy, NOW).state
    back = after(outage, settings, policy)
    assert (back.status, back.confirmed, confirmed(back)) == (Status.DEGRADED, Status.DEGRADED, {"camera"})
    answers = (DeviceOutput("camera", connected=True, connect_ms=1),)
    states = [back]
    for devices in (answers, (), answers):
        states.append(after(states[-1], settings, policy, devices=devices))
    assert [one.status for one in states[1:]] == [Status.UP] * 3
    assert [one.confirmed for one in states[1:]] == (
        [Status.UP] * 3 if recover_after == 1 else [Status.DEGRADED, Status.DEGRADED, Status.UP]
    )


def test_what_can_never_be_looked_at_again_ends() -> None:
    """A sensor that was taken out keeps its remote degraded for some rounds, and is no longer looked at then."""
    settings = {"limits": {"temperature": "80"}}
    state = broken((Cause.LIMIT_EXCEEDED, "temperature"))
    for _ in range(REMEMBERED):
        state = after(state, settings)
        assert state.status is Status.DEGRADED
    state = after(state, settings)
    assert (state.status, state.confirmed, confirmed(state)) == (Status.UP, Status.UP, set())
    assert [one.lost for one in state.findings] == [True]


def test_what_is_no_longer_asked_for_is_lost_and_not_over() -> None:
    """A rule that is taken out of the inventory leaves nothing behind that would be called running again."""
    state = after(
        broken((Cause.PROCESS_MISSING, "old"), (Cause.PROCESS_MISSING, "encoder")), {"processes": ["encoder"]}
    )
    assert confirmed(state) == {"encoder"}
    assert [one.key[1] for one in state.findings if one.lost] == ["old"]
    running = after(state, {"processes": ["encoder"]}, processes=(process("encoder"),))
    assert running.confirmed is Status.UP
    assert [one.lost for one in running.findings] == [False, True]


def test_a_change_of_user_that_is_refused_says_nothing_of_the_rest() -> None:
    """A remote that is reached and whose become fails keeps all findings that it had."""
    remote = Remote("box", (), RemoteSettings.model_validate(WATCHED), path=("jump",))
    before = broken((Cause.UNIT_FAILED, "capture.service"), (Cause.CHECK_FAILED, "queue"))
    result = CheckResult("box", NOW, (Trouble(Cause.BECOME_FAILED, ""),))
    unseen = unseen_findings(remote, result, before)
    state = next_state(Kind.REMOTE, "box", before, result.troubles, Policy(), NOW, unseen).state
    assert confirmed(state) == {"", "capture.service", "queue"}


def test_what_was_cut_from_a_long_list_is_not_over() -> None:
    """Of many more troubles than are kept none ends because it is not among them."""
    mounts = [Disk(f"/m{number}", 100, 95, 95.0) for number in range(60)]
    settings = {"limits": {"disk": "90%"}}
    state = after(None, settings, facts=Facts(disks=tuple(mounts)))
    turned = after(state, settings, facts=Facts(disks=tuple(reversed(mounts))))
    assert confirmed(turned) >= {f"disk {disk.mount}" for disk in mounts}
