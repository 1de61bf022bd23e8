"""
What a remote reports, and what each limit says of it.
"""

from typing import Any

import pytest
from pydantic import ValidationError

from remotestatus.evaluate.limits import LIMITS, MOUNT_LIMITS, examine_limits
from remotestatus.model.facts import Disk, Facts
from remotestatus.model.inventory_variables import Limits
from remotestatus.model.status_words import Severity

FACTS = Facts(
    load=(9.0, 3.0, 1.0),
    cpus=2,
    memory_total_kb=1000,
    memory_available_kb=250,
    swap_total_kb=0,
    swap_free_kb=0,
    disks=(Disk("/", 100, 71, 71.0, inodes_percent=99), Disk("/srv", 100, 97, 97.0)),
    clock_offset_seconds=-90.0,
    temperature_celsius=81.2,
)


@pytest.mark.parametrize(
    ("limits", "facts", "sentences"),
    [
        ({"memory": 80}, FACTS, ["ok memory 75 % (limit 80 %)"]),
        ({"memory": 74.5}, FACTS, ["wrong memory 75 % (limit 74.5 %)"]),
        ({"swap": 1}, FACTS, []),
        ({"load": 1.5}, FACTS, ["ok load 1.50 per CPU (limit 1.5)"]),
        ({"clock": "1m"}, FACTS, ["wrong clock -90 s (limit 60 s)"]),
        ({"disk": "90%"}, FACTS, ["ok disk / 71 % (limit 90 %)", "wrong disk /srv 97 % (limit 90 %)"]),
        ({"disk": {"/srv": 99, "*": 50}}, FACTS, ["wrong disk / 71 % (limit 50 %)", "ok disk /srv 97 % (limit 99 %)"]),
        ({"disk": {"/mnt": 90}}, FACTS, ["wrong disk /mnt not mounted (limit set)"]),
        (
            {"disk": {"warning": 70, "critical": "95%"}},
            FACTS,
            ["wrong disk / 71 % (warning 70 %, critical 95 %)", "wrong disk /srv 97 % (warning 70 %, critical 95 %)"],
        ),
        ({"inodes": 90}, FACTS, ["wrong inodes / 99 % (limit 90 %)"]),
        ({"temperature": {"critical": 80}}, FACTS, ["wrong temperature 81 °C (limit 80 °C)"]),
        ({"temperature": 85}, FACTS, ["ok temperature 81 °C (limit 85 °C)"]),
        ({"disk": 9, "memory": 1, "clock": 1}, Facts(), ["wrong disk could not be read (df gave no answer)"]),
    ],
)  # fmt: skip
def test_a_limit_is_compared_with_what_the_remote_reports(
    limits: dict[str, Any], facts: Facts, sentences: list[str]
) -> None:
    """Good and bad values are both told, with their unit and bound; what is not known is not told."""
    findings = examine_limits(Limits.model_validate(limits), facts)
    assert [f"{'ok' if finding.ok else 'wrong'} {finding.sentence}" for finding in findings] == sentences


@pytest.mark.parametrize(
    ("bounds", "severity"),
    [
        (74, Severity.WARNING),
        ({"warning": 74}, Severity.WARNING),
        ({"critical": 74}, Severity.CRITICAL),
        ({"warning": 70, "critical": 74}, Severity.CRITICAL),
        ({"warning": 74, "critical": 76}, Severity.WARNING),
        ({"warning": 76, "critical": 78}, None),
        (75, None),
    ],
)
def test_the_worst_bound_that_is_exceeded_tells_how_bad_it_is(bounds: Any, severity: Severity | None) -> None:
    """One bound alone is a warning, unless it is written as critical; the bound itself is not over it."""
    (finding,) = examine_limits(Limits.model_validate({"memory": bounds}), FACTS)
    assert (None if finding.ok else finding.severity) == severity
    assert finding.number == 75


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"disk": {"warning": "95%", "critical": "90%"}}, "`critical` has to be larger than `warning`"),
        ({"load": {}}, "write one bound, or a mapping"),
        ({"clock": {"warning": "soon"}}, "is not a duration"),
        ({"memory": {"warn": 3}}, "not permitted"),
        ({"memory": 300}, "between 0 and 100"),
    ],
)
def test_wrong_bounds_are_refused(limits: dict[str, Any], words: str) -> None:
    """Bounds have to be in order and have to be bounds."""
    with pytest.raises(ValidationError, match=words):
        Limits.model_validate(limits)


def test_every_limit_that_can_be_set_is_compared() -> None:
    """The settings know no limit that the comparison does not know, and the other way round."""
    assert set(Limits.model_fields) == {*MOUNT_LIMITS, *LIMITS, "disk_full_within"}
