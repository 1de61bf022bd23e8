"""
One round, from lock to page: reads like a list, and decides nothing itself.

Takes the playbook over an inventory, and a clock; leaves the history, the page and the messages, and returns what it
found. The order is the rule: readings are recorded before anything that may fail for reasons of its own (page,
messages).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

from remotestatus import deliver, notice, outbox
from remotestatus.errors import ConfigurationError, RoundError, RoundGivenUp
from remotestatus.gathering import gather
from remotestatus.history import History, Round
from remotestatus.inventory import Inventory, read_inventory
from remotestatus.judge import Kind, Policy, State, Subject, Verdict, judge
from remotestatus.lock import only_round
from remotestatus.looks import Looks, look_at
from remotestatus.maintenance import window_of_proxy, window_of_remote
from remotestatus.pages import Templates
from remotestatus.playbook import Playbooks, Progress
from remotestatus.publish import publish
from remotestatus.reading import Reading
from remotestatus.remote import Fleet
from remotestatus.report import build_report
from remotestatus.sending import send_due
from remotestatus.text import one_line
from remotestatus.uptime import DayShare, share_out

Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Finished:
    """A round that was recorded. `troubles` say what of it failed all the same (page, messages, Ansible itself)."""

    inventory: Inventory
    round: Round
    states: Mapping[Subject, State]
    readings: Mapping[str, Reading]
    delivery: deliver.Delivery
    troubles: tuple[str, ...] = ()
    unheard: tuple[str, ...] = ()
    """Why the heartbeat could not be pinged, if it could not."""


@dataclass(frozen=True, slots=True)
class Order:
    """
    How a round is to be run. `clock` tells the time.

    `cancel` says when to give the round up: while it still looks, nothing of it is recorded then, because what it did
    not come to would be written down as unknown. A round that has looked is finished.
    """

    clock: Clock
    templates: Path | None = None
    progress: Callable[[Progress], None] = lambda _: None
    cancel: Callable[[], bool] = field(default=lambda: False)


def run_round(playbooks: Playbooks, order: Order) -> Finished:
    """
    Run one round.

    Raises ConfigurationError before anything is connected to, RoundError when the round could not be recorded, and
    RoundGivenUp when the order was cancelled.
    """
    playbooks.begin()
    templates = Templates(order.templates)
    templates.load()  # Ansible takes longer to start
    inventory = read_inventory(playbooks.describe_inventory(order.cancel))
    fleet = inventory.fleet
    destinations = _destinations(inventory)
    with (
        only_round(inventory.database),
        History.open(inventory.database) as history,
        _Heartbeat(fleet.settings.heartbeat) as heartbeat,
    ):
        started_at = order.clock()
        last, before = history.states(), history.readings()
        looks = look_at(playbooks, inventory, last, order.clock, order.cancel, order.progress)
        now = order.clock()
        memory = outbox.recall(history, now)
        verdicts = _judge(fleet, last, looks, now)
        states = _current(fleet, last, verdicts)
        plan = notice.plan(fleet, states, [destination.audience for destination in destinations], memory, now)
        days = _days(fleet, last, verdicts, memory, now)
        gone = [subject for subject in last if subject not in states]
        round_ = Round(0, started_at, now, len(looks.remotes), looks.troubles)
        with history.transaction():
            round_ = history.record(round_, verdicts, looks.remotes.values(), days, gone)
            outbox.add(history, plan, fleet)
            _forget_what_is_old(history, now, fleet.settings.retention)
        troubles = (*looks.troubles, *_publish(templates, history, inventory, round_, before, now))
        delivery = send_due(history, destinations, now, link=fleet.settings.url or "")
        heartbeat.finished(troubles)
        readings = {**history.readings(), **looks.remotes}
        return Finished(inventory, round_, states, readings, delivery, troubles, tuple(heartbeat.unheard))


class _Heartbeat:
    """Tells the heartbeat's URL, if there is one, that a round starts, and how it ended, also when it could not."""

    def __init__(self, url: str | None) -> None:
        self.url = url
        self.unheard: list[str] = []

    def __enter__(self) -> Self:
        if self.url:
            self._note(deliver.ping_start(self.url))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self.url and isinstance(error, RoundError) and not isinstance(error, RoundGivenUp):
            deliver.ping_failure(self.url, str(error))

    def finished(self, troubles: Sequence[str]) -> None:
        """The round was recorded; say so, or what of it failed."""
        if self.url:
            ping = deliver.ping_failure if troubles else deliver.ping_success
            self._note(ping(self.url, "; ".join(troubles)))

    def _note(self, why_not: str) -> None:
        if why_not:
            self.unheard.append(why_not)


