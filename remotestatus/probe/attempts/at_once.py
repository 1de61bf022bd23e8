"""
Decides how many remotes are probed at the same time.

Pure: takes check results; returns numbers. A machine that is busy starts fewer (`run_all` in the playbook).
"""

from collections.abc import Mapping, Sequence

from remotestatus.model.check_result import CheckResult

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
