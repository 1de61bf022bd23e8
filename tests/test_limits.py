"""
What a remote reports, and what each limit says of it.
"""

from typing import Any

import pytest

from remotestatus.evaluate.limits import LIMITS, examine_limits
from remotestatus.model.facts import Disk, Facts
from remotestatus.model.settings import Limits

FACTS = Facts(
    load=(9.0, 3.0, 1.0),
    cpus=2,
    memory_total_kb=1000,
    memory_available_kb=250,
    swap_total_kb=0,
    swap_free_kb=0,
    disks=(Disk("/", 100, 71, 71.0), Disk("/srv", 100, 97, 97.0)),
    clock_offset_seconds=-90.0,
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
        ({"disk": 9, "memory": 1, "clock": 1}, Facts(), ["wrong disk could not be read (df gave no answer)"]),
    ],
)  # fmt: skip
def test_a_limit_is_compared_with_what_the_remote_reports(
    limits: dict[str, Any], facts: Facts, sentences: list[str]
) -> None:
    """Good and bad values are both told, with their unit and bound; what is not known is not told."""
    findings = examine_limits(Limits.model_validate(limits), facts)
    assert [f"{'ok' if finding.ok else 'wrong'} {finding.sentence}" for finding in findings] == sentences


def test_every_limit_that_can_be_set_is_compared() -> None:
    """The settings know no limit that the comparison does not know, and the other way round."""
    assert set(Limits.model_fields) == {"disk", *LIMITS}
