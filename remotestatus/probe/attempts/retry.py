"""
Decides how a fleet is probed: how many remotes at the same time, and which of them again.

Pure: takes check results and the last states; returns names and numbers. How often a remote is tried is its setting
`attempts`; a proxy is tried twice (`Opener.attempts` in the playbook).
"""

from collections.abc import Collection, Mapping, Sequence

from remotestatus.model.check_result import CheckResult
from remotestatus.model.fleet import Fleet, Remote
from remotestatus.model.states import Kind, State, Subject
from remotestatus.model.statuses import Status

FEWEST_SUSPECT = 3
"""From so many remotes that vanish behind one answering proxy, we suspect ourselves first."""

FEWEST_AT_ONCE = 40
"""So many remotes are probed at the same time in any case: half a fleet of 40 may hang without delaying the rest."""

FEW_AT_ONCE = 8
"""Even a stock sshd that several remotes share takes so many log-ins at the same time (MaxStartups 10:30:100)."""


def choose_forks(setting: int | str, remotes: int) -> int:
    """
    How many remotes are probed at the same time.

    By itself the whole of a small fleet and a quarter of a large one, at most 100: what waits for a remote that does
    not answer holds one of these places, and each costs the checker two `ssh` processes while it lasts.
    """
    if isinstance(setting, int):
        return setting
    return max(1, min(remotes, max(FEWEST_AT_ONCE, min(100, remotes // 4))))


def choose_retry_forks(results: Mapping[str, CheckResult], names: Sequence[str], forks: int) -> int:
    """
    How many are tried again at the same time: all that only wait for a timeout, and few of those that get further.

    Too many at once may be what made them fail, and those that time out must not queue up behind each other.
    """
    waiting = sum((trouble := results[name].trouble) is not None and trouble.cause.declaration.waits for name in names)
    return min(max(forks, FEW_AT_ONCE), waiting + FEW_AT_ONCE)


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
