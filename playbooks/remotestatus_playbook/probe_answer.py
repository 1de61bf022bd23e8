"""
Makes an answer of a probe's whole output.

Takes the output and when the remote was asked and answered; returns a RemoteAnswer, or None when something is missing.

Pure: the same inputs always give the same answer.
"""

from dataclasses import replace

from remotestatus_playbook.probe_output import ProbeOutput
from remotestatus_playbook.protocol import Outcome, RemoteAnswer


def answer_of(output: ProbeOutput, taken: float, asked_at: float, answered_at: float) -> RemoteAnswer | None:
    """The answer, when the probe's whole output came; it took so many seconds between these times (POSIX)."""
    if not (output.frame and output.complete):
        return None
    spent = output.seconds if output.seconds is not None and 0 <= output.seconds <= taken else 0
    offset = _clock_offset(output.clock, asked_at, answered_at)
    return RemoteAnswer(
        Outcome.ANSWERED,
        connect_ms=round((taken - spent) * 1000),
        frame=True,
        logged_in=True,
        facts=replace(output.facts, clock_offset_seconds=offset),
        processes=output.processes.processes,
        processes_complete=output.processes.complete,
        checks=output.checks,
        files=output.files,
        units=output.units,
        listeners=output.listeners,
        log_files=output.log_files,
        last_lines=output.last_lines,
    )


def _clock_offset(clock: float | None, asked_at: float, answered_at: float) -> float | None:
    """
    How far a remote's clock is ahead, in seconds, from the checker's before and after the probe.

    The remote read its own clock somewhere between the two, so only what lies outside is certainly wrong.
    """
    if clock is None:
        return None
    # `date` gives whole seconds: a clock read as n may stand anywhere in [n, n + 1).
    if clock + 1 < asked_at:
        return clock + 1 - asked_at
    return max(0.0, clock - answered_at)
