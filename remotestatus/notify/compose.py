"""
Puts what a destination is told into words.

A Notification (or several, when a destination was away for some rounds) comes in; a Message with its subject, plain
text and HTML goes out. It is read at three in the morning: the subject says what and where, each problem says first
what to do, and what is too long for its service is cut with a count and the place where the rest is. Pure: no clock and
no network.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from html import escape

from remotestatus.model.durations import say_duration
from remotestatus.model.fleet import Fleet, Remote
from remotestatus.model.notification import EventType, FailingDestination, Line, Message, Notification, NotificationType
from remotestatus.model.settings import FleetSettings
from remotestatus.model.states import Kind
from remotestatus.model.statuses import Status
from remotestatus.model.text import one_line
from remotestatus.model.times import say_moment

GROUP = 4
"""So many remotes behind one proxy with the same cause are one line."""

NAMES = 12
"""Names listed in such a line."""

SUBJECT = 140
"""Characters of a subject at most."""

DETAILED = 25
"""Problems written out in one message at most."""

LATE = timedelta(minutes=5)
"""A message that is older when it is sent says so."""


_SIGNATURE = "\n\n-- \n"
"""What mail programs take for the beginning of a signature."""


@dataclass(frozen=True, slots=True)
class _Section:
    heading: str
    items: tuple[tuple[str, ...], ...]
    compact: bool = False
    """Whether the items are lines of one paragraph instead of paragraphs of their own."""
    counts: tuple[int, ...] = ()
    """How many remotes each item is about, when not one."""


def compose_message(notification: Notification, fleet: Fleet) -> Message:
    """Write one notification, as long as its service has room for."""
    sections = tuple(section for section in _sections(notification, fleet) if section.items)
    subject = _subject(notification, fleet)
    foot = _foot(fleet.settings, notification.at)
    for most in (DETAILED, 12, 6, 3, 2, 1, 0):
        text, html = _text(sections, foot, most, fleet.settings), _html(sections, foot, most, fleet.settings)
        if not notification.receiver.room or len(html) <= notification.receiver.room:
            break
    return Message(
        destination=notification.receiver.key,
        destination_name=notification.receiver.name,
        at=notification.at,
        tone=_tone(notification),
        subject=subject,
        text=text,
        html=html,
        about=tuple((line.subject, line.event_type) for line in notification.lines),
    )


def combine(messages: Sequence[Message], now: datetime, room: int = 0) -> Message:
    """
    Make one message of all that waits for a destination, oldest first, and say of late ones when they happened.

    What no longer fits is given by its subject alone.
    """
    newest = messages[-1]
    if len(messages) == 1:
        if now - newest.at < LATE:
            return newest
        note = f"This message is late: it is about {say_moment(newest.at, now)}, {_ago(newest.at, now)}."
        return _with(newest, f"{newest.subject} (late)", f"{note}\n\n{newest.text}", f"<p>{note}</p>\n{newest.html}")
    note = f"{len(messages)} messages could not be delivered when they were due; here they are, the oldest first."
    title = _title_of(messages)
    event_types = [message.subject.removesuffix(title) for message in messages]
    for whole in (len(messages), 3, 1, 0):
        text, html = [note], [f"<p>{note}</p>"]
        for number, (message, event_type) in enumerate(zip(messages, event_types, strict=True)):
            heading = f"{say_moment(message.at, now)}, {_ago(message.at, now)}: {event_type}"
            body_text, body_html = message.text, message.html
            if message is not newest:
                body_text, body_html = body_text.rpartition(_SIGNATURE)[0], body_html.rpartition("\n<p>")[0]
            if number < len(messages) - whole:
                body_text = body_html = ""
            text.append(f"{heading}\n{'-' * min(len(heading), 72)}\n{body_text}".rstrip())
            html.append(f"<h3>{_safe(heading)}</h3>\n{body_html}".rstrip())
        if not room or len("\n".join(html)) <= room:
            break
    worst = min(messages, key=lambda message: list(NotificationType).index(message.tone))
    subject = " → ".join(event_types) + title
    if len(subject) > SUBJECT:
        # The worst must not hide behind a recovery that came later.
        latest_worst = [
            event_type for event_type, message in zip(event_types, messages, strict=True) if message.tone is worst.tone
        ][-1]
        more = f" (and {len(messages) - 1} more){title}"
        subject = one_line(latest_worst, max(20, SUBJECT - len(more))) + more
    return replace(_with(newest, subject, "\n\n".join(text), "\n".join(html)), tone=worst.tone)


def shorten(message: Message, why: str, link: str) -> Message:
    """
    The same message as its subject and a link, for a service that refuses its words.

    `why` is what the service answered, `link` where the words can be read.
    """
    text = (
        f"{message.subject}\n\nThis message was refused as it was written: {why}. What it said is here: {link}"
        f"{_SIGNATURE}{message.at:%Y-%m-%d %H:%M} UTC"
    )
    paragraphs = "".join(f"<p>{_safe(part)}</p>\n" for part in text.partition(_SIGNATURE)[0].split("\n\n"))
    return replace(message, text=text, html=paragraphs.rstrip())


def _title_of(messages: Sequence[Message]) -> str:
    """The fleet's title as all these subjects end in it, or nothing."""
    found = re.search(r" \[[^\[\]]*\]$", messages[-1].subject)
    title = found[0] if found else ""
    return title if all(message.subject.endswith(title) for message in messages) else ""


