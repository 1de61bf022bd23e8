"""
Runs one round: the only module that calls all stages.

The order matters: check results are recorded before the page and the messages, which may fail. A failed page does not
stop the messages.
"""

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

from remotestatus.evaluate import (
    LONGEST_LOOK,
    current_states,
    evaluate_fleet,
    find_renewed,
    is_report_due,
    make_period_report,
    planned_windows,
    time_in_each_status,
)
from remotestatus.history import (
    History,
    acks_windows_notes,
    back_up,
    forget,
    only_round,
    open_or_repair,
    outbox,
    period,
    read_past,
    taken_replies,
)
from remotestatus.inventory import read_inventory
from remotestatus.model.check_result import FleetResults
from remotestatus.model.errors import RoundError, say_error
from remotestatus.model.fleet import Fleet, Inventory, LimitedPage
from remotestatus.model.inventory_variables import FleetSettings
from remotestatus.model.messages import Message, Waiting
from remotestatus.model.notification import Plan
from remotestatus.model.period_report import PeriodReport
from remotestatus.model.receiver_memory import NotificationMemory, OrphanedQueue
from remotestatus.model.replies import TakenReplies
from remotestatus.model.report_input import ReportInput
from remotestatus.model.rounds import Round
from remotestatus.model.states import State, StateChange, Subject
from remotestatus.notify import (
    Attempt,
    Destination,
    Failure,
    Heartbeat,
    Sending,
    complete_commands,
    compose_each,
    compose_notice,
    compose_report,
    is_for,
    plan_for_each,
    read_destinations,
    read_sources,
    send,
    settings_for,
    told_of,
)
from remotestatus.probe import PlaybookRunner, Progress
from remotestatus.probe.attempts import Earlier, check_fleet
from remotestatus.report import Report, make_sites, page_templates
from remotestatus.templates import Templates


@dataclass(frozen=True, slots=True)
class RoundOptions:
    """
    How a round is to be run. `clock` tells the time.

    `cancel` tells whether to cancel the round. While it checks remotes, nothing is recorded then, because unchecked
    remotes would be recorded as unknown. After that, the round is finished.
    """

    clock: Callable[[], datetime]
    templates: Path | None = None
    progress: Callable[[Progress], None] = lambda _: None
    cancel: Callable[[], bool] = field(default=lambda: False)


@dataclass(frozen=True, slots=True)
class FinishedRound:
    """
    A round that was recorded.

    `report` covers the limit's remotes, not redacted; None when it could not be made. `troubles` are errors of the
    round (page, Ansible); `heartbeat_failures` those of the heartbeat. `orphans` are messages that were dropped,
    because their destination is no longer configured.
    """

    inventory: Inventory
    round: Round
    report: Report | None
    attempts: tuple[Attempt, ...]
    troubles: tuple[str, ...] = ()
    heartbeat_failures: tuple[str, ...] = ()
    orphans: tuple[OrphanedQueue, ...] = ()
    replies: TakenReplies = field(default_factory=TakenReplies)


def run_round(runner: PlaybookRunner, options: RoundOptions) -> FinishedRound:
    """
    Run one round.

    Raises ConfigurationError before anything is connected to, RoundError when the round could not be recorded, and
    RoundGivenUp when it was cancelled.
    """
    runner.begin()
    templates = page_templates(options.templates)
    templates.load()  # during Ansible's start
    inventory = read_inventory(runner.describe_inventory(options.cancel))
    settings, destinations = inventory.fleet.settings, read_destinations(inventory)
    started_at = options.clock()
    with (
        _few_collections(),
        only_round(inventory.database),
        Heartbeat(settings.heartbeat) as heartbeat,
        open_or_repair(inventory.database, started_at) as (history, repaired),
    ):
        tools = _Tools(history, inventory, destinations, templates, runner.source.option)
        if repaired:
            _tell_repaired(tools, repaired, started_at)
        earlier = _read_earlier(history, inventory, started_at)
        results = check_fleet(runner, inventory, earlier, options.clock, options.cancel, options.progress)
        now = options.clock()
        found = _evaluate(tools, earlier, results, now)
        # Replies are applied only when a message can confirm them.
        replies = _take_replies(history, tools.fleet, found.states, now)
        memory = _recall(history, destinations, replies, now)
        outgoing = _plan_messages(tools, found.states, memory, now)
        troubles = (*filter(None, [repaired]), *results.troubles, *replies.failures, *outgoing.troubles)
        round_ = Round(0, started_at, now, len(results.remotes), troubles)
        round_ = _record(tools, earlier, found, memory, outgoing, round_)
        report, page_troubles = _make_pages(tools, earlier, found, round_)
        attempts, send_troubles = _send(tools, now)
        backup_troubles = _back_up(history, settings, now)
        troubles = (*round_.troubles, *page_troubles, *send_troubles, *backup_troubles)
        heartbeat.finish(troubles)
        failures, orphans = tuple(heartbeat.failures), outgoing.plan.orphans
        return FinishedRound(inventory, round_, report, attempts, troubles, failures, orphans, replies)


