"""
Sends what waits in the outbox through Apprise.

Destinations come from the settings (URLs with tags, or an Apprise configuration file); each is one call of its own, so
that one failure repeats nothing elsewhere, and all of them together have a deadline, so that a server that hangs
cannot hang the round. The rule: an Apprise URL is a secret. It appears in no error, log or table, and what Apprise
says about a failure is told only as far as it is known to hold none.
"""

import hashlib
import logging
import queue
import re
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from difflib import get_close_matches
from enum import StrEnum
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote

import apprise
from apprise.manager_plugins import NotificationManager

from remotestatus.model.errors import ConfigurationError, Problem
from remotestatus.model.fleet import Fleet, Inventory
from remotestatus.model.notification import Message, NotificationType, Receiver, Waiting
from remotestatus.model.settings import Destination as Entry
from remotestatus.model.text import one_line
from remotestatus.notify.compose import combine, shorten, write_test

DEADLINE = 60.0
"""Seconds that all destinations of a round together may take."""

REFUSALS_IN_A_ROW = 3
"""A destination that refuses so many messages one by one, and takes none, is left alone until the next attempt."""

_SETTING = "remotestatus_apprise"
_LOGGER = logging.getLogger("apprise")

Outcome = TypeVar("Outcome")


@dataclass(frozen=True, slots=True)
class Destination:
    """One place that messages go to. `key` is what the outbox knows it by; its URL stays inside `service`."""

    key: str
    name: str
    tags: tuple[str, ...]
    service: Any = field(repr=False, compare=False)
    secrets: tuple[str, ...] = field(default=(), repr=False, compare=False)

    @property
    def receiver(self) -> Receiver:
        """What deciding and wording need to know of it."""
        return Receiver(self.key, self.name, self.tags, room=int(self.service.body_maxlen or 0))


class Failure(StrEnum):
    """Why a service did not take a message, as far as trying again goes."""

    PASSING = "passing"
    """Time may mend it."""
    DESTINATION = "destination"
    """It takes nothing: a wrong password, recipient or address."""
    MESSAGE = "message"
    """It may be this very message, or all of them."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """
    What became of one sending; `name` is for people.

    `goes_on` means that the same messages are tried in another form at once. `dropped` means that they are given up,
    because the destination takes others and refuses these in every form.
    """

    destination: str
    taken: bool
    error: str = ""
    failure: Failure = Failure.PASSING
    name: str = ""
    goes_on: bool = False
    dropped: bool = False

    @property
    def permanent(self) -> bool:
        """Whether trying again will hardly help."""
        return not self.taken and self.failure is not Failure.PASSING


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of everything that was due in a round."""

    attempts: tuple[Attempt, ...] = ()

    @property
    def failed(self) -> tuple[Attempt, ...]:
        """The sendings that were not taken in any form."""
        return tuple(attempt for attempt in self.attempts if not attempt.taken and not attempt.goes_on)


# -- loading -----------------------------------------------------------------------------------------------------------


def load_destinations(setting: str | Sequence[Entry], base_dir: Path) -> tuple[Destination, ...]:
    """
    Make the destinations of `remotestatus_apprise`: entries, or the path of an Apprise configuration file.

    Raises ConfigurationError with all problems at once; they name entries by number, name and service, never by URL.
    """
    _silence_apprise()
    if isinstance(setting, str) and "://" not in setting:
        return _load_file(base_dir / Path(setting).expanduser())
    entries = (Entry(url=setting),) if isinstance(setting, str) else tuple(setting)
    problems: list[Problem] = []
    found: list[Destination] = []
    for number, entry in enumerate(entries, start=1):
        where = f"{_SETTING}, entry {number}" + (f" ({entry.name})" if entry.name else "")
        service = _instantiate(entry.url)
        if service is None:
            problems.append(Problem(where, _what_is_wrong(entry.url)))
            continue
        destination = _destination(service, entry.tags, entry.name)
        twin = next((other for other in found if other.key == destination.key), None)
        if twin:
            problems.append(Problem(where, f"the same destination as {twin.name}; give one entry all of its `tags`"))
        found.append(destination)
    _raise(problems)
    return tuple(_with_distinct_names(found))