def write_test(title: str, name: str) -> tuple[str, str]:
    """Subject and plain text of a test message."""
    return (
        f"{title}: test message",
        f"This is a test of the destination {name}. `remotestatus notify --test` sent it; nothing is wrong.",
    )


def _with(message: Message, subject: str, text: str, html: str) -> Message:
    return replace(message, subject=one_line(subject, SUBJECT), text=text, html=html)


def _ago(moment: datetime, now: datetime) -> str:
    return f"{say_duration(now - moment)} ago"


# -- the subject -------------------------------------------------------------------------------------------------------


def _subject(notification: Notification, fleet: Fleet) -> str:
    settings = fleet.settings
    problems = [line for line in notification.lines if _is_problem(line)]
    proxies = [line for line in problems if line.state.kind is Kind.PROXY]
    remotes = [line for line in problems if line.state.kind is Kind.REMOTE]
    reminders = _of(notification, EventType.REMINDER)
    better = _of(notification, EventType.BETTER)
    recovered = [line for line in notification.lines if _is_recovery(line)]
    gone_by = _of(notification, EventType.CAME_AND_WENT)
    parts = []
    if proxies:
        behind = len({remote.name for line in proxies for remote in fleet.behind(line.state.name)})
        word = "proxy" if len(proxies) == 1 else f"{len(proxies)} proxies:"
        carried = f" with {_plural(behind, 'remote')} behind {'it' if len(proxies) == 1 else 'them'}" if behind else ""
        parts.append(f"{word} {_names(_names_of(proxies), 3)} down{carried}")
    for status in (Status.DOWN, Status.DEGRADED, Status.UNKNOWN):
        names = _names_of(line for line in remotes if line.now is status)
        if names:
            parts.append(f"{len(names)} {status.spoken}: {_names(names, 3)}")
    if flapping := _names_of(_of(notification, EventType.FLAPPING)):
        parts.append(f"{len(flapping)} unstable: {_names(flapping, 3)}")
    if better:
        parts.append(f"{len(better)} better: {_names(_names_of(better), 3)}")
    mended = [line for line in recovered if line.state.kind is Kind.PROXY]
    if mended:
        parts.append(f"{'proxy' if len(mended) == 1 else 'proxies'} {_names(_names_of(mended), 3)} recovered")
    if recovered := [line for line in recovered if line.state.kind is Kind.REMOTE]:
        parts.append(f"{len(recovered)} recovered" + ("" if parts else f": {_names(_names_of(recovered), 3)}"))
    if gone_by:
        parts.append(f"{len(gone_by)} came and went" + ("" if parts else f": {_names(_names_of(gone_by), 3)}"))
    if reminders:
        parts.append(f"{len(reminders)} still {_statuses(reminders)}: {_names(_names_of(reminders), 3)}")
    if notification.failing:
        parts.append(f"no messages reach {_names([one.name for one in notification.failing], 2)}")
    event_type = "; ".join(parts)
    default = FleetSettings.model_fields["title"].default
    return one_line(event_type if settings.title == default else f"{event_type} [{settings.title}]", SUBJECT)


def _tone(notification: Notification) -> NotificationType:
    if any(_is_problem(line) and line.now is Status.DOWN for line in notification.lines):
        return NotificationType.FAILURE
    if (
        any(_is_problem(line) or line.event_type is EventType.FLAPPING for line in notification.lines)
        or notification.failing
    ):
        return NotificationType.WARNING
    return NotificationType.SUCCESS if any(_is_recovery(line) for line in notification.lines) else NotificationType.INFO


def _statuses(lines: Sequence[Line]) -> str:
    found = [
        status for status in (Status.DOWN, Status.DEGRADED, Status.UNKNOWN) if any(line.now is status for line in lines)
    ]
    return " or ".join(status.spoken for status in found)


