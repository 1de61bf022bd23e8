"""
Files and systemd units, and what the inventory wants of them.
"""

from typing import Any

import pytest
from remotestatus_playbook.protocol import FileOutput, UnitOutput

from remotestatus.evaluate.files_units_devices import examine_files, examine_units
from remotestatus.model.facts import Facts
from remotestatus.model.inventory_variables import FileSpec, UnitSpec
from remotestatus.model.watched import UnitResult


@pytest.mark.parametrize(
    ("spec", "output", "ok", "sentence"),
    [
        ({}, {"count": 1, "age_seconds": 30, "size": 5000}, True, "30 s old, 4.9 KiB large"),
        ({}, {"count": 3, "age_seconds": 7200, "size": 5}, True, "2 h old, 5 bytes large, the newest of 3"),
        ({"newer_than": "15m"}, {"count": 1, "age_seconds": 900, "size": 5}, True, "15 min old, 5 bytes large"),
        ({"newer_than": "9m"}, {"count": 1, "age_seconds": 541}, False, "9 min 1 s old (wanted: newer than 9m)"),
        ({"newer_than": "15m"}, {"count": 0}, False, "missing"),
        ({"newer_than": "15m"}, {"count": 0, "hidden": True}, None, "the account may not look there"),
        ({"newer_than": "15m"}, {"count": 2}, None, "its time or size is not known"),
        ({"newer_than": "15m"}, {"count": 1, "age_seconds": -300, "size": 5}, True, "under 1 s old, 5 bytes large"),
        (
            {"newer_than": "15m"},
            {"count": 1, "age_seconds": -864000, "size": 5},
            False,
            "from 10 d in the future (wanted: newer than 15m)",
        ),
        (
            {"min_size": "1M", "newer_than": "15m"},
            {"count": 1, "age_seconds": 3600, "size": 1024},
            False,
            "1 h old (wanted: newer than 15m), 1.0 KiB large (wanted: at least 1.0 MiB)",
        ),
        ({"min_size": "1k"}, {"count": 1, "age_seconds": 5, "size": 1024}, True, "5 s old, 1.0 KiB large"),
        ({}, None, None, "could not be looked at in time"),
    ],
)  # fmt: skip
def test_a_file_is_compared(
    spec: dict[str, Any], output: dict[str, Any] | None, ok: bool | None, sentence: str
) -> None:
    """A file has to be there, new and large enough; what nobody could look at is unknown."""
    specs = [FileSpec.model_validate({"name": "clips", "path": "/srv/*.mp4", **spec})]
    outputs = [] if output is None else [FileOutput("clips", **output)]
    (result,) = examine_files(specs, outputs)
    assert (result.ok, result.sentence) == (ok, sentence)


LOADED = {"load": "loaded", "result": "success"}


@pytest.mark.parametrize(
    ("output", "ok", "sentence"),
    [
        ({"active": "active", "sub": "running"}, True, "active (running)"),
        ({"active": "active", "sub": "exited", "since_seconds": 60}, True, "active (exited), for 1 min"),
        ({"active": "inactive", "sub": "dead"}, False, "inactive (dead)"),
        ({"active": "inactive", "sub": "dead", "triggered": True}, True, "inactive (dead)"),
        (
            {"active": "inactive", "sub": "dead", "triggered": True, "result": "exit-code", "exit_status": 2},
            False,
            "inactive (dead), ended with exit code 2",
        ),
        (
            {"active": "failed", "sub": "failed", "result": "oom-kill", "restarts": 57},
            False,
            "failed, killed by the OOM killer, started again 57 times",
        ),
        (
            {"active": "failed", "sub": "failed", "result": "signal", "exit_status": 11},
            False,
            "failed, ended by signal 11",
        ),
        (
            {"active": "activating", "sub": "auto-restart", "result": "exit-code", "exit_status": 1, "restarts": 3},
            False,
            "activating (auto-restart), ended with exit code 1, started again 3 times",
        ),
        ({"active": "activating", "sub": "start-pre"}, True, "activating (start-pre)"),
        ({"active": "inactive", "sub": "dead", "load": "not-found"}, False, "there is no such unit"),
        ({"active": "inactive", "sub": "dead", "load": "masked"}, False, "masked"),
        (None, None, "systemd said nothing of it"),
    ],
)
def test_a_unit_is_compared(output: dict[str, Any] | None, ok: bool | None, sentence: str) -> None:
    """A unit has to be active, or waits between two runs of its timer."""
    outputs = [] if output is None else [UnitOutput("capture.service", **{**LOADED, **output})]
    (result,) = examine_units([UnitSpec(unit="capture")], outputs, Facts())
    assert (result.unit, result.ok, result.sentence) == ("capture.service", ok, sentence)


def test_a_service_that_is_started_again_and_again_does_not_run() -> None:
    """It is wrong although it runs at the moment in which it is looked at."""
    spec = UnitSpec(unit="capture")

    def examine(restarts: int, *before: UnitResult) -> UnitResult:
        return examine_units(
            [spec],
            [UnitOutput(spec.title, "loaded", "active", "running", "success", restarts=restarts)],
            Facts(),
            before,
        )[0]

    assert examine(57).ok
    assert (examine(57, examine(55)).ok, examine(1, examine(57)).ok) == (True, True)
    found = examine(57, examine(54))
    assert found.ok is False
    assert found.sentence == "active (running), started again 57 times, 3 of them since the last round"


def test_units_without_systemd_are_unknown() -> None:
    """A box without systemd, or with one that hangs, has no failed unit and no right one."""
    specs = [UnitSpec(unit="a.timer"), UnitSpec(failed="none")]
    assert [one.ok for one in examine_units(specs, None, Facts())] == [None, None]


def test_any_failed_unit_is_told_where_none_may_fail() -> None:
    """`failed: none` tells each failed unit by its name, and those that are asked for only once."""
    specs = [UnitSpec(unit="a.service"), UnitSpec(failed="none")]
    outputs = [UnitOutput("a.service", "loaded", "failed", "failed", "exit-code")]
    found = examine_units(specs, outputs, Facts(failed_units=("a.service", "b.mount")))
    assert [(one.unit, one.ok) for one in found] == [("a.service", False), ("b.mount", False)]
    assert [one.ok for one in examine_units(specs[1:], (), Facts(failed_units=()))] == [True]


def test_an_alias_answers_for_its_name() -> None:
    """systemctl tells an alias under the unit's own name; the inventory's name stays."""
    outputs = [UnitOutput("ssh.service", "loaded", "active", "running", "success")]
    (result,) = examine_units([UnitSpec(unit="sshd.service")], outputs, Facts())
    assert (result.unit, result.ok) == ("sshd.service", True)
