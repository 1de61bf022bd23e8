"""
The orders of a round besides its retries: the first, and the last, which asks how processes have ended.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from remotestatus_playbook.protocol import Order, RemoteAnswer

from remotestatus.evaluate import (
    Past,
    add_endings,
    asks_for_log_files,
    find_ended,
    is_due,
)
from remotestatus.model.check_result import CheckResult
from remotestatus.model.days import Ranges
from remotestatus.model.errors import RoundError
from remotestatus.model.fleet import Inventory, Remote
from remotestatus.model.states import State, Subject
from remotestatus.probe.attempts.at_once import choose_forks
from remotestatus.probe.playbook_run import PlaybookRunner
from remotestatus.probe.runtime_directories import end_kept_connections, seconds_kept


@dataclass(frozen=True, slots=True)
class Earlier:
    """The history of earlier rounds: last states and check results, check interval, daily ranges."""

    states: Mapping[Subject, State] = field(default_factory=dict)
    results: Mapping[str, CheckResult] = field(default_factory=dict)
    every: timedelta = timedelta(minutes=10)
    ranges: Mapping[str, Ranges] = field(default_factory=dict)

    def past(self, name: str) -> Past:
        """The Past of one remote."""
        return Past(self.results.get(name), self.every, self.ranges.get(name, {}))


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


def find_endings(
    ask: Ask,
    order: Order,
    earlier: Earlier,
    found: Mapping[str, CheckResult],
) -> tuple[dict[str, CheckResult], tuple[str, ...]]:
    """
    Ask once what ended the newly missing processes; healthy remotes are not asked.

    `order` is the last one that ran. Returns the changed results, and what went wrong.
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
