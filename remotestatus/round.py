"""
One round, from lock to page: reads like a list, and decides nothing itself.

Takes where the inventory is and a clock; leaves the history, the page and the messages, and returns what it found.
The order is the rule: readings are recorded before anything that may fail for reasons of its own (page, messages).
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

from remotestatus import deliver, notice, outbox
from remotestatus.errors import ConfigurationError, Problem, RoundError, RoundGivenUp
from remotestatus.gathering import gather
from remotestatus.history import History, Round, Subject
from remotestatus.inventory import Inventory, read_inventory
from remotestatus.judge import Kind, Policy, State, Verdict, judge
from remotestatus.lock import only_round
from remotestatus.looking import choose_forks, look_again, suspect_ourselves
from remotestatus.maintenance import window_of_proxy, window_of_remote
from remotestatus.playbook import AnsibleSource, Playbooks, Progress
from remotestatus.publish import publish
from remotestatus.reading import Reading, read_proxy, read_remote
from remotestatus.remote import Fleet
from remotestatus.report import build_report
from remotestatus.sending import send_due
from remotestatus.uptime import DayShare, share_out

SHORTEST_ROUND = timedelta(minutes=2)
"""A round may take as long as the check interval, and never has less time than this."""

PAUSE_SECONDS = 2.0
"""Between the first look and the next: what was only a hiccup is over by then."""

SUSPICION_SECONDS = 5.0
"""The same, when most of the remotes behind a proxy vanished at once."""

Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Looks:
    """What all looks of a round brought, by name, and sentences about what went wrong with the looking itself."""

    proxies: Mapping[str, Reading]
    remotes: Mapping[str, Reading]
    troubles: tuple[str, ...] = ()


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

    source: AnsibleSource
    clock: Clock
    templates: Path | None = None
    progress: Callable[[Progress], None] = lambda _: None
    cancel: Callable[[], bool] = field(default=lambda: False)


def run_round(order: Order) -> Finished:
    """
    Run one round.

    Raises ConfigurationError before anything is connected to, RoundError when the round could not be recorded, and
    RoundGivenUp when the order was cancelled.
    """
    with Playbooks(order.source) as playbooks:
        inventory = read_inventory(order.source, playbooks)
        fleet = inventory.fleet
        destinations = deliver.load_destinations(fleet.settings.apprise, inventory.base)
        _refuse(deliver.problems_of_tags(fleet, destinations))
        with only_round(inventory.database), History.open(inventory.database) as history:
            heartbeat = fleet.settings.heartbeat
            unheard = [deliver.ping_start(heartbeat)] if heartbeat else []
            started_at = order.clock()
            last, before = history.states(), history.readings()
            looks = _look(order, playbooks, inventory, last, started_at)
            now = order.clock()
            memory = outbox.recall(history, now)
            verdicts = _judge(fleet, last, looks, now)
            states = _current(fleet, last, verdicts)
            audiences = [destination.audience for destination in destinations]
            plan = notice.plan(fleet, states, audiences, memory, now)
            round_ = Round(0, started_at, now, len(looks.remotes), looks.troubles)
            with history.transaction():
                number = history.record(
                    round_,
                    verdicts,
                    looks.remotes.values(),
                    _days(fleet, last, verdicts, memory, now),
                    gone=[subject for subject in last if subject not in states],
                )
                outbox.add(history, plan, fleet)
                history.prune(now, fleet.settings.retention)
                outbox.prune(history, now, fleet.settings.retention)
            round_ = replace(round_, id=number)
            troubles = list(looks.troubles)
            troubles += _publish(order, history, inventory, round_, before, now)
            delivery = send_due(history, destinations, now)
            if heartbeat:
                ping = deliver.ping_failure if troubles else deliver.ping_success
                unheard.append(ping(heartbeat, "; ".join(troubles)))
            readings = {**history.readings(), **looks.remotes}
            return Finished(
                inventory, round_, states, readings, delivery, tuple(troubles), tuple(filter(None, unheard))
            )


def _refuse(problems: Sequence[Problem]) -> None:
    if problems:
        raise ConfigurationError("what the inventory says about messages has problems", problems)


def _look(
    order: Order, playbooks: Playbooks, inventory: Inventory, last: Mapping[Subject, State], started_at: datetime
) -> Looks:
    """Look at every remote, and again at what failed, before the round's time is up."""
    fleet = inventory.fleet
    settings = fleet.settings
    remotes = [remote for remote in fleet.remotes if remote.name in inventory.limited_to]
    keep_seconds = round(settings.every.total_seconds() * 2.5) if settings.keep_connections else 0
    if keep_seconds:
        playbooks.keep_connections(inventory.database)
    else:
        playbooks.end_kept_connections(inventory.database)
    deadline = time.monotonic() + max(settings.every, SHORTEST_ROUND).total_seconds()
    forks = choose_forks(settings.forks, len(remotes))
    most = max((remote.settings.attempts for remote in remotes), default=1)
    proxies: dict[str, Reading] = {}
    found: dict[str, Reading] = {}
    troubles: list[str] = []
    names, fresh = sorted(inventory.limited_to), False
    for number in range(1, most + 1):
        look = playbooks.look(
            names,
            number=number,
            of=most,
            forks=forks if number == 1 else max(5, forks // 2),
            keep_seconds=keep_seconds,
            fresh=fresh,
            cancel=lambda: order.cancel() or time.monotonic() > deadline,
            progress=order.progress,
            total=sum(remote.name in names for remote in remotes),
        )
        if order.cancel():
            raise RoundGivenUp
        now = order.clock()
        answers = {_proxy_name(fleet, spec): answer for spec, answer in look.proxies.items()}
        proxies |= {
            proxy.name: read_proxy(proxy, answers[proxy.name], now) for proxy in fleet.proxies if proxy.name in answers
        }
        chosen = [remote for remote in remotes if number == 1 or remote.name in names]
        found |= {
            remote.name: read_remote(remote, look.remotes.get(remote.name), now)
            for remote in chosen
            if number == 1 or remote.name in look.remotes
        }
        if look.trouble:
            troubles.append(look.trouble)
            break
        names = look_again(remotes, found, number + 1)
        if not names:
            break
        fresh = suspect_ourselves(fleet, found, last, names)
        _pause(SUSPICION_SECONDS if fresh else PAUSE_SECONDS, order.cancel)
    return Looks(proxies, found, tuple(troubles))


def _pause(seconds: float, cancel: Callable[[], bool]) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if cancel():
            raise RoundGivenUp
        time.sleep(min(0.1, left))


def _proxy_name(fleet: Fleet, spec: str) -> str:
    return next((proxy.name for proxy in fleet.proxies if proxy.alias == spec), spec)


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
    order: Order,
    history: History,
    inventory: Inventory,
    round_: Round,
    before: Mapping[str, Reading],
    now: datetime,
) -> Iterator[str]:
    """Make the page; what goes wrong with it is a sentence, because the round was recorded all the same."""
    try:
        publish(
            build_report(gather(history, inventory.fleet, round_, before, now), now), inventory.site, order.templates
        )
    except RoundError as error:
        yield str(error)