def _destinations(inventory: Inventory) -> Sequence[deliver.Destination]:
    destinations = deliver.load_destinations(inventory.fleet.settings.apprise, inventory.base)
    problems = deliver.problems_of_tags(inventory.fleet, destinations)
    if problems:
        raise ConfigurationError("what the inventory says about messages has problems", problems)
    return destinations


def _forget_what_is_old(history: History, now: datetime, retention: timedelta) -> None:
    history.prune(now, retention)
    outbox.prune(history, now, retention)


def _judge(fleet: Fleet, last: Mapping[Subject, State], looks: Looks, now: datetime) -> list[Verdict]:
    """Judge everything that was looked at in this round."""
    policies = {
        remote.name: Policy(remote.settings.fail_after, remote.settings.recover_after) for remote in fleet.remotes
    }
    return [
        judge(kind, name, last.get((kind, name)), reading.troubles, policies.get(name, Policy()), now)
        for kind, readings in ((Kind.PROXY, looks.proxies), (Kind.REMOTE, looks.remotes))
        for name, reading in readings.items()
    ]


def _current(fleet: Fleet, last: Mapping[Subject, State], verdicts: Sequence[Verdict]) -> dict[Subject, State]:
    """The state of everything in the inventory after this round; a limited round leaves the others as they were."""
    listed = {(Kind.PROXY, proxy.name) for proxy in fleet.proxies} | {
        (Kind.REMOTE, remote.name) for remote in fleet.remotes
    }
    judged = {(verdict.state.kind, verdict.state.name): verdict.state for verdict in verdicts}
    return {subject: state for subject, state in {**last, **judged}.items() if subject in listed}


def _days(
    fleet: Fleet, last: Mapping[Subject, State], verdicts: Sequence[Verdict], memory: notice.Memory, now: datetime
) -> Iterator[tuple[Subject, DayShare]]:
    """What the time since the last look counts as, for everything that was looked at."""
    remotes = {remote.name: remote for remote in fleet.remotes}
    for verdict in verdicts:
        subject = (verdict.state.kind, verdict.state.name)
        state = last.get(subject)
        if state is None:
            continue
        if subject[0] is Kind.REMOTE:
            window = window_of_remote(remotes[subject[1]], memory.windows, now)
        else:
            window = window_of_proxy(subject[1], fleet, memory.windows, now)
        for share in share_out(
            state.seen_at, now, state.status, maintenance=window is not None, every=fleet.settings.every
        ):
            yield subject, share


def _publish(
    templates: Templates,
    history: History,
    inventory: Inventory,
    round_: Round,
    before: Mapping[str, Reading],
    now: datetime,
) -> Sequence[str]:
    """Make the page; what goes wrong with it is a sentence, because the round was recorded all the same."""
    logo = inventory.fleet.settings.logo
    try:
        report = build_report(gather(history, inventory.fleet, round_, before, now), now)
        return publish(report, inventory.site, templates, inventory.resolve(logo) if logo else None)
    except RoundError as error:
        return [str(error)]
    except Exception as error:
        # Whatever it is: people must still be told what this round found.
        return [f"the page could not be made: {one_line(f'{type(error).__name__}: {error}')}; please report this"]
