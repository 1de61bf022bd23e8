"""
Makes one message of all that waits for a destination, as it is sent: several at once, late ones, refused ones, a test.

Messages come in, and one with its footer goes out; the sentences are the templates of `messages/`. Pure: no clock and
no network.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from html import escape

from remotestatus.model.notification import Message, NotificationType, Receiver
from remotestatus.model.settings import FleetSettings
from remotestatus.model.text import name_inventory, one_line
from remotestatus.templates import Templates

SUBJECT = 140
"""Characters of a subject at most."""

LATE = timedelta(minutes=5)
"""A message that is older when it is sent says so."""


def assemble(
    messages: Sequence[Message], now: datetime, settings: FleetSettings, templates: Templates, room: int = 0
) -> Message:
    """
    Make one message of all that waits for a destination, oldest first, and say of late ones when they happened.

    Of what needs more than `room` characters of HTML, the older ones are given by their headlines alone.
    """
    newest = messages[-1]
    worst = min(messages, key=lambda message: list(NotificationType).index(message.type))
    late = len(messages) == 1 and now - newest.at >= LATE
    values = {"at": newest.at, "now": now, "late": late, "title": settings.title, "url": settings.url}
    for whole in (len(messages), 3, 1, 0):
        brief = max(0, len(messages) - whole)
        parts = [replace(message, text="", html="") for message in messages[:brief]]
        parts += messages[brief:]
        html = templates.render_or_shipped("messages/message.html.j2", {**values, "parts": parts})
        if not room or len(html) <= room or len(messages) == 1:
            break
    text = templates.render_or_shipped("messages/message.txt.j2", {**values, "parts": parts})
    subject = newest.subject
    if late or len(messages) > 1:
        # The worst must not hide behind a recovery that came later.
        latest_worst = next(message for message in reversed(messages) if message.type is worst.type)
        headlines = [message.headline for message in messages]
        subject = write_subject(headlines, settings, templates, late=late, instead=latest_worst.headline)
    return replace(newest, type=worst.type, subject=subject, text=text, html=html)


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


def shorten(message: Message, why: str, settings: FleetSettings, templates: Templates) -> Message:
    """
    The same message as its subject and where it can be read, for a service that refuses its words.

    `why` is what the service answered.
    """
    values = {"subject": message.subject, "why": why, "url": settings.url, "at": message.at}
    return _write(message, "refused", values, templates)


def write_test(receiver: Receiver, title: str, now: datetime, templates: Templates) -> Message:
    """A test message for one destination."""
    values = {"name": receiver.name, "title": title}
    subject = one_line(templates.render_or_shipped("messages/test_subject.txt.j2", values), SUBJECT)
    message = Message(receiver.key, receiver.name, now, NotificationType.INFO, subject, subject, "", "")
    return _write(message, "test", values, templates)


def _write(message: Message, name: str, values: Mapping[str, object], templates: Templates) -> Message:
    text, html = (templates.render_or_shipped(f"messages/{name}.{kind}.j2", values) for kind in ("txt", "html"))
    return replace(message, text=text, html=html)
