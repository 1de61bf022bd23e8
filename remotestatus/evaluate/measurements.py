"""
Decides when a page updates its measurements of a remote: load, memory, processes, log-in time.

Measurements differ in every round, so each page would be rewritten in every round. Pages update them hourly while a
remote is up, and in every round while something is wrong. `status.json` and the metrics have those of the last round.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from hashlib import sha256

from remotestatus.model.check_result import CheckResult

RENEWED = timedelta(hours=1)
"""Longest age of the measurements on the page of a remote that is up."""


def find_renewed(
    results: Mapping[str, CheckResult], before: Mapping[str, CheckResult], measured_at: Mapping[str, datetime]
) -> set[str]:
    """Find the remotes whose measurements the page updates."""
    return {
        name for name, result in results.items() if renews_measurements(measured_at.get(name), before.get(name), result)
    }


def renews_measurements(measured_at: datetime | None, before: CheckResult | None, result: CheckResult) -> bool:
    """Whether the measurements of this check result replace those that are shown."""
    if measured_at is None or before is None:
        return True
    if result.connect_ms is None and replace(before, at=result.at) == result:
        return False  # it cannot be reached, so nothing was measured
    if result.troubles or before.troubles:
        return True
    if _turn(result.name, measured_at) != _turn(result.name, result.at):
        return True
    return _processes(before) != _processes(result) or before.facts.notes != result.facts.notes


def _turn(name: str, moment: datetime) -> int:
    """Number the hour of a time; each remote's hours begin at another minute, so that not all are due at once."""
    length = int(RENEWED.total_seconds())
    begins = int.from_bytes(sha256(name.encode("utf-8", "replace")).digest()[:4]) % length
    return (int(moment.timestamp()) + begins) // length


def _processes(result: CheckResult) -> list[tuple[str, int | None, frozenset[int]]]:
    return [
        (process.name, process.count, frozenset(one.pid for one in process.matched)) for process in result.processes
    ]