@dataclass(frozen=True, slots=True)
class _Tools:
    """What all steps of a round use. `option` is the `-i` option for commands."""

    history: History
    inventory: Inventory
    destinations: Sequence[Destination]
    templates: Templates
    option: str

    @property
    def fleet(self) -> Fleet:
        """All that is checked."""
        return self.inventory.fleet


@dataclass(frozen=True, slots=True)
class _Found:
    """The results of the round, and the new states."""

    results: FleetResults
    changes: Sequence[StateChange]
    states: Mapping[Subject, State]


def _evaluate(tools: _Tools, earlier: Earlier, results: FleetResults, now: datetime) -> _Found:
    """The state of everything in the inventory after this round."""
    fleet, windows = tools.fleet, acks_windows_notes.command_windows(tools.history, now)
    changes = evaluate_fleet(fleet, earlier.states, results, now, windows)
    return _Found(results, changes, current_states(fleet, earlier.states, changes))


def _record(
    tools: _Tools, earlier: Earlier, found: _Found, memory: NotificationMemory, outgoing: "_Outgoing", round_: Round
) -> Round:
    """Record results and messages in one transaction; return the round with its number."""
    history, results, now = tools.history, found.results, round_.finished_at
    with history.transaction() as db:
        recorded = history.record(
            round_,
            found.changes,
            results.remotes.values(),
            time_in_each_status(tools.fleet, earlier.states, found.changes, memory, now),
            gone=[subject for subject in earlier.states if subject not in found.states],
            renewed=find_renewed(results.probed, earlier.results, history.measured_at()),
            looks=results.looks.values(),
        )
        outgoing.keep(history, tools.option, now)
        forget(db, tools.fleet.settings, now)
    return recorded


def _make_pages(tools: _Tools, earlier: Earlier, found: _Found, round_: Round) -> tuple[Report | None, tuple[str, ...]]:
    """Make the report and all pages; what goes wrong with them is a sentence."""
    history, inventory, now = tools.history, tools.inventory, round_.finished_at
    results = {**earlier.results, **found.results.probed}

    def read_input() -> ReportInput:
        past = read_past(history, inventory.fleet, round_, found.states, results, earlier.results, now)
        return replace(past, ssh=inventory.ssh, inventory_option=tools.option)

    def read_regular(page: LimitedPage | None) -> PeriodReport | None:
        return _read_regular(history, inventory.fleet, page)

    return make_sites(read_input, read_regular, inventory, tools.templates, now)


@contextmanager
def _few_collections() -> Iterator[None]:
    """
    Let the garbage collector scan mostly new objects.

    A round keeps nearly all its objects. With 10,000 remotes, full collections take a tenth of its time.
    """
    before = gc.get_threshold()
    gc.set_threshold(10_000, 20, 1_000)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _tell_repaired(tools: _Tools, repaired: str, now: datetime) -> None:
    """Queue the message about the repair at once: if this round is stopped, the next one finds no damage."""
    notices = [compose_notice(one, tools.fleet, repaired, now) for one in tools.destinations]
    outbox.add(tools.history, Plan((), (), {}), [complete_commands(one, tools.option) for one in notices])


@dataclass(frozen=True, slots=True)
class _Outgoing:
    """The messages of a round: plan, messages, and what went wrong with them."""

    plan: Plan
    messages: Sequence[Message]
    troubles: tuple[str, ...]
    regular: Mapping[str, tuple[Sequence[Subject], PeriodReport]] | None
    """The regular report of each page, by its site, with what it is about; None when none was due."""

    def keep(self, history: History, inventory_option: str, now: datetime) -> None:
        """Store all of it in the history, in the transaction of the round."""
        outbox.add(history, self.plan, [complete_commands(one, inventory_option) for one in self.messages])
        if self.regular is not None:
            period.note_report(history, now)
            period.keep_for_pages(history, self.regular)
        taken_replies.keep_codes(history, self.plan.codes)


def _recall(
    history: History, destinations: Sequence[Destination], replies: TakenReplies, now: datetime
) -> NotificationMemory:
    """What each receiver knows, also after a change of secrets in its address."""
    outbox.carry_over(history, destinations)
    return replace(outbox.read_memory(history, now, destinations), replies=replies)


def _plan_messages(
    tools: _Tools, states: Mapping[Subject, State], memory: NotificationMemory, now: datetime
) -> _Outgoing:
    """Decide the notifications, and compose them."""
    history, fleet, templates = tools.history, tools.fleet, tools.templates
    plan, plan_troubles = plan_for_each(fleet, states, tools.destinations, memory, now)
    plan = taken_replies.invite(history, plan, fleet.settings.answers, now)
    messages, message_troubles = compose_each(plan, fleet, templates, tools.option)
    reports, regular, report_troubles = _regular_report(tools, states, memory, now)
    troubles = (*report_troubles, *plan_troubles, *message_troubles)
    return _Outgoing(plan, [*messages, *reports], troubles, regular)


