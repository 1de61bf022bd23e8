"""
Detects flapping: a remote or proxy changes its confirmed status again and again, or leaves it and comes back.

It is measured as Icinga and Nagios do
(https://icinga.com/docs/icinga-2/latest/doc/08-advanced-topics/#check-flapping): of the last check results, newer
changes weigh more than older ones. Flapping starts over one share of changes and ends under a lower one, or after
enough results in a row without a change. Rounds in a maintenance window do not count.
"""

from dataclasses import replace
from datetime import datetime

from remotestatus.model.states import State

FLAP_WINDOW = 20
"""Check results that are remembered."""

FLAP_STARTS = 20.0
"""Weighted share of changes in the window, in percent, from which flapping starts: four changes close together."""

FLAP_ENDS = 10.0
"""Weighted share under which it ends."""

STEADY_RESULTS = 8
"""This many check results in a row without a change also end it."""


def detect_flapping(state: State, *, changed: bool, now: datetime) -> State:
    """Make the state after one more check result; `changed`: it changed the confirmed status or came back to it."""
    recent = (state.recent + ("1" if changed else "0"))[-FLAP_WINDOW:]
    share = change_share(recent)
    if not state.flapping:
        return replace(state, recent=recent, flapping_since=now if changed and share >= FLAP_STARTS else None)
    if recent.endswith("0" * STEADY_RESULTS):
        return replace(state, recent="", flapping_since=None)
    return replace(state, recent=recent, flapping_since=state.flapping_since if share >= FLAP_ENDS else None)


def change_share(recent: str) -> float:
    """Weigh the share of changes among the last check results, in percent; weights rise from 0.8 to 1.2."""
    step = 0.4 / (FLAP_WINDOW - 1)
    newest_first = reversed(recent)
    return 100 / FLAP_WINDOW * sum(1.2 - step * age for age, mark in enumerate(newest_first) if mark == "1")
