"""
Renders a notification with the templates of `messages/`.

The result is a Message with subject, plain text and HTML. Entries are sorted, grouped and counted here; the sentences
are in the templates. The subject says what and where, and each problem begins with what to do. Text that is too long
for its service is cut, with a count and a link to the rest. Pure: no clock and no network.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from html import escape

from remotestatus.model.causes import Cause
from remotestatus.model.check_result import MORE, NAMED, Key, Trouble, summarize
from remotestatus.model.errors import say_error
from remotestatus.model.fleet import Fleet, Remote
from remotestatus.model.messages import Message, NotificationType
from remotestatus.model.notification import EventType, Line, Notification, Plan, Receiver
from remotestatus.model.period_report import PeriodReport
from remotestatus.model.receiver_memory import FailingDestination, OrphanedQueue
from remotestatus.model.replies import ReplyOutcome
from remotestatus.model.states import Kind
from remotestatus.model.status_words import Severity, Status
from remotestatus.model.text import join_names, lower_first
from remotestatus.model.untrusted_text import defuse, one_line
from remotestatus.notify.assemble import (
    SUBJECT,
    assemble,
    complete_commands,
    fits,
    has_little_room,
    write_bodies,
    write_subject,
)
from remotestatus.notify.page_links import settings_for
from remotestatus.templates import Templates

GROUP = 4
"""This many remotes behind one proxy with one cause are one entry."""

NO_LONGER_LOOKED_AT = "No longer looked at: {names}."
"""For findings that ended because they are no longer checked."""

LOOKED_AT_AGAIN = "Could be looked at again: {names}."
"""For a check that failed only because it could not run."""

FORMS = (
    *((most, False) for most in (25, 12, 6, 3, 2, 1)),
    *((most, True) for most in (6, 3, 2, 1, 0)),
)
"""
Entries per section at most, and whether each is one sentence only; less where the service has less room.