def _regular_report(
    tools: _Tools, states: Mapping[Subject, State], memory: NotificationMemory, now: datetime
) -> tuple[Sequence[Message], Mapping[str, tuple[Sequence[Subject], PeriodReport]] | None, tuple[str, ...]]:
    """
    The regular report for each receiver and for each page, when it is due.

    The round is recorded even if it fails.
    """
    history, fleet = tools.history, tools.fleet
    spec = fleet.settings.report
    if spec is None:
        return (), None, ()
    try:
        last = period.last_report_at(history)
        if last is None or last > now:
            period.note_report(history, now)
            return (), None, ()
        if not is_report_due(spec, last, now):
            return (), None, ()
        span = period.read_period(history, last, now)
        planned = planned_windows(fleet, memory.windows, now)

        def report_on(subjects: Sequence[Subject]) -> PeriodReport:
            return make_period_report(span, subjects, states, memory.acknowledged, planned)

        messages = [
            compose_report(report_on(told_of(fleet, one)), one, fleet, tools.templates)
            for one in tools.destinations
            if is_for(spec, one)
        ]
        shown = {"": fleet.subjects(), **{page.spec.site: fleet.subjects(page.names) for page in fleet.pages}}
        return messages, {site: (subjects, report_on(subjects)) for site, subjects in shown.items()}, ()
    except Exception as error:
        return (), None, (f"the regular report could not be made: {say_error(error)}; please report this",)


def _read_regular(history: History, fleet: Fleet, page: LimitedPage | None) -> PeriodReport | None:
    """The last regular report of a page, or of the first one."""
    if fleet.settings.report is None:
        return None
    if page is None:
        return period.read_for_page(history, "")
    return period.read_for_page(history, page.spec.site, {name for _, name in fleet.subjects(page.names)})


def _take_replies(history: History, fleet: Fleet, states: Mapping[Subject, State], now: datetime) -> TakenReplies:
    """Apply the replies since the last round; an error here does not stop the round."""
    sources = fleet.settings.answers
    if not sources:
        return TakenReplies()
    try:
        found = read_sources([(source, taken_replies.read_until(history, source.key)) for source in sources])
        return taken_replies.take(history, found, {source.key: source.place for source in sources}, states, now)
    except Exception as error:
        return TakenReplies(failures=(f"answers could not be taken: {say_error(error)}; please report this",))


def _read_earlier(history: History, inventory: Inventory, now: datetime) -> Earlier:
    """
    What the history knows of the rounds before.

    Disk ranges are read only for checked remotes with a disk limit.
    """
    fleet = inventory.fleet
    asked = [
        remote.name
        for remote in fleet.remotes
        if remote.settings.limits.disk_full_within and remote.name in inventory.limited_to
    ]
    asked += [proxy.name for proxy in fleet.looked_at if proxy.settings.limits.disk_full_within]
    ranges = history.disk_ranges(asked, now.date() - timedelta(days=LONGEST_LOOK)) if asked else {}
    return Earlier(history.states(), history.check_results(), fleet.settings.every, ranges)


def _back_up(history: History, settings: FleetSettings, now: datetime) -> tuple[str, ...]:
    """Make the daily backup of the history; return why it failed."""
    try:
        back_up(history, now, settings.backups)
    except RoundError as error:
        return (str(error),)
    return ()


def _send(tools: _Tools, now: datetime) -> tuple[tuple[Attempt, ...], tuple[str, ...]]:
    """Send what is due; what fails waits in the outbox for the next round."""
    fleet, templates = tools.fleet, tools.templates
    own = {one.key: settings_for(one, fleet) for one in tools.destinations} if fleet.pages else {}
    sending = Sending(fleet.settings, templates, now, own_settings=own, option=tools.option)
    failed: tuple[str, ...] = ()
    try:
        attempts = send_due(tools.history, tools.destinations, sending)
    except RoundError as error:
        attempts, failed = (), (f"messages could not be sent: {error}",)
    except Exception as error:
        attempts, failed = (), (f"messages could not be sent: {say_error(error)}; please report this",)
    return attempts, (*failed, *(f"the shipped template of messages was used: {one}" for one in templates.problems))


def send_due(history: History, destinations: Sequence[Destination], sending: Sending) -> tuple[Attempt, ...]:
    """
    Send what waits for each destination and is due.

    A message is marked as sent only when its service accepted it, so a crash at most repeats a message.
    """
    now = sending.now

    def note(waiting: Waiting, attempt: Attempt) -> None:
        if attempt.taken:
            outbox.mark_sent(history, waiting, now)
        elif attempt.dropped:
            outbox.drop(history, waiting, f"refused: {attempt.error}")
        elif attempt.goes_on:
            outbox.mark_refused(history, waiting)
        else:
            if attempt.failure is Failure.MESSAGE:
                outbox.mark_refused(history, waiting)  # next time others are first
            outbox.mark_failed(history, waiting, attempt.error, now, permanent=attempt.permanent)

    names = {destination.key: destination.name for destination in destinations}
    return send(outbox.due(history, names, now), destinations, sending, note)
