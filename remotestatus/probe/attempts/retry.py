"""
Decides which remotes are tried again, in which order, and from which places.

How often a remote is tried from one place is its setting `attempts`; a proxy is tried twice (`Opener.attempts` in the
playbook).
"""

from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter

from remotestatus.evaluate import is_worth_another_place
from remotestatus.model.check_result import CheckResult
from remotestatus.model.fleet import Remote
from remotestatus.probe.attempts.batches import Batch, pack_for


def choose_retries(
    remotes: Iterable[Remote],
    places: Mapping[str, frozenset[str]],
    found: Mapping[str, Mapping[str, CheckResult]],
    proxies: Mapping[str, Mapping[str, CheckResult]],
    attempt: int,
) -> Sequence[Batch]:
    """
    What each place probes in this pass, remotes behind a suspect proxy first.

    `places` has those that may probe each remote, `found` and `proxies` the results by name and place, in the order of
    the probes.
    """
    wanted: dict[str, list[tuple[bool, Remote]]] = {}
    for remote in remotes:
        results = found[remote.name]
        first = next(iter(results), None)
        if first is None or any(result.status.is_reached for result in results.values()):
            continue
        there = {proxy: seen[first] for proxy, seen in proxies.items() if first in seen}
        if not is_worth_another_place(results[first], there, remote.path):
            continue
        trouble = results[first].trouble
        suspect = trouble is not None and bool(trouble.proxy)
        for place in places[remote.name]:
            own = results.get(place)
            if _deserves_retry(remote, own, attempt) if own else attempt == 2:
                wanted.setdefault(place, []).append((not suspect, remote))
    return [
        batch
        for place, them in wanted.items()
        for batch in pack_for(place, (remote for _, remote in sorted(them, key=itemgetter(0))))
    ]


def _deserves_retry(remote: Remote, result: CheckResult, attempt: int) -> bool:
    """Whether a remote is probed for the `attempt`-th time: not reached, with an attempt left, and worth one."""
    trouble = result.trouble
    return trouble is not None and trouble.cause.declaration.retried and remote.settings.attempts >= attempt