# -- the body ----------------------------------------------------------------------------------------------------------


def _sections(notification: Notification, fleet: Fleet) -> Iterable[_Section]:
    remotes = {remote.name: remote for remote in fleet.remotes}
    fresh = [line for line in notification.lines if _is_problem(line) and line.event_type is not EventType.WORSE]
    yield _problems("", fresh, notification, fleet, remotes)
    yield _problems("Worse than before", _of(notification, EventType.WORSE), notification, fleet, remotes)
    yield _Section(
        "Unstable",
        tuple(
            (
                f"{_title(line, remotes)} keeps changing: {line.state.recent.count('1')} times in the last "
                f"{len(line.state.recent)} looks, now {line.state.status.spoken}.",
                f"Do: {line.state.trouble.hint}"
                if line.state.trouble
                else f"Do: See when it changes: `remotestatus status {line.state.name}`.",
                "You will not hear of each change, but once when it has been the same for some time.",
            )
            for line in _of(notification, EventType.FLAPPING)
        ),
    )
    better = _of(notification, EventType.BETTER)
    yield _problems("Better, but not well", better, notification, fleet, remotes)
    yield _recoveries([line for line in notification.lines if _is_recovery(line)], notification, fleet, remotes)
    yield _Section(
        "Came and went in quiet hours",
        tuple(
            (f"{_title(line, remotes)}: {_trail(line, notification.at)}.",)
            for line in _of(notification, EventType.CAME_AND_WENT)
        ),
        compact=True,
    )
    reminders = sorted(_of(notification, EventType.REMINDER), key=_rank)
    yield _Section(
        "Still open",
        tuple((_reminder(line, notification.at, remotes),) for line in reminders),
        compact=True,
    )
    yield _Section("Messages that do not arrive", tuple(_failing(one, notification.at) for one in notification.failing))


def _problems(
    heading: str, lines: Sequence[Line], notification: Notification, fleet: Fleet, remotes: dict[str, Remote]
) -> _Section:
    items: list[tuple[str, ...]] = []
    counts: list[int] = []
    groups: dict[tuple[str, str, EventType], list[Line]] = {}
    for line in lines:
        remote = remotes.get(line.state.name) if line.state.kind is Kind.REMOTE else None
        proxy = (remote.proxy or "") if remote else ""
        cause = line.state.trouble.cause.value if line.state.trouble else ""
        # A proxy, or a remote that no proxy carries, stands for itself.
        groups.setdefault((proxy or line.state.name, cause, line.event_type), []).append(line)
    for (proxy, _, _), members in sorted(groups.items(), key=lambda group: min(map(_rank, group[1]))):
        if len(members) >= GROUP:
            items.append(_group(proxy, members, notification.at))
            counts.append(len(members))
            continue
        for line in sorted(members, key=_rank):
            items.append(_problem(line, notification.at, fleet, remotes))
            counts.append(1)
    return _Section(heading, tuple(items), counts=tuple(counts))


def _problem(line: Line, now: datetime, fleet: Fleet, remotes: dict[str, Remote]) -> tuple[str, ...]:
    state = line.state
    behind = fleet.behind(state.name) if state.kind is Kind.PROXY else ()
    since = _since(line, now)
    if state.kind is Kind.PROXY:
        first = f"The proxy {state.name} is {line.now.spoken}{since}"
        first += f", and {_plural(len(behind), 'remote')} behind it" if behind else ""
    else:
        first = f"{_title(line, remotes)} is {line.now.spoken}{since}"
    written = [first + "."]
    if line.event_type is EventType.STEADY:
        written[0] = f"{_title(line, remotes)} no longer changes: it is {line.now.spoken}{since}."
    if line.event_type in (EventType.WORSE, EventType.BETTER):
        written[0] = f"{_title(line, remotes)} was {line.before.status.spoken} and is {line.now.spoken} now."
    if state.trouble and state.trouble.hint:
        written.append(f"Do: {state.trouble.hint}")
    if state.trouble and line.now is Status.DEGRADED:
        # What is wrong is short here, and says more than the word.
        written[0] = f"{written[0].removesuffix('.')}: {_lower(state.trouble.message)}"
    elif state.trouble:
        written.append(f"Why: {state.trouble.message}")
        written += [f"Also: {trouble.message}" for trouble in state.troubles[1:4]]
        if state.trouble.detail:
            written.append(f"Seen: {state.trouble.detail}")
    if behind:
        names = _names([remote.name for remote in behind], NAMES)
        written.append(f"Behind it, and not looked at until it answers: {names}.")
    if line.escalated:
        written.append(f"You are told because it has lasted {_lasting(line, now)}.")
    if len(line.before.held) > 1:
        written.append(f"Meanwhile: {_trail(line, now)}.")
    return tuple(written)


