"""
What every pass over a fleet needs: the round's first order and its last, the proxies' results, and the pause between
attempts.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial

from remotestatus_playbook.protocol import Order, ProxyAnswer, RemoteAnswer

from remotestatus.evaluate import (
    Past,
    add_endings,
    asks_for_log_files,
    failed_result,
    find_ended,
    is_due,
    read_look,
    read_proxy,
    read_remote,
)
from remotestatus.model.causes import Cause
from remotestatus.model.check_result import CheckResult
from remotestatus.model.days import Ranges
from remotestatus.model.errors import RoundError, RoundGivenUp
from remotestatus.model.fleet import Fleet, Inventory, Proxy, Remote
from remotestatus.model.memory import Memory
from remotestatus.model.states import State, Subject
from remotestatus.probe.attempts.at_once import choose_forks
from remotestatus.probe.playbook_run import Answers, PlaybookRunner
from remotestatus.probe.runtime_directories import end_kept_connections, seconds_kept

PAUSE_SECONDS = 2.0
"""Between the first attempt and the next: what was only a hiccup is over by then."""

SUSPICION_SECONDS = 5.0
"""The same, when most of the remotes behind a proxy vanished at once."""


@dataclass(frozen=True, slots=True)
class Earlier:
    """What the history knows of the rounds before: last states and check results, how far apart, and days so far."""

    states: Mapping[Subject, State] = field(default_factory=dict)
    results: Mapping[str, CheckResult] = field(default_factory=dict)
    every: timedelta = timedelta(minutes=10)
    ranges: Mapping[str, Ranges] = field(default_factory=dict)

    def past(self, name: str) -> Past:
        """What is known of the time before of one remote."""
        return Past(self.results.get(name), self.every, self.ranges.get(name, {}))

    def remembered(self, results: Mapping[str, CheckResult]) -> dict[str, CheckResult]:
        """The results, with what was remembered of those that brought nothing new."""
        blank = Memory()
        return {
            name: replace(result, memory=self.past(name).memory) if result.memory == blank else result
            for name, result in results.items()
        }


def first_order(
    runner: PlaybookRunner, inventory: Inventory, remotes: Sequence[Remote], earlier: Earlier, now: datetime
) -> Order:
    settings = inventory.fleet.settings
    asked = [*remotes, *inventory.fleet.looked_at]
    kept = settings.keep_connections and runner.keep_connections(inventory.database)
    if not settings.keep_connections:
        end_kept_connections(inventory.database)
    return Order(
        names=tuple(sorted(inventory.limited_to)),
        at_once=choose_forks(settings.forks, len(remotes)),
        attempts=max((remote.settings.attempts for remote in remotes), default=1),
        keep_seconds=seconds_kept(settings.every) if kept else 0,
        hourly=frozenset(one.name for one in asked if is_due(earlier.past(one.name).memory, now)),
        log_files=frozenset(one.name for one in asked if asks_for_log_files(one, earlier.results.get(one.name))),
        look_at=tuple(proxy.name for proxy in inventory.fleet.looked_at),
    )


Ask = Callable[[Order], Mapping[str, RemoteAnswer]]
"""Carries an order out and returns the answers of the remotes, by name. Raises RoundError."""


def asking(runner: PlaybookRunner, cancel: Callable[[], bool]) -> Ask:
    """What has an order carried out here."""
    return lambda order: runner.probe(order, cancel=cancel, total=len(order.names or ())).remotes


def find_endings(
    ask: Ask,
    order: Order,
    earlier: Earlier,
    found: Mapping[str, CheckResult],
) -> tuple[dict[str, CheckResult], tuple[str, ...]]:
    """
    Ask once what ended the processes that are missing for the first time; of a healthy remote nothing is asked.

    `order` is the last one that was carried out. Returns the results that say more now, and what went wrong.
    """
    asked = {name: ended for name, result in found.items() if (ended := find_ended(earlier.results.get(name), result))}
    if not asked:
        return {}, ()
    more = replace(
        order,
        names=tuple(asked),
        attempt=order.attempt + 1,
        attempts=order.attempt + 1,
        fresh=False,
        hourly=frozenset(),
        log_files=frozenset(),
        look_at=tuple(asked),
        units={name: _once(one.unit for one in ended.values()) for name, ended in asked.items()},
        last_lines={name: _once(one.log_file for one in ended.values()) for name, ended in asked.items()},
    )
    try:
        answers = ask(more)
    except RoundError as error:
        return {}, (str(error),)
    return {
        name: add_endings(found[name], ended, answer)
        for name, ended in asked.items()
        if (answer := answers.get(name)) is not None
    }, ()


def _once(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(filter(None, names)))


def proxy_results(
    fleet: Fleet, answers: Answers, before: Mapping[str, CheckResult], now: datetime
) -> Mapping[str, CheckResult]:
    """The proxies' new results. A connection that an earlier attempt opened took the time that is known since then."""
    return {
        proxy.name: proxy_result(proxy, answer, now)
        for proxy in fleet.proxies
        if (answer := answers.proxies.get(proxy.alias)) and not (answer.kept and proxy.name in before)
    }


def proxies_to_look_at(order: Order, looked: Mapping[str, CheckResult]) -> tuple[str, ...]:
    """The proxies that the next attempt has to look at, when these have been."""
    return tuple(name for name in order.look_at if name not in looked)


def look_results(
    fleet: Fleet, answers: Answers, proxies: Mapping[str, CheckResult], earlier: Earlier, now: datetime
) -> dict[str, CheckResult]:
    """The results of the proxies that were looked at: what they say of themselves, if they answer at all."""
    found: dict[str, CheckResult] = {}
    for proxy in fleet.looked_at:
        answer, opened = answers.remotes.get(proxy.name), proxies.get(proxy.name)
        if answer is None or opened is None:
            continue
        look = partial(read_look, proxy, opened, answer, now, earlier.past(proxy.name))
        found[proxy.name] = _result(proxy, now, look)
    return found


def with_looks(
    fleet: Fleet, proxies: Mapping[str, CheckResult], looked: Mapping[str, CheckResult], earlier: Earlier
) -> dict[str, CheckResult]:
    """The proxies' results with those of the proxies that were looked at, and what is remembered of those."""
    found = {name: looked.get(name, proxies[name]) for name in fleet.looked_at_by_name if name in proxies}
    return {**proxies, **earlier.remembered(found)}


def remote_result(remote: Remote, answer: RemoteAnswer | None, now: datetime, past: Past | None = None) -> CheckResult:
    """What one remote answered. Whatever is wrong with that, it is the check result of this one remote."""
    return _result(remote, now, partial(read_remote, remote, answer, now, past))


def latest(before: CheckResult | None, now: CheckResult) -> CheckResult:
    """
    What is known of a remote after one more attempt.

    One that did not come so far, because the connection to the proxy was lost meanwhile, says nothing against what the
    attempt before has seen.
    """
    trouble = now.trouble
    return before if before and trouble and trouble.cause is Cause.NOT_CHECKED else now


def proxy_result(proxy: Proxy, answer: ProxyAnswer, now: datetime) -> CheckResult:
    """The same for a proxy."""
    return _result(proxy, now, partial(read_proxy, proxy, answer, now))


def _result(subject: Remote | Proxy, now: datetime, read: Callable[[], CheckResult]) -> CheckResult:
    try:
        return read()
    except Exception as error:
        return failed_result(subject, error, now)


def pause(seconds: float, cancel: Callable[[], bool]) -> None:
    """Wait, unless the round is given up meanwhile: then RoundGivenUp is raised."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if cancel():
            raise RoundGivenUp
        time.sleep(min(0.1, left))