With 0 entries there are no sections, only the subject.
"""


@dataclass(frozen=True, slots=True)
class MessageEntry:
    """
    One remote or proxy in a message, or several remotes behind one proxy with the same event and cause.

    `names` are all of them; everything else is about the one of `line`. `troubles` are all its findings, `news` those
    that are new or worse, `left` the others; those of one cause are one. `over` says what is over, `lost` names what is
    no longer checked, `passed` names what came and went in quiet hours. `since` and `ended` are None where that was in
    the last minute, `since` also where it was not the same for all, `lasted` where it is not known. `after` is how long
    it was not up: the shortest and the longest.
    """

    line: Line
    names: tuple[str, ...]
    remote: Remote | None
    troubles: tuple[Trouble, ...]
    news: tuple[Trouble, ...]
    left: tuple[Trouble, ...]
    over: tuple[str, ...]
    lost: tuple[str, ...]
    passed: tuple[str, ...]
    behind: tuple[str, ...]
    since: datetime | None
    lasted: timedelta | None
    ended: datetime | None
    after: tuple[timedelta, ...]

    @property
    def trouble(self) -> Trouble | None:
        """The most severe of the new troubles, else of the others."""
        return next(iter((*self.news, *self.troubles)), None)

    @property
    def stays(self) -> bool:
        """Whether only findings differ from what the receiver knows, not the status."""
        return self.line.event_type in (EventType.WORSE, EventType.BETTER) and self.line.before.status is self.line.now


@dataclass(frozen=True, slots=True)
class MessageSection:
    """One part of a message. A compact one is a list of sentences; `left` counts what is not shown."""

    kind: str
    entries: Sequence[MessageEntry | FailingDestination | OrphanedQueue | ReplyOutcome | Mapping[Status, int]]
    compact: bool = False
    left: int = 0

    def cut(self, most: int, compact: bool) -> "MessageSection":
        """The same with so many entries at most, each one sentence if `compact`."""
        hidden = [len(entry.names) if isinstance(entry, MessageEntry) else 1 for entry in self.entries[most:]]
        return replace(self, entries=self.entries[:most], left=sum(hidden), compact=self.compact or compact)


def compose_each(
    plan: Plan, fleet: Fleet, templates: Templates, option: str = ""
) -> tuple[Sequence[Message], Sequence[str]]:
    """A message for each notification; if one fails, it has only the names, and the round a trouble."""
    messages, troubles = [], []
    for notification in plan.notifications:
        try:
            messages.append(compose_message(notification, fleet, templates, option))
        except Exception as error:
            # The round still has to be recorded, and people notified.
            messages.append(compose_names(notification))
            troubles.append(f"a message could not be composed: {say_error(error)}; please report this")
    return messages, troubles


def compose_message(notification: Notification, fleet: Fleet, templates: Templates, option: str = "") -> Message:
    """Write one notification, as long as its service has room for. `option` is what names the inventory in commands."""
    lines, receiver = notification.lines, notification.receiver
    settings = settings_for(receiver, fleet)
    headline = _headline(notification, fleet, templates)
    message = Message(
        destination=receiver.key,
        destination_name=receiver.name,
        at=notification.at,
        type=_type(notification),
        headline=headline,
        subject=write_subject([headline], settings, templates),
        text="",
        html="",
        about=tuple((line.subject, line.event_type) for line in lines),
    )
    sections = [section for section in _sections(notification, fleet) if section.entries]
    for most, compact in FORMS:
        values = {
            "sections": [section.cut(most, compact) for section in sections if most],
            "at": notification.at,
            "url": settings.url,
            "answer": notification.answer,
            "brief": has_little_room(receiver),
        }
        if not most and not notification.answer:
            break
        written = complete_commands(write_bodies(message, "notification", values, templates), option)
        if fits(assemble([written], notification.at, settings, templates, receiver, whole=True), receiver):
            return written
    return message


def _headline(notification: Notification, fleet: Fleet, templates: Templates) -> str:
    """The subject without the fleet's title, with as many names of each kind as fit."""
    receiver, values = notification.receiver, _subject(notification, fleet)
    length = min(SUBJECT, receiver.room // 2) if has_little_room(receiver) else SUBJECT
    for most in (3, 2, 1):
        written = templates.render_or_shipped("messages/notification_subject.txt.j2", {**values, "most": most})
        if len(headline := one_line(written, 10 * SUBJECT)) <= length:
            break
    return one_line(headline, SUBJECT)


def compose_names(notification: Notification) -> Message:
    """Write the names alone, for a notification that cannot be composed."""
    names = ", ".join(one_line(line.state.name, 80) for line in notification.lines) or "a destination"
    headline = one_line(f"changed: {names}", SUBJECT)
    text = f"Something changed: {one_line(names, 2000)}. This message could not be composed; see `remotestatus status`."
    message = _sentence(notification.receiver, notification.at, headline, headline, text)
    return replace(message, about=tuple((line.subject, line.event_type) for line in notification.lines))


def compose_notice(receiver: Receiver, fleet: Fleet, sentence: str, now: datetime) -> Message:
    """Write a message about the checker itself, such as a damaged history."""
    headline = one_line(sentence, SUBJECT)
    return _sentence(receiver, now, headline, one_line(f"{fleet.settings.title}: {headline}", SUBJECT), sentence)


def _sentence(receiver: Receiver, at: datetime, headline: str, subject: str, text: str) -> Message:
    html = f"<p>{escape(text)}</p>"
    return Message(receiver.key, receiver.name, at, NotificationType.WARNING, headline, subject, text, html)


def _type(notification: Notification) -> NotificationType:
    problems = [line for line in notification.lines if line.is_problem]
    if any(line.severity is Severity.CRITICAL for line in problems if line.now is not Status.UNKNOWN):
        return NotificationType.FAILURE
    if problems or _of(notification, EventType.FLAPPING) or notification.failing or notification.orphans:
        return NotificationType.WARNING
    recovered = any(line.is_recovery for line in notification.lines)
    return NotificationType.SUCCESS if recovered else NotificationType.INFO


def _subject(notification: Notification, fleet: Fleet) -> Mapping[str, object]:
    """The values for the subject's template: names by kind, the most urgent first."""
    problems = [line for line in notification.lines if line.is_problem]
    recovered = [line for line in notification.lines if line.is_recovery]
    reminders = _of(notification, EventType.REMINDER)
    bad = (Status.DOWN, Status.DEGRADED, Status.UNKNOWN)
    by_word: dict[str, list[Line]] = {}
    for line in problems:
        by_word.setdefault(_word(line), []).append(line)
    proxies = _names(by_word.get("proxies", ()))
    names = {
        **{word: _names(by_word.get(word, ())) for word in _WORDS},
        "unstable": _names(_of(notification, EventType.FLAPPING)),
        "better": _names(_of(notification, EventType.BETTER)),
        "recovered proxies": _names(line for line in recovered if line.state.kind is Kind.PROXY),
        "recovered workers": _names(line for line in recovered if line.state.kind is Kind.WORKER),
        "recovered": _names(line for line in recovered if line.state.kind is Kind.REMOTE),
        "came and went": _names(_of(notification, EventType.CAME_AND_WENT)),
        "reminders": _names(reminders),
        "failing": tuple(one.name for one in notification.failing),
        "orphans": tuple(one.name for one in notification.orphans),
        "answers": tuple(one.command.value for one in notification.done),
        "standing": tuple(status.spoken for status in notification.standing),
    }
    return {
        "names_by_kind": {kind: several for kind, several in names.items() if several},
        "behind": len({remote.name for proxy in proxies for remote in fleet.behind(proxy)}),
        "open": [status for status in bad if any(line.now is status for line in reminders)],
    }


_WORDS = ("proxies", "workers", "down", "changed", "degraded", "worse", "warning", "worse warning", "unknown")
"""The kinds of problems in the subject, the most urgent first."""


def _word(line: Line) -> str:
    """Which of _WORDS a problem is."""
    if line.state.kind is Kind.WORKER or (line.state.kind is Kind.PROXY and line.now is not Status.DEGRADED):
        return "proxies" if line.state.kind is Kind.PROXY else "workers"
    stays = line.event_type is EventType.WORSE and line.before.status is line.now
    if stays and line.now is Status.DOWN:
        return "changed"
    if line.now is not Status.DEGRADED:
        return line.now.value
    word = "degraded" if line.severity is Severity.CRITICAL else "warning"
    return ("worse" if word == "degraded" else "worse warning") if stays else word


def _sections(notification: Notification, fleet: Fleet) -> Iterable[MessageSection]:
    at, lines = notification.at, notification.lines

    def single(found: Iterable[Line]) -> list[MessageEntry]:
        return [_entry([line], fleet, at) for line in found]

    new = [line for line in lines if line.is_problem and line.event_type is not EventType.WORSE]
    yield MessageSection("answers", notification.done, compact=True)
    yield MessageSection("problems", _problems(new, fleet, at))
    yield MessageSection("worse", _problems(_of(notification, EventType.WORSE), fleet, at))
    yield MessageSection("unstable", single(_of(notification, EventType.FLAPPING)))
    yield MessageSection("better", _problems(_of(notification, EventType.BETTER), fleet, at))
    recovered = [line for line in lines if line.is_recovery]
    yield MessageSection("recovered", _recoveries(recovered, fleet, at), compact=True)
    yield MessageSection("passed", single(_of(notification, EventType.CAME_AND_WENT)), compact=True)
    yield MessageSection("reminders", single(sorted(_of(notification, EventType.REMINDER), key=_rank)), compact=True)
    yield MessageSection("failing", notification.failing)
    yield MessageSection("orphans", notification.orphans, compact=True)
    yield MessageSection("standing", [notification.standing] if notification.standing else [], compact=True)


def _problems(lines: Iterable[Line], fleet: Fleet, at: datetime) -> list[MessageEntry]:
    groups: dict[tuple[object, ...], list[Line]] = {}
    for line in lines:
        # A proxy, and a direct remote, is an entry of its own.
        groups.setdefault((_proxy(line, fleet) or line.state.name, line.event_type, *_sameness(line)), []).append(line)
    ordered = sorted(groups.values(), key=lambda members: min(map(_rank, members)))
    return [entry for members in ordered for entry in _grouped(members, fleet, at)]


def _sameness(line: Line) -> tuple[object, ...]:
    """What remotes of one entry have in common: the cause if they are down, else every finding."""
    trouble = line.state.trouble
    if line.now is not Status.DEGRADED:
        return (trouble.cause if trouble else "",)
    changes = sorted((change.finding.key, str(change.now)) for change in line.changes)
    return (line.before.status, tuple(changes), tuple(trouble.key for trouble in line.troubles))


def _recoveries(lines: Iterable[Line], fleet: Fleet, at: datetime) -> list[MessageEntry]:
    groups: dict[tuple[object, ...], list[Line]] = {}
    for line in sorted(lines, key=_rank):
        proxy = _proxy(line, fleet) if line.state.kind is Kind.REMOTE else line.state.name
        lost = [change.finding.key for change in line.changes] if line.all_lost else []
        groups.setdefault((line.state.kind, proxy, *lost), []).append(line)
    return [entry for members in groups.values() for entry in _grouped(members, fleet, at)]


def _grouped(members: Sequence[Line], fleet: Fleet, at: datetime) -> list[MessageEntry]:
    """One entry for many remotes behind one proxy, or one for each of a few."""
    if len(members) >= GROUP and _proxy(members[0], fleet):
        return [_entry(members, fleet, at)]
    return [_entry([line], fleet, at) for line in sorted(members, key=_rank)]


def _entry(lines: Sequence[Line], fleet: Fleet, at: datetime) -> MessageEntry:
    line, minute = lines[0], timedelta(minutes=1)
    since, ended = _begun(line), _ended(line, at)
    at_once = len({_begun(one) for one in lines}) == 1
    begun = since or line.before.since
    spans = sorted(_ended(one, at) - one.before.since for one in lines if one.before.since and one.before.since < at)
    found = line.troubles or line.state.troubles
    new_keys = {change.finding.key for change in line.changes if change.is_bad}
    known = {finding.key for finding in line.before.findings or ()} | {trouble.key for trouble in found}
    return MessageEntry(
        line=line,
        names=_names(lines),
        remote=_remote(line, fleet),
        troubles=_in_words(found),
        news=_in_words(trouble for trouble in found if trouble.key in new_keys),
        left=_in_words(trouble for trouble in found if trouble.key not in new_keys),
        over=_say_over(line, _remote(line, fleet) or fleet.looked_at_by_name.get(line.state.name)),
        lost=tuple(defuse(change.finding.what) for change in line.changes if change.lost),
        passed=_say_passed(line, known),
        behind=tuple(remote.name for remote in _behind(line, fleet)),
        since=since if since and at_once and at - since >= minute else None,
        lasted=at - begun if begun else None,
        ended=ended if at - ended >= minute else None,
        after=(spans[0], spans[-1]) if spans else (),
    )


def _behind(line: Line, fleet: Fleet) -> tuple[Remote, ...]:
    """The remotes that cannot, or could not, be checked because of the proxy or worker that a line is about."""
    if Status.DEGRADED in (line.now, line.before.status if line.now is Status.UP else None):
        return ()  # its tunnels still work
    match line.state.kind:
        case Kind.PROXY:
            return fleet.behind(line.state.name)
        case Kind.WORKER:
            return fleet.only_from(line.state.name)
        case _:
            return ()


def _in_words(troubles: Iterable[Trouble]) -> tuple[Trouble, ...]:
    """The findings for a message: those of one cause joined, and mentions and links defused."""
    return tuple(
        replace(trouble, message=defuse(trouble.message), hint=defuse(trouble.hint), detail=defuse(trouble.detail))
        for trouble in summarize(troubles)
    )


def _say_over(line: Line, remote: Remote | None) -> tuple[str, ...]:
    """What is over or less severe, a sentence per cause: `Running again: encoder, web.`"""
    over: dict[str, list[str]] = {}
    still_wrong = {trouble.what for trouble in line.troubles}
    checks = {spec.name for spec in remote.settings.checks} if remote else set[str]()
    for change in line.changes:
        cause, what = change.finding.key
        if change.now is not None or not what or change.finding.key == MORE:
            continue
        sentence = NO_LONGER_LOOKED_AT if change.lost else cause.declaration.over
        if cause is Cause.CHECK_FAILED and what not in checks and not change.lost:
            if what in still_wrong:
                continue  # it could not be examined, and then was found wrong
            sentence = LOOKED_AT_AGAIN
        over.setdefault(sentence, []).append(what)
    sentences = [_fill(sentence, names) for sentence, names in over.items()]
    eased = [change.trouble for change in line.changes if change.now and not change.is_bad and change.trouble]
    return (*sentences, *(f"No longer critical: {lower_first(trouble.message)}" for trouble in _in_words(eased)))


def _say_passed(line: Line, known: Collection[Key]) -> tuple[str, ...]:
    """What came and went in quiet hours, by cause: `not running: encoder`."""
    passed: dict[Cause, list[str]] = {}
    for finding in line.before.held_findings:
        if finding.key not in known:
            passed.setdefault(finding.cause, []).append(finding.what)
    return tuple(lower_first(_fill(cause.declaration.message, names).rstrip(".")) for cause, names in passed.items())


def _fill(sentence: str, names: Sequence[str]) -> str:
    return defuse(sentence.replace("{names}", join_names(names, NAMED)))


def _begun(line: Line) -> datetime | None:
    """When a problem began; for one that was never checked, when that began."""
    return line.state.problem_since or (line.state.since if line.now is Status.UNKNOWN else None)


def _ended(line: Line, at: datetime) -> datetime:
    """When a problem was over: before now if quiet hours held it."""
    ended = line.state.confirmed_since or at
    return ended if (line.before.since or ended) <= ended <= at else at


def _remote(line: Line, fleet: Fleet) -> Remote | None:
    """The remote that a line is about; None for a proxy."""
    return fleet.remotes_by_name.get(line.state.name) if line.state.kind is Kind.REMOTE else None


def _proxy(line: Line, fleet: Fleet) -> str:
    """The proxy that a remote is behind; empty for a proxy, and for a remote that is reached directly."""
    remote = _remote(line, fleet)
    return (remote.proxy or "") if remote else ""


def _of(notification: Notification, event_type: EventType) -> list[Line]:
    return [line for line in notification.lines if line.event_type is event_type]


def _names(lines: Iterable[Line]) -> tuple[str, ...]:
    return tuple(line.state.name for line in sorted(lines, key=_rank))


def _rank(line: Line) -> tuple[int, int, int, tuple[tuple[int, str], ...]]:
    """The order in a message: proxies, then the most severe, then r2 before r10."""
    natural = tuple(
        (int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", line.state.name) if part
    )
    return 1 if line.state.kind is Kind.REMOTE else 0, -line.now.rank, -line.severity.rank, natural


def compose_report(report: PeriodReport, receiver: Receiver, fleet: Fleet, templates: Templates) -> Message:
    """Write the report for one receiver."""
    lasting = tuple(replace(one, message=defuse(one.message)) for one in report.lasting)
    settings = settings_for(receiver, fleet)
    values = {"report": replace(report, lasting=lasting), "at": report.until, "url": settings.url}
    headline = one_line(templates.render_or_shipped("messages/report_subject.txt.j2", values), SUBJECT)
    subject = write_subject([headline], settings, templates)
    message = Message(receiver.key, receiver.name, report.until, NotificationType.INFO, headline, subject, "", "")
    return write_bodies(message, "report", values, templates)