def _group(proxy: str, members: Sequence[Line], now: datetime) -> tuple[str, ...]:
    first = members[0]
    trouble = first.state.trouble
    written = [
        f"{len(members)} remotes behind {proxy} are {first.now.spoken} with the same cause{_since(first, now)}"
        + (f": {trouble.cause.value}." if trouble else ".")
    ]
    if trouble:
        written.append(
            f"Do: Look for what they share: was {proxy} or its sshd restarted, is their site's line or power away? "
            f"If not, begin with {first.state.name}: {trouble.hint}"
        )
        written.append(
            f"Why: {trouble.message}" + (f" ({first.state.name})" if first.state.name not in trouble.message else "")
        )
    written.append(f"All of them: {_names(_names_of(members), NAMES)}.")
    return tuple(written)


def _recoveries(
    lines: Sequence[Line], notification: Notification, fleet: Fleet, remotes: dict[str, Remote]
) -> _Section:
    groups: dict[str, list[Line]] = {}
    for line in sorted(lines, key=_rank):
        remote = remotes.get(line.state.name) if line.state.kind is Kind.REMOTE else None
        groups.setdefault((remote.proxy or "") if remote else f"proxy {line.state.name}", []).append(line)
    items: list[tuple[str, ...]] = []
    counts: list[int] = []
    for proxy, members in groups.items():
        if len(members) >= GROUP and proxy:
            spans = sorted(_ended(line, notification.at) - line.before.since for line in members if line.before.since)
            shortest, longest = (say_duration(spans[0]), say_duration(spans[-1])) if spans else ("", "")
            after = f" after {shortest}" + (f" to {longest}" if longest != shortest else "") if spans else ""
            names = _names(_names_of(members), NAMES)
            items.append((f"{len(members)} remotes behind {proxy} are up again{after}: {names}.",))
            counts.append(len(members))
            continue
        for line in members:
            items.append((_recovery(line, notification.at, fleet, remotes),))
            counts.append(1)
    return _Section("Recovered", tuple(items), compact=True, counts=tuple(counts))


def _recovery(line: Line, now: datetime, fleet: Fleet, remotes: dict[str, Remote]) -> str:
    ended = _ended(line, now)
    after = f" after {say_duration(ended - line.before.since)}" if line.before.since else ""
    if now - ended >= timedelta(minutes=1):
        after = f" since {say_moment(ended, now)}{after and f',{after}'}"
    if line.before.status is Status.UNKNOWN:
        return f"{_title(line, remotes)} is looked at again, and it is up."
    was = f" (it was {line.before.status.spoken})" if line.before.status is not Status.DOWN else ""
    if line.event_type is EventType.STEADY:
        return f"{_title(line, remotes)} no longer changes: it is up."
    if line.state.kind is Kind.PROXY:
        behind = len(fleet.behind(line.state.name))
        again = f"; the {_plural(behind, 'remote')} behind it can be looked at again" if behind else ""
        return f"The proxy {line.state.name} answers again{after}{again}."
    return f"{_title(line, remotes)} is up again{after}{was}."


def _reminder(line: Line, now: datetime, remotes: dict[str, Remote]) -> str:
    why = f": {line.state.trouble.message}" if line.state.trouble else "."
    return f"{_title(line, remotes)} is {line.now.spoken} for {_lasting(line, now)}{why}"


def _failing(one: FailingDestination, now: datetime) -> tuple[str, ...]:
    first = f"{one.name} has taken no message since {say_moment(one.since, now)} ({say_duration(now - one.since)})."
    do = "correct its URL" if one.permanent else "see whether its service works"
    return (first, f"Do: {do}, then try `remotestatus notify --test`.", f"Why: {one.error}")


def _trail(line: Line, now: datetime) -> str:
    return ", ".join(f"{status.spoken} from {say_moment(at, now)}" for at, status in line.before.held)


def _foot(settings: FleetSettings, at: datetime) -> tuple[str, ...]:
    where = f" · {settings.url}" if settings.url else ""
    return (f"{settings.title} · looked at {at:%Y-%m-%d %H:%M} UTC{where}",)


# -- plain text and HTML -----------------------------------------------------------------------------------------------


def _cut(section: _Section, most: int, settings: FleetSettings) -> tuple[tuple[tuple[str, ...], ...], str]:
    shown = section.items[:most]
    left = section.counts[most:] or (1,) * (len(section.items) - most)
    if len(section.items) <= most:
        return shown, ""
    where = settings.url or "`remotestatus status`"
    also = "and " if shown else ""
    return shown, f"… {also}{sum(left)} more that are not shown here; all of them: {where}"


