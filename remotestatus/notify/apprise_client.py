"""
Wraps Apprise: makes its services from URLs and files, and sends messages through them.

The rule: Apprise's log quotes URLs, so it is never printed. Only this module imports Apprise, which loads slowly, so
others import it on use.
"""

import hashlib
import logging
import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote

import apprise
from apprise.manager_plugins import NotificationManager

from remotestatus.model.messages import Message
from remotestatus.model.text import did_you_mean
from remotestatus.notify.failures import explain_failure
from remotestatus.notify.sendings import Attempt, Destination

_LOGGER = logging.getLogger("apprise")


def make_destination(url: str, tags: Sequence[str], name: str | None) -> Destination | None:
    """The destination of a URL; None when Apprise can't use it, and then `say_what_is_wrong` says why."""
    _silence_apprise()
    try:
        service = apprise.Apprise.instantiate(url, asset=_asset())
    except Exception:
        return None
    return _destination(service, tags, name) if service else None


def read_file(path: Path) -> tuple[list[Destination], list[str]]:
    """The destinations of an Apprise configuration file, and what is wrong with it."""
    _silence_apprise()
    with apprise.LogCapture(level=logging.WARNING, fmt="%(message)s") as log:
        config = apprise.AppriseConfig(asset=_asset())
        config.add(str(path))
        services = list(config.services())
        complaints = [said for line in log.getvalue().splitlines() if (said := _complaint(line))]
    return [_destination(one, sorted(map(str, one.tags)), None) for one in services], list(dict.fromkeys(complaints))


def _complaint(line: str) -> str:
    """Apprise's complaint about a configuration file: the line number, without the URL."""
    if place := re.search(r"\b(?:line|entry) #?\d+", line):
        return f"{place[0].replace('#', '')}: not an entry that Apprise can use"
    schema = re.search(r"URL ([a-z0-9]{1,20})://", line, re.IGNORECASE)
    return say_what_is_wrong(f"{schema[1]}://") if schema else ""


def _destination(service: apprise.NotifyBase, tags: Sequence[str], name: str | None) -> Destination:
    url = str(service.url(privacy=False))
    with_secrets = str(service.url_id() or "") or _hash(url)
    identity = _hash(_address(service))
    return Destination(
        key=f"name {name}" if name else f"id {identity}",
        name=name or str(service.service_name),
        tags=tuple(tags),
        service_name=str(service.service_name),
        room=int(service.body_maxlen or 0),
        service=service,
        secrets=_pieces(url),
        identity=identity,
        former=(f"id {with_secrets}",),
        plain=_wants_plain_text(service),
        titled=service.title_maxlen > 0 and not service.overflow_amalgamate_title,
    )


def _address(service: apprise.NotifyBase) -> str:
    """The address of a service, without passwords, tokens and options such as formats."""
    rest = str(service.url(privacy=True)).partition("://")[2].partition("?")[0]
    # Apprise masks a password as ****, and of a token it shows the first and the last character.
    masked = re.sub(r"(?<![^/:@])[^/:@]?\.\.\.[^/:@]?(?![^/:@])", "…", rest.replace(":****", "").replace("****", "…"))
    user, at, place = masked.rpartition("@")
    host, slash, path = place.partition("/")
    return f"{service.service_name} {user}{at}{host.lower()}{slash}{unquote(path).rstrip('/')}"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def say_what_is_wrong(url: str) -> str:
    """Why Apprise can't use a URL, with the fix, without the URL."""
    schema = url.partition("://")[0].strip().lower()
    if "://" not in url or not re.fullmatch(r"[a-z0-9]{1,20}", schema):
        return "not an Apprise URL; write for example mailto://… or ntfy://…"
    if schema in ("http", "https"):
        hook = "json://" if schema == "http" else "jsons://"
        return f"an address alone is not an Apprise URL; write {hook}… to post to it, or the URL of its service"
    known = set(NotificationManager().schemas())
    if schema not in known:
        return f'Apprise has no service "{schema}://"{did_you_mean(schema, known)}'
    return (
        f"Apprise cannot use this {schema}:// URL: a part of it is missing or malformed, or a library that the service "
        "needs is not installed; see https://appriseit.com/services/"
    )


def _asset() -> apprise.AppriseAsset:
    return apprise.AppriseAsset(
        app_id="remotestatus", app_desc="remotestatus", app_url="", secure_logging=True, async_mode=False
    )


def hand_over(destination: Destination, message: Message) -> Attempt:
    """Send one message through a destination's service, and return the Attempt."""
    service: apprise.NotifyBase = destination.service
    # A message that is still too long is split, never cut.
    service.overflow_mode = apprise.OverflowMode.SPLIT
    sender = apprise.Apprise(asset=_asset())
    sender.add(service)
    logged: list[str] = []
    result = sender.notify(
        title=message.subject,
        body=message.text if destination.plain else message.html,
        body_format=apprise.NotifyFormat.TEXT if destination.plain else apprise.NotifyFormat.HTML,
        notify_type=str(message.type),
        log_level=logging.DEBUG,
        log_callback=lambda entry, _service: logged.append(f"{entry.level} {entry.message}"),
    )
    outcomes = [attempt.status for one in result for attempt in one]
    # An `optional` destination always reports success: only its last attempt tells.
    if outcomes and outcomes[-1] == apprise.AppriseResultStatus.SUCCESS:
        return Attempt(destination.key, taken=True)
    error, failure = explain_failure(logged, destination.secrets)
    return Attempt(destination.key, taken=False, error=error, failure=failure)


def _wants_plain_text(service: apprise.NotifyBase) -> bool:
    """Whether the service's own format (the first it names) is plain text; Apprise converts HTML best."""
    wanted = service.notify_format
    first = wanted[0] if isinstance(wanted, tuple | list) else wanted
    return bool(first == apprise.NotifyFormat.TEXT)


def _pieces(url: str) -> tuple[str, ...]:
    """All parts of a URL that may be secret: all words but the service's name, longest first."""
    rest = url.partition("://")[2]
    words = {word for text in (rest, unquote(rest)) for word in re.split(r"[/:@?&=,;+\s]+", text) if len(word) > 2}
    return tuple(sorted(words, key=len, reverse=True))


def _silence_apprise() -> None:
    """Keep what Apprise and its HTTP library log from being printed anywhere: it quotes URLs."""
    for logger in (_LOGGER, logging.getLogger("urllib3")):
        if not any(isinstance(handler, logging.NullHandler) for handler in logger.handlers):
            logger.addHandler(logging.NullHandler())
        logger.propagate = False
    # Its reasons are debug lines, which only the capture in `hand_over` reads.
    _LOGGER.setLevel(logging.DEBUG)