def read_destinations(inventory: Inventory) -> tuple[Destination, ...]:
    """The destinations of an inventory. Raises ConfigurationError, also for tags that nothing has or names."""
    destinations = load_destinations(inventory.fleet.settings.apprise, inventory.base)
    problems = problems_of_tags(inventory.fleet, destinations)
    if problems:
        raise ConfigurationError("what the inventory says about messages has problems", problems)
    return destinations


def _load_file(path: Path) -> tuple[Destination, ...]:
    if not path.is_file():
        _raise(
            [Problem(f"{_SETTING} ({path.name})", "no such file; write a path that starts at the inventory's folder")]
        )
    complaints = _Complaints()
    _LOGGER.addHandler(complaints)
    try:
        config = apprise.AppriseConfig(asset=_asset())
        config.add(str(path))
        services = list(config.services())
    finally:
        _LOGGER.removeHandler(complaints)
    where = f"{_SETTING} ({path.name})"
    problems = [Problem(where, what) for what in complaints.problems]
    if not services and not problems:
        problems.append(Problem(where, "there is no destination in it"))
    _raise(problems)
    found = {
        (one := _destination(service, tuple(sorted(map(str, service.tags))), None)).key: one for service in services
    }
    return tuple(_with_distinct_names(list(found.values())))


def problems_of_tags(fleet: Fleet, destinations: Sequence[Destination]) -> list[Problem]:
    """Tags that a remote names and no destination has, and tags of destinations that nothing names."""
    offered = {tag for destination in destinations for tag in destination.tags}
    users: dict[str, list[str]] = {}
    for remote in fleet.remotes:
        for tag in remote.settings.notify:
            users.setdefault(tag, []).append(f"{remote.name}: remotestatus_notify")
        for step in remote.settings.escalate:
            for tag in step.notify:
                users.setdefault(tag, []).append(f"{remote.name}: remotestatus_escalate")
    for hours in fleet.settings.quiet_hours:
        for tag in hours.tags:
            users.setdefault(tag, []).append("all: remotestatus_quiet_hours")
    problems = []
    for tag, places in sorted(users.items()):
        if tag not in offered:
            where = places[0] + (f" (and {len(places) - 1} more)" if len(places) > 1 else "")
            problems.append(Problem(where, f'no destination of {_SETTING} has the tag "{tag}"{_nearest(tag, offered)}'))
    for destination in destinations:
        problems += [
            Problem(
                f"{_SETTING} ({destination.name})",
                f'nothing names its tag "{tag}"; write it into a remotestatus_notify or remotestatus_escalate, or '
                "remove it",
            )
            for tag in destination.tags
            if tag not in users
        ]
    return problems


def _raise(problems: Sequence[Problem]) -> None:
    if problems:
        count = "a problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise ConfigurationError(f"the destinations of messages have {count}", problems)


def _destination(service: Any, tags: Sequence[str], name: str | None) -> Destination:
    url = str(service.url(privacy=False))
    identity = str(service.url_id() or "") or hashlib.sha256(url.encode()).hexdigest()[:16]
    return Destination(
        key=f"name {name}" if name else f"id {identity}",
        name=name or str(service.service_name),
        tags=tuple(tags),
        service=service,
        secrets=_pieces(url),
    )


def _with_distinct_names(found: Sequence[Destination]) -> Iterable[Destination]:
    names = [destination.name for destination in found]
    for destination in found:
        twins = names.count(destination.name) > 1
        yield replace(destination, name=f"{destination.name} {destination.key[-4:]}") if twins else destination


def _instantiate(url: str) -> Any:
    try:
        return apprise.Apprise.instantiate(url, asset=_asset())
    except Exception:
        return None


def _what_is_wrong(url: str) -> str:
    schema = url.partition("://")[0].strip().lower()
    if "://" not in url or not re.fullmatch(r"[a-z0-9]{1,20}", schema):
        return "not an Apprise URL; write for example mailto://… or ntfy://…"
    if schema in ("http", "https"):
        hook = "json://" if schema == "http" else "jsons://"
        return f"an address alone is not an Apprise URL; write {hook}… to post to it, or the URL of its service"
    known = set(NotificationManager().schemas())
    if schema not in known:
        return f'Apprise has no service "{schema}://"{_nearest(schema, known)}'
    return (
        f"Apprise cannot use this {schema}:// URL: a part of it is missing or malformed, or a library that the service "
        "needs is not installed; see https://appriseit.com/services/"
    )


