"""
Combines the checker's and the workers' check results of one remote or proxy.

Up from anywhere is up. If no place reached it, the first one that got as far as the remote counts, and the result says
which places tried. That a later place was refused for its key or log-in says nothing about the remote.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace

from remotestatus.evaluate.make_trouble import explain
from remotestatus.model.causes import Cause, SpecialCase
from remotestatus.model.check_result import CheckResult, Trouble
from remotestatus.model.fleet import Remote
from remotestatus.model.inventory_variables import CHECKER
from remotestatus.model.status_words import Status


def combine(results: Mapping[str, CheckResult]) -> CheckResult:
    """Choose the check result that counts; `results` are by place, in the order of the probes."""
    reached = [place for place, result in results.items() if result.status.is_reached]
    place = reached[0] if reached else _most_telling(results)
    worker = None if place == CHECKER else place
    chosen = results[place] if worker is None else replace(results[place], troubles=_hints_there(results[place], place))
    if reached:
        not_from = tuple(other for other, result in results.items() if not result.status.is_reached)
        return replace(chosen, worker=worker, not_from=not_from)
    trouble = chosen.trouble
    if list(results) == [CHECKER] or (trouble and trouble.cause is Cause.WORKER_UNREACHABLE):
        return replace(chosen, worker=worker)
    return replace(chosen, worker=worker, troubles=tuple(_told(chosen.troubles, place, results)))


def without_proxys_fault(remote: Remote, result: CheckResult, reached: Mapping[str, Collection[str]]) -> CheckResult:
    """
    Make a result `not-checked` if it blames a proxy that answers another place; `reached` are those places by proxy.

    Otherwise it would count as part of an incident that the proxy does not have.
    """
    trouble = result.trouble
    if trouble is None or trouble.cause is not Cause.PROXY_UNREACHABLE:
        return result
    place = result.worker or CHECKER
    if not {*reached.get(trouble.proxy, ())} - {place}:
        return result
    case = SpecialCase.PROXY_OUT_OF_SIGHT
    return replace(
        result, troubles=(explain(Cause.NOT_CHECKED, remote, case, proxy=trouble.proxy, place=_spoken(place)),)
    )


def is_worth_another_place(result: CheckResult, proxies: Mapping[str, CheckResult], path: tuple[str, ...]) -> bool:
    """
    Whether another place may see more: it was not reached, and neither it nor a proxy on its path refused us.

    `proxies` are the results of the same place.
    """
    trouble = result.trouble
    if trouble is None or result.status.is_reached or trouble.cause.declaration.about_trust:
        return False
    if trouble.cause is Cause.WORKER_UNREACHABLE:
        return False
    refused = (proxies[name].trouble for name in path if name in proxies)
    return not any(one and one.cause.declaration.about_trust for one in refused)


def _most_telling(results: Mapping[str, CheckResult]) -> str:
    """Return the first place that got as far as the remote; else the first one."""
    first = next(iter(results))
    if results[first].status is Status.DOWN:
        return first
    for place, result in results.items():
        trouble = result.trouble
        if result.status is Status.DOWN and trouble and not trouble.cause.declaration.about_trust:
            return place
    return first


def _hints_there(result: CheckResult, place: str) -> tuple[Trouble, ...]:
    """Return its troubles, with hints for this worker instead of the checker."""
    return tuple(
        replace(trouble, hint=trouble.hint.replace("On the checker,", f"On {place},")) for trouble in result.troubles
    )


def _told(troubles: tuple[Trouble, ...], place: str, results: Mapping[str, CheckResult]) -> list[Trouble]:
    """Add to the first trouble which places tried, and which other causes they found."""
    first, *others = troubles
    *before, last = (_spoken(one) for one in results)
    said = f"Tried from {', '.join(before)} and {last}." if before else f"Tried from {last}."
    for other, result in results.items():
        if other != place and result.trouble and result.trouble.cause is not first.cause:
            said += f" From {_spoken(other)}: {result.trouble.cause}."
    return [replace(first, message=f"{first.message} {said}"), *others]


def _spoken(place: str) -> str:
    return "the checker" if place == CHECKER else place