def _text(sections: Sequence[_Section], foot: Sequence[str], most: int, settings: FleetSettings) -> str:
    written: list[str] = []
    for section in sections:
        shown, rest = _cut(section, most, settings)
        heading = f"{section.heading}\n{'-' * len(section.heading)}\n" if section.heading else ""
        if section.compact:
            lines = [f"- {item[0]}" for item in shown] + ([rest] if rest else [])
            written.append(heading + "\n".join(lines))
            continue
        paragraphs = ["\n".join((item[0], *(f"  {line}" for line in item[1:]))) for item in shown]
        paragraphs += [rest] if rest else []
        written.append(heading + "\n\n".join(paragraphs))
    return "\n\n".join(written) + _SIGNATURE + "\n".join(foot)


def _html(sections: Sequence[_Section], foot: Sequence[str], most: int, settings: FleetSettings) -> str:
    written: list[str] = []
    for section in sections:
        shown, rest = _cut(section, most, settings)
        if section.heading:
            written.append(f"<h3>{_safe(section.heading)}</h3>")
        if section.compact:
            written.append("<ul>" + "".join(f"<li>{_safe(item[0])}</li>" for item in shown) + "</ul>")
        else:
            written += [_html_paragraph(item) for item in shown]
        if rest:
            written.append(f"<p>{_linked(rest, settings)}</p>")
    written.append("<p>" + "<br/>".join(_linked(line, settings) for line in foot) + "</p>")
    return "\n".join(written)


def _html_paragraph(item: Sequence[str]) -> str:
    lines = [f"<b>{_safe(item[0])}</b>"]
    for line in item[1:]:
        label, found, rest = line.partition(": ")
        known = found and label in ("Do", "Why", "Seen", "Also")
        lines.append(f"<b>{label}:</b> {_safe(rest)}" if known else _safe(line))
    return "<p>" + "<br/>".join(lines) + "</p>"


def _safe(text: str) -> str:
    return escape(text, quote=False)


def _linked(line: str, settings: FleetSettings) -> str:
    text = _safe(line)
    if not settings.url:
        return text
    url = escape(settings.url)
    return text.replace(url, f'<a href="{url}">{url}</a>')


# -- words -------------------------------------------------------------------------------------------------------------


def _of(notification: Notification, event_type: EventType) -> list[Line]:
    return [line for line in notification.lines if line.event_type is event_type]


def _is_problem(line: Line) -> bool:
    if line.event_type is EventType.STEADY:
        return line.now is not Status.UP
    return line.event_type in (EventType.PROBLEM, EventType.WORSE)


def _is_recovery(line: Line) -> bool:
    return line.event_type is EventType.RECOVERED or (line.event_type is EventType.STEADY and line.now is Status.UP)


def _rank(line: Line) -> tuple[int, int, tuple[tuple[int, str], ...]]:
    """The order in which people should hear of it: proxies, then what is worst, then r2 before r10."""
    return (0 if line.state.kind is Kind.PROXY else 1, -line.now.severity, _natural(line.state.name))


def _natural(name: str) -> tuple[tuple[int, str], ...]:
    return tuple((int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name) if part)


def _names_of(lines: Iterable[Line]) -> list[str]:
    return [line.state.name for line in sorted(lines, key=_rank)]


def _names(names: Sequence[str], most: int) -> str:
    # "and 1 more" is longer than most names.
    if len(names) <= most + 1:
        return ", ".join(names)
    return f"{', '.join(names[:most])} and {len(names) - most} more"


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _lower(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]


def _title(line: Line, remotes: dict[str, Remote]) -> str:
    if line.state.kind is Kind.PROXY:
        return f"The proxy {line.state.name}"
    settings = remotes[line.state.name].settings if line.state.name in remotes else None
    extra = [text for text in (settings.nickname, settings.location) if text] if settings else []
    return f"{line.state.name} ({', '.join(extra)})" if extra else line.state.name


def _since(line: Line, now: datetime) -> str:
    begun = line.state.problem_since
    if begun is None or now - begun < timedelta(minutes=1):
        return ""
    return f" since {say_moment(begun, now)}"


def _ended(line: Line, now: datetime) -> datetime:
    """When a problem was over: earlier than now when quiet hours held the news."""
    ended = line.state.confirmed_since or now
    return ended if (line.before.since or ended) <= ended <= now else now


def _lasting(line: Line, now: datetime) -> str:
    begun = line.state.problem_since or line.before.since
    return say_duration(now - begun) if begun else "some time"
