"""
Makes the entries of `feed.xml`, an Atom feed (RFC 4287): one when an incident begins and one when it is over, one for
each maintenance window a week before it begins, and one for each note.

A Report comes in, the values for `feed.xml.j2` go out. An entry's id is made of the subject and of when its incident
began, so it stays the same in every round; what was only its proxy's outage has no entry of its own.
"""

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain

from remotestatus.model.durations import say_duration
from remotestatus.model.states import Kind
from remotestatus.model.times import say_moment, write_time
from remotestatus.report.build import Report
from remotestatus.report.incidents import Incident

ENTRIES = 100
"""Entries in the feed."""

ANNOUNCED = timedelta(days=7)
"""How long before it begins a window is in the feed."""

_SPACE = uuid.uuid5(uuid.NAMESPACE_URL, "remotestatus:feed")


@dataclass(frozen=True, slots=True)
class FeedEntry:
    """One entry of the feed; `link` is a page of the site."""

    id: str
    at: datetime
    title: str
    text: str
    link: str


def feed_values(report: Report) -> Mapping[str, object]:
    """What `feed.xml.j2` is given: the newest entries, newest first."""
    entries = sorted(
        chain(_entries(report), _planned(report), _notes(report)), key=lambda entry: (entry.at, entry.id), reverse=True
    )[:ENTRIES]
    return {
        "report": report,
        "id": f"urn:uuid:{uuid.uuid5(_SPACE, report.url or report.title)}",
        "updated": entries[0].at if entries else report.first_seen,
        "entries": entries,
    }


def _entries(report: Report) -> Iterator[FeedEntry]:
    for incident in report.incidents:
        slug = report.slugs.get(incident.name)
        link = f"remotes/{slug}.html" if incident.kind is Kind.REMOTE and slug else "incidents.html"
        name = report.titles.get(incident.name, incident.name)
        if incident.kind is not Kind.REMOTE:
            name = f"{incident.kind.value.capitalize()} {incident.name}"
        first = incident.phases[0]
        trouble = first.trouble
        text = f"{trouble.message} {trouble.hint}".strip() if trouble else ""
        yield FeedEntry(_id(incident, "began"), incident.started_at, f"{name} is {first.status.label}", text, link)
        if incident.ended_at:
            lasted = say_duration(incident.lasted(incident.ended_at))
            text = f"It was not up for {lasted}." + (f" {trouble.message}" if trouble else "")
            yield FeedEntry(_id(incident, "ended"), incident.ended_at, f"{name} is up again after {lasted}", text, link)


def _planned(report: Report) -> Iterator[FeedEntry]:
    for window in report.planned:
        announced = window.starts - ANNOUNCED
        if announced > report.generated_at:
            continue
        key = f"window\n{window.title}\n{write_time(window.starts)}\n{window.note}"
        span = f"From {say_moment(window.starts, announced)} until {say_moment(window.until, announced)}."
        text = f"{span} {window.note}".strip()
        yield FeedEntry(
            f"urn:uuid:{uuid.uuid5(_SPACE, key)}", announced, f"Maintenance of {window.title}", text, "index.html"
        )


def _notes(report: Report) -> Iterator[FeedEntry]:
    for note in report.notes:
        slug, proxy = report.slugs.get(note.name), report.proxy_slugs.get(note.name)
        link = f"remotes/{slug}.html" if slug else f"proxies/{proxy}.html" if proxy else "index.html"
        title = f"About {report.titles.get(note.name, note.name)}" if note.name else "About all"
        key = f"note\n{note.name}\n{write_time(note.at)}\n{note.text}"
        yield FeedEntry(f"urn:uuid:{uuid.uuid5(_SPACE, key)}", note.at, title, note.text, link)


def _id(incident: Incident, what: str) -> str:
    key = f"{incident.kind.value}\n{incident.name}\n{write_time(incident.started_at)}\n{what}"
    return f"urn:uuid:{uuid.uuid5(_SPACE, key)}"


FORMAT = {"feed.xml": feed_values}
