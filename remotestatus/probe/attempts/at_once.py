"""
Decides how many remotes are probed at the same time.

Pure: the same inputs give the same numbers. A busy machine starts fewer (`run_all` in the playbook).
"""

from collections.abc import Mapping, Sequence

from remotestatus.model.check_result import CheckResult

FEWEST_AT_ONCE = 40
"""Fewest remotes that are probed at the same time: half of 40 may hang without delaying the rest."""

FEW_AT_ONCE = 8
"""Parallel log-ins that even a stock sshd shared by several remotes accepts (MaxStartups 10:30:100)."""


def choose_forks(setting: int | str, remotes: int) -> int:
    """
    How many remotes are probed at the same time.

    `auto` is the whole of a small fleet and a quarter of a large one, at most 100. A remote that does not answer
    occupies a slot until its timeout, and each slot takes two `ssh` processes.
    """
    if isinstance(setting, int):
        return setting
    return max(1, min(remotes, max(FEWEST_AT_ONCE, min(100, remotes // 4))))


def choose_retry_forks(results: Mapping[str, CheckResult], names: Sequence[str], forks: int) -> int:
    """
    How many are retried at the same time: all that only time out, and few of those that get further.

    Too many at once may be what made them fail, and those that time out must not queue up behind each other.
    """
    waiting = sum((trouble := results[name].trouble) is not None and trouble.cause.declaration.waits for name in names)
    return min(max(forks, FEW_AT_ONCE), waiting + FEW_AT_ONCE)