def _nearest(word: str, known: Iterable[str]) -> str:
    close = get_close_matches(word, sorted(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""


def _asset() -> Any:
    return apprise.AppriseAsset(
        app_id="remotestatus", app_desc="remotestatus", app_url="", secure_logging=True, async_mode=False
    )


# -- sending -----------------------------------------------------------------------------------------------------------


def send(
    waiting: Sequence[Waiting],
    destinations: Sequence[Destination],
    now: datetime,
    note: Callable[[Waiting, Attempt], None],
    deadline: float = DEADLINE,
    link: str = "",
) -> Delivery:
    """
    Send what waits for each destination, as one message each; `note` hears of each outcome as soon as it is known.

    A service that refuses the message for a reason that may lie in its words gets each of them alone, and one that it
    still refuses as its subject and a `link`. Returns after `deadline` seconds at the latest; what has not been taken
    by then counts as failed.
    """
    names = {destination.key: destination for destination in destinations}
    left = {one.destination: one for one in waiting if one.destination in names}
    until = time.monotonic() + deadline / 2

    def send_all(key: str) -> Iterable[tuple[Waiting, Attempt]]:
        return _send_in_turn(names[key], left[key], now, link or "`remotestatus status`", until)

    attempts = []
    for key, outcome in run_together(dict(left), send_all, deadline):
        part, attempt = (left[key], outcome) if isinstance(outcome, Attempt) else outcome
        attempt = replace(attempt, name=names[key].name)
        note(part, attempt)
        attempts.append(attempt)
        if not attempt.goes_on:
            left[key] = left[key].part(set(left[key].ids) - set(part.ids))
    return Delivery(tuple(attempts))


def _send_in_turn(
    destination: Destination, waiting: Waiting, now: datetime, link: str, until: float
) -> Iterable[tuple[Waiting, Attempt]]:
    """
    Send what waits, together if that is taken; isolate what is refused, so that the others arrive.

    Apprise itself pauses some seconds between two messages to one service. What has not been begun when the monotonic
    clock says `until` goes on waiting.
    """
    refused = dict(zip(waiting.ids, waiting.refused, strict=True))
    suspects = sorted((number for number in waiting.ids if refused[number]), key=lambda number: refused[number])
    errors = dict.fromkeys(suspects, "its service refused it before")
    fresh = [number for number in waiting.ids if not refused[number]]
    left, taken, refusals = [fresh] if fresh else [], False, 0
    while left and time.monotonic() < until:
        numbers = left.pop(0)
        part = waiting.part(numbers)
        attempt = _send(destination, combine(part.messages, now, destination.receiver.room))
        taken = taken or attempt.taken
        if attempt.taken:
            yield part, attempt
            continue
        refusals += len(numbers) == 1
        if attempt.failure is not Failure.MESSAGE or (not taken and refusals >= REFUSALS_IN_A_ROW):
            # Nothing of what is left has a better chance now.
            yield waiting.part([*numbers, *(number for more in left for number in more), *suspects]), attempt
            return
        if len(numbers) > 1:
            left = [[number] for number in numbers]
        else:
            yield part, replace(attempt, goes_on=True)
            suspects.append(numbers[0])
            errors[numbers[0]] = attempt.error
    stubborn: dict[int, Attempt] = {}
    for number in suspects:
        if time.monotonic() >= until:
            break
        (message,) = waiting.part([number]).messages
        attempt = _send(destination, shorten(message, errors[number], link))
        taken = taken or attempt.taken
        if attempt.taken:
            yield waiting.part([number]), attempt
            continue
        stubborn[number] = attempt
        if not taken and len(stubborn) >= REFUSALS_IN_A_ROW:
            break
    for number, attempt in stubborn.items():
        yield waiting.part([number]), replace(attempt, dropped=taken and attempt.failure is Failure.MESSAGE)


def send_test(
    destinations: Sequence[Destination], title: str, tag: str | None, now: datetime, deadline: float = DEADLINE
) -> list[tuple[Destination, Attempt]]:
    """Send a test message to each destination (with this tag), and say for each whether it was taken, and why not."""
    chosen = {one.key: one for one in destinations if tag is None or tag in one.tags}

    def send(key: str) -> Iterable[Attempt]:
        subject, text = write_test(title, chosen[key].name)
        message = Message(key, chosen[key].name, now, NotificationType.INFO, subject, text, f"<p>{text}</p>")
        yield _send(chosen[key], message)

    outcomes = dict(run_together(chosen, send, deadline))
    return [(destination, outcomes[key]) for key, destination in chosen.items()]


def run_together(
    keys: Iterable[str], work: Callable[[str], Iterable[Outcome]], deadline: float
) -> Iterable[tuple[str, Outcome | Attempt]]:
    """
    Do all sendings at the same time and yield each outcome as it is known; what hangs is left behind.

    What breaks, or is not done in time, ends with an Attempt that says so.
    """
    done: queue.Queue[tuple[str, Outcome | Attempt | None]] = queue.Queue()

    def run(key: str) -> None:
        try:
            for outcome in work(key):
                done.put((key, outcome))
        except BaseException as error:
            done.put((key, Attempt(key, taken=False, error=f"Apprise failed with {type(error).__name__}")))
        finally:
            done.put((key, None))

    left = set(keys)
    for key in left:
        # A daemon: one that hangs must not keep the process from ending.
        threading.Thread(target=run, args=(key,), name="remotestatus-deliver", daemon=True).start()
    end = time.monotonic() + deadline
    while left:
        try:
            key, outcome = done.get(timeout=max(0.0, end - time.monotonic()))
        except queue.Empty:
            break
        if outcome is None:
            left.discard(key)
        else:
            yield key, outcome
    for key in sorted(left):
        yield key, Attempt(key, taken=False, error=f"no answer within {deadline:g} s")


def _send(destination: Destination, message: Message) -> Attempt:
    service = destination.service
    # What is too long all the same goes out in several pieces, never cut in silence.
    service.overflow_mode = apprise.OverflowMode.SPLIT
    plain = _wants_plain_text(service)
    sender = apprise.Apprise(asset=_asset())
    sender.add(service)
    said: list[str] = []
    result = sender.notify(
        title=message.subject,
        body=message.text if plain else message.html,
        body_format=apprise.NotifyFormat.TEXT if plain else apprise.NotifyFormat.HTML,
        notify_type=str(message.tone),
        log_level=logging.DEBUG,
        log_callback=lambda entry, _service: said.append(f"{entry.level} {entry.message}"),
    )
    outcomes = [attempt.status for one in result for attempt in one]
    # A destination that is `optional` reports success whatever happened: only its last attempt tells.
    taken = bool(outcomes) and outcomes[-1] == apprise.AppriseResultStatus.SUCCESS
    if taken:
        return Attempt(destination.key, taken=True)
    error, failure = explain_failure(said, destination.secrets)
    return Attempt(destination.key, taken=False, error=error, failure=failure)


def _wants_plain_text(service: Any) -> bool:
    """Whether the service's own format (the first it names) is plain text; HTML is what Apprise converts best."""
    wanted = service.notify_format
    first = wanted[0] if isinstance(wanted, tuple | list) else wanted
    return bool(first == apprise.NotifyFormat.TEXT)


# -- why it failed -----------------------------------------------------------------------------------------------------

_HTTP = re.compile(r"error=(\d{3})\b")
_SMTP = re.compile(r"\((\d{3}), b?['\"]")
_SMTP_PERSON = re.compile(r"'[^'\s]*': \(\d{3}, b?['\"]|\(\d{3}, b?['\"].*['\"], '[^'\s]*'\)")
"""How Python writes a refused recipient (smtplib.SMTPRecipientsRefused) or sender (SMTPSenderRefused)."""

_KNOWN = (
    (re.compile(r"certificate.verify.failed|CERTIFICATE_VERIFY_FAILED|hostname.*doesn't match", re.IGNORECASE),
     "its certificate is not accepted"),
    (re.compile(r"name or service not known|name resolution|getaddrinfo|nodename nor servname", re.IGNORECASE),
     "its host name cannot be resolved"),
    (re.compile(r"connection refused|Errno 111", re.IGNORECASE), "the connection is refused"),
    (re.compile(r"no route to host|network is unreachable", re.IGNORECASE), "there is no route to it"),
    (re.compile(r"timed? ?out", re.IGNORECASE), "it does not answer in time"),
    (re.compile(r"unexpectedly closed|reset by peer|connection aborted|remote end closed", re.IGNORECASE),
     "it closes the connection"),
)  # fmt: skip

_PASSING_HTTP = frozenset({408, 409, 421, 423, 425, 429})
_DESTINATION_HTTP = frozenset({401, 403, 404, 405, 407, 410})
_DESTINATION_SMTP = frozenset({502, 503, 504, 530, 534, 535, 538})
_SMTP_WORDS = {
    421: "not available now", 450: "mailbox busy", 451: "error while processing", 452: "no room", 454: "TLS or log-in "
    "not available now", 500: "command unknown", 501: "malformed address", 530: "log-in or TLS required",
    534: "log-in too weak", 535: "log-in refused", 550: "recipient or sender refused", 551: "recipient not here",
    552: "too much mail", 553: "recipient's address refused", 554: "refused",
}  # fmt: skip


def explain_failure(said: Sequence[str], secrets: Sequence[str]) -> tuple[str, Failure]:
    """
    Say why a sending failed, and what to make of it, from Apprise's log of it.

    Of debugging lines only codes and known phrases are used, because they quote URLs; of a warning its text, without
    every piece of the URL.
    """
    text = "\n".join(said)
    if found := _HTTP.search(text):
        code = int(found[1])
        words = HTTPStatus(code).phrase if code in set(HTTPStatus) else "unknown"
        lasting = Failure.DESTINATION if code in _DESTINATION_HTTP else Failure.MESSAGE
        passing = not 400 <= code < 500 or code in _PASSING_HTTP
        return f"its server answers {code} ({words})", Failure.PASSING if passing else lasting
    if found := _SMTP.search(text):
        code = int(found[1])
        theirs = code in _DESTINATION_SMTP or _SMTP_PERSON.search(text)
        lasting = Failure.DESTINATION if theirs else Failure.MESSAGE
        words = _SMTP_WORDS.get(code, "refused")
        return f"its mail server answers {code} ({words})", lasting if code >= 500 else Failure.PASSING
    for pattern, words in _KNOWN:
        if pattern.search(text):
            return words, Failure.PASSING
    warnings = [line.partition(" ")[2] for line in said if line.startswith(("WARNING", "ERROR", "CRITICAL"))]
    if warnings:
        return f"Apprise says: {one_line(_without(warnings[-1], secrets), 160)}", Failure.PASSING
    return "its service did not take the message", Failure.PASSING


def _pieces(url: str) -> tuple[str, ...]:
    """Everything of a URL that could be secret: all words of it but the service's own name, longest first."""
    rest = url.partition("://")[2]
    words = {word for text in (rest, unquote(rest)) for word in re.split(r"[/:@?&=,;+\s]+", text) if len(word) > 2}
    return tuple(sorted(words, key=len, reverse=True))


def _without(text: str, secrets: Sequence[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, "…")
    return text


class _Complaints(logging.Handler):
    """Gathers what Apprise complains about in a configuration file: where, and not what it says, which quotes URLs."""

    def __init__(self) -> None:
        super().__init__(level=logging.WARNING)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Take one complaint."""
        text = record.getMessage()
        if place := re.search(r"\b(?:line|entry) #?\d+", text):
            self.found.append(f"{place[0].replace('#', '')}: not an entry that Apprise can use")
        elif schema := re.search(r"URL ([a-z0-9]{1,20})://", text, re.IGNORECASE):
            self.found.append(_what_is_wrong(f"{schema[1]}://"))

    @property
    def problems(self) -> list[str]:
        """Each complaint once, in the file's order."""
        return list(dict.fromkeys(self.found))


def _silence_apprise() -> None:
    """Keep what Apprise and its HTTP library log from being printed anywhere: it quotes URLs."""
    for logger in (_LOGGER, logging.getLogger("urllib3")):
        if not any(isinstance(handler, logging.NullHandler) for handler in logger.handlers):
            logger.addHandler(logging.NullHandler())
        logger.propagate = False
    # Its reasons are debugging lines, and reach nobody but the capture of a sending.
    _LOGGER.setLevel(logging.DEBUG)
