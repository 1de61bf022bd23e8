"""
Findings: one trouble for each thing that is wrong, with its severity, and how several are written together.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime

import pytest
from pydantic import TypeAdapter
from remotestatus_playbook.protocol import CheckOutput, Disk, Facts, Outcome, Process, RemoteAnswer

from remotestatus.evaluate.check_results import read_remote
from remotestatus.evaluate.finding_states import unseen_keys
from remotestatus.evaluate.state_machine import next_state
from remotestatus.model.causes import Cause
from remotestatus.model.check_result import CheckResult, Trouble, most_severe_first, summarize
from remotestatus.model.fleet import Remote
from remotestatus.model.settings import RemoteSettings
from remotestatus.model.states import Kind, Policy, State
from remotestatus.model.statuses import Severity, Status

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


def test_what_nobody_could_look_at_is_not_over() -> None:
    """A file, a unit and a device of which a round learned nothing keep the findings that they had."""
    settings = {
        "files": [{"name": "recordings", "path": "/srv/*.mp4", "newer_than": "15m"}],
        "units": ["capture.service"],
        "devices": [{"name": "camera", "host": "192.0.2.20", "port": 554}],
    }
    remote = Remote("box", (), RemoteSettings.model_validate(settings), path=("jump",))
    known = tuple(
        Trouble(cause, "", what=what)
        for cause, what in (
            (Cause.FILE_STALE, "recordings"),
            (Cause.UNIT_FAILED, "capture.service"),
            (Cause.DEVICE_UNREACHABLE, "camera"),
        )
    )
    before = next_state(Kind.REMOTE, "r", None, known, Policy(), NOW).state
    result = check(settings)
    after = next_state(Kind.REMOTE, "r", before, result.troubles, Policy(), NOW, unseen_keys(remote, result)).state
    assert {one.key for one in after.findings if one.confirmed} >= {trouble.key for trouble in known}
