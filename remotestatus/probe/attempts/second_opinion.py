"""
Decides which places probe an unreached remote again: others, and the same one if its cause is retried.

It returns batches for each place.
"""

from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter

from remotestatus.evaluate import is_worth_another_place
from remotestatus.model.check_result import CheckResult
from remotestatus.model.fleet import Remote
from remotestatus.probe.attempts.batches import Batch, pack_for
from remotestatus.probe.attempts.retry import deserves_retry


def choose_second_opinions(
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
            if deserves_retry(remote, own, attempt) if own else attempt == 2:
                wanted.setdefault(place, []).append((not suspect, remote))
    return [
        batch
        for place, them in wanted.items()
        for batch in pack_for(place, (remote for _, remote in sorted(them, key=itemgetter(0))))
    ]
