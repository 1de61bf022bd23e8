"""
The pause before a remote is tried again, and whether our own connections are suspect then.
"""

import time
from collections.abc import Callable, Collection, Mapping

from remotestatus_playbook.protocol import Order

from remotestatus.model.check_result import CheckResult
from remotestatus.model.errors import RoundGivenUp
from remotestatus.model.fleet import Fleet
from remotestatus.model.states import Kind, State, Subject

PAUSE_SECONDS = 2.0
"""Seconds between two attempts, in which short failures pass."""

SUSPICION_SECONDS = 5.0
"""The same, when most remotes behind a proxy failed at once."""

FEWEST_SUSPECT = 3
"""If this many remotes fail behind one answering proxy, suspect the shared connection first."""


def suspect_ourselves(
    fleet: Fleet, results: Mapping[str, CheckResult], last: Mapping[Subject, State], failed: Collection[str]
) -> bool:
    """
    Whether our own connection to a proxy may be at fault: all remotes that were up behind it vanished at once, or most
    of many.
    """
    for proxy in fleet.proxies:
        behind = [remote.name for remote in fleet.behind(proxy.name) if remote.name in results]
        were_up = [name for name in behind if (state := last.get((Kind.REMOTE, name))) and state.status.is_reached]
        vanished = [name for name in were_up if name in failed]
        most = len(vanished) >= FEWEST_SUSPECT and 2 * len(vanished) > len(were_up)
        if vanished and (most or len(vanished) == len(were_up)):
            return True
    return False


def pause_before(order: Order, cancel: Callable[[], bool]) -> None:
    """Wait before the attempt of this order. Raises RoundGivenUp when the round is cancelled meanwhile."""
    end = time.monotonic() + (SUSPICION_SECONDS if order.fresh else PAUSE_SECONDS)
    while (left := end - time.monotonic()) > 0:
        if cancel():
            raise RoundGivenUp
        time.sleep(min(0.1, left))
