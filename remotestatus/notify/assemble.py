"""
Makes the one message that is sent to a destination from all that wait: several, late or refused ones, a test.

It has a footer. The sentences are in the templates of `messages/`. Pure: no clock and no network.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from html import escape

from remotestatus.model.inventory_variables import FleetSettings
from remotestatus.model.messages import Message, NotificationType
from remotestatus.model.notification import Receiver
from remotestatus.model.text import name_inventory
from remotestatus.model.untrusted_text import one_line
from remotestatus.templates import Templates

SUBJECT = 140
"""Characters of a subject at most."""

LATE = timedelta(minutes=5)
"""A message older than this says so."""

LITTLE_ROOM = 500
"""A service that takes fewer characters, such as SMS, gets one brief message, never several."""

WIDE = Receiver("", "")
"""A receiver without a limit on the length."""


def assemble(
    messages: Sequence[Message],
    now: datetime,
    settings: FleetSettings,
    templates: Templates,
    receiver: Receiver = WIDE,
    *,
    whole: bool = False,
) -> Message:
    """
    Make one message of all that wait for a destination, oldest first, with the time of late ones.

    If they do not fit, older ones are cut to their headlines, or left out. `whole` keeps everything, whether it fits or
    not.
    """
    newest = messages[-1]
    late = len(messages) == 1 and now - newest.at >= LATE
    # A later recovery must not lower the type.
    worst = min(reversed(messages), key=lambda message: list(NotificationType).index(message.type))
    subject = newest.subject
    if late or len(messages) > 1:
        headlines = [message.headline for message in messages]
        subject = write_subject(headlines, settings, templates, late=late, instead=worst.headline)
    waited = sum(now - message.at >= LATE for message in messages)
    values = {"at": newest.at, "now": now, "late": late, "late_after": LATE, "waited": waited}
    values |= {"title": settings.title, "url": settings.url, "brief": has_little_room(receiver)}
    for parts in _parts(messages, receiver):
        hidden = len(messages) - len(parts)
        message = replace(newest, type=worst.type, subject=subject)
        message = write_bodies(message, "message", {**values, "parts": parts, "hidden": hidden}, templates)
        if whole or fits(message, receiver):
            return message
    return _cut(message, receiver)


def _parts(messages: Sequence[Message], receiver: Receiver) -> Iterator[Sequence[Message]]:
    """The messages in full; then with less and less text; then the newest headlines alone."""
    number = len(messages)
    yield messages
    if number == 1 and not has_little_room(receiver):
        return  # it is sent in several pieces
    for whole, shown in ((3, number), (1, number), (0, number), (0, 12), (0, 3), (0, 0)):
        newest, brief = messages[max(0, number - shown) :], max(0, min(shown, number) - whole)
        yield [*(replace(message, text="", html="") for message in newest[:brief]), *newest[brief:]]


def has_little_room(receiver: Receiver) -> bool:
    """Whether its service takes only as much as a few SMS."""
    return 0 < receiver.room < LITTLE_ROOM


def fits(message: Message, receiver: Receiver) -> bool:
    """Whether its service takes a message in one piece, with the subject above the text where it has no title."""
    words = message.text if receiver.plain else message.html
    # Apprise writes it into a line of its own, or into `<b>…</b><br />`.
    above = 0 if receiver.titled else len(message.subject) + (2 if receiver.plain else 20)
    return not receiver.room or len(words) + above <= receiver.room


def _cut(message: Message, receiver: Receiver) -> Message:
    """The message; if nothing fits where there is little room, as much of its subject as fits."""
    if not has_little_room(receiver) or fits(message, receiver):
        return message
    words = one_line(message.subject, receiver.room)
    return replace(message, subject=message.subject if receiver.titled else "", text=words, html=escape(words))


def write_subject(
    headlines: Sequence[str], settings: FleetSettings, templates: Templates, *, late: bool = False, instead: str = ""
) -> str:
    """Write the subject of what is sent; one that is too long gives only the headline `instead`, and says how many."""
    default = FleetSettings.model_fields["title"].default
    title = "" if settings.title == default else one_line(settings.title, 60)

    def write(headlines: Sequence[str], more: int) -> str:
        values = {"headlines": headlines, "more": more, "title": title, "late": late}
        return one_line(templates.render_or_shipped("messages/message_subject.txt.j2", values), 10 * SUBJECT)

    subject, more = write(headlines, 0), len(headlines) - 1
    if len(subject) <= SUBJECT:
        return subject
    headline = instead or headlines[-1]
    over = len(write([headline], more)) - SUBJECT
    return one_line(write([one_line(headline, max(20, len(headline) - over))], more), SUBJECT)


def complete_commands(message: Message, option: str) -> Message:
    """The same message, with commands of ours that name the inventory by this option."""
    text, html = name_inventory(message.text, option), name_inventory(message.html, escape(option))
    return replace(message, text=text, html=html)


def shorten(
    message: Message, why: str, settings: FleetSettings, templates: Templates, receiver: Receiver = WIDE
) -> Message:
    """
    Cut a message to its subject and a link, for a service that refuses its text.

    `why` is what the service answered.
    """
    values = {"subject": message.subject, "why": why, "url": settings.url, "at": message.at}
    return _cut(write_bodies(message, "refused", values, templates), receiver)


def write_test(receiver: Receiver, title: str, now: datetime, templates: Templates) -> Message:
    """A test message for one destination."""
    values = {"name": receiver.name, "title": title}
    subject = one_line(templates.render_or_shipped("messages/test_subject.txt.j2", values), SUBJECT)
    message = Message(receiver.key, receiver.name, now, NotificationType.INFO, subject, subject, "", "")
    return write_bodies(message, "test", values, templates)


def write_bodies(message: Message, name: str, values: Mapping[str, object], templates: Templates) -> Message:
    """The same message with the text and the HTML of these templates."""
    text, html = (templates.render_or_shipped(f"messages/{name}.{kind}.j2", values) for kind in ("txt", "html"))
    return replace(message, text=text, html=html)
