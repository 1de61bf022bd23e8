"""
Decides which remotes are probed again, and whether our own connections are suspect.

Pure: takes check results and the last states; returns names. How often a remote is tried is its setting `attempts`; a
proxy is tried twice (`Opener.attempts` in the playbook).
"""

from collections.abc import Collection, Mapping, Sequence

from remotestatus.model.check_result import CheckResult
from remotestatus.model.fleet import Fleet, Remote
from remotestatus.model.states import Kind, State, Subject
from remotestatus.model.status_words import Status

FEWEST_SUSPECT = 3
"""From so many remotes that vanish behind one answering proxy, we suspect ourselves first."""


def choose_retries(remotes: Sequence[Remote], results: Mapping[str, CheckResult], attempt: int) -> list[str]:
    """The remotes to probe for the `attempt`-th time: not reached, with an attempt left, and worth one."""
    return [
        remote.name
        for remote in remotes
        if remote.settings.attempts >= attempt
        and (result := results.get(remote.name)) is not None
        and result.trouble is not None
        and result.status in (Status.DOWN, Status.UNKNOWN)
        and result.trouble.cause.declaration.retried
    ]


def suspect_ourselves(
    fleet: Fleet, results: Mapping[str, CheckResult], last: Mapping[Subject, State], failed: Collection[str]
) -> bool:
    """
    Whether our own connection to a proxy may be at fault: all remotes that were up behind it vanished at once, or most
    of many.
    """
    for proxy in fleet.proxies:
        behind = [remote.name for remote in fleet.behind(proxy.name) if remote.name in results]
        were_up = [
            name
            for name in behind
            if (state := last.get((Kind.REMOTE, name))) and state.status in (Status.UP, Status.DEGRADED)
        ]
        vanished = [name for name in were_up if name in failed]
        most = len(vanished) >= FEWEST_SUSPECT and 2 * len(vanished) > len(were_up)
        if vanished and (most or len(vanished) == len(were_up)):
            return True
    return False
