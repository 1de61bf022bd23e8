"""
Makes the entries of `feed.xml`, an Atom feed (RFC 4287): one when an incident begins and one when it is over, one for
each maintenance window a week before it begins, and one for each note.

The words are in `feed.xml.j2`. An entry's id is made of its subject and of the start of its incident, so it is the same
in every round. The outage of a proxy is one entry, without entries for the remotes behind it.
"""

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain
from typing import Literal

from remotestatus.model.notes import Note
from remotestatus.model.states import Kind
from remotestatus.model.times import write_time
from remotestatus.model.windows import PlannedWindow
from remotestatus.report.build import Report
from remotestatus.report.incidents import Incident

ENTRIES = 100
"""Entries in the feed."""

ANNOUNCED = timedelta(days=7)
"""How long before its start a window is in the feed."""

_SPACE = uuid.uuid5(uuid.NAMESPACE_URL, "remotestatus:feed")


@dataclass(frozen=True, slots=True)
class FeedEntry:
    """One entry of the feed: what happened to what, and when; `link` is a page of the site."""

    event: Literal["began", "ended", "planned", "note"]
    about: Incident | PlannedWindow | Note
    at: datetime
    link: str
    key: str

    @property
    def id(self) -> str:
        """The entry's id, the same in every round."""
        return f"urn:uuid:{uuid.uuid5(_SPACE, self.key)}"


def feed_values(report: Report) -> Mapping[str, object]:
    """Collect the values for `feed.xml.j2`: the newest entries, newest first."""
    entries = sorted(
        chain(_incidents(report), _planned(report), _notes(report)),
        key=lambda entry: (entry.at, entry.id),
        reverse=True,
    )[:ENTRIES]
    return {
        "report": report,
        "id": f"urn:uuid:{uuid.uuid5(_SPACE, report.url or report.title)}",
        "updated": entries[0].at if entries else report.first_seen,
        "entries": entries,
    }


def _incidents(report: Report) -> Iterator[FeedEntry]:
    for incident in report.incidents:
        slug = report.slugs.get(incident.name)
        link = f"remotes/{slug}.html" if incident.kind is Kind.REMOTE and slug else "incidents.html"
        key = f"{incident.kind.value}\n{incident.name}\n{write_time(incident.started_at)}"
        yield FeedEntry("began", incident, incident.started_at, link, f"{key}\nbegan")
        if incident.ended_at:
            yield FeedEntry("ended", incident, incident.ended_at, link, f"{key}\nended")


def _planned(report: Report) -> Iterator[FeedEntry]:
    for window in report.planned:
        announced = window.starts - ANNOUNCED
        if announced <= report.generated_at:
            key = f"window\n{window.title}\n{write_time(window.starts)}\n{window.note}"
            yield FeedEntry("planned", window, announced, "index.html", key)


def _notes(report: Report) -> Iterator[FeedEntry]:
    for note in report.notes:
        slug, proxy = report.slugs.get(note.name), report.proxy_slugs.get(note.name)
        link = f"remotes/{slug}.html" if slug else f"proxies/{proxy}.html" if proxy else "index.html"
        yield FeedEntry("note", note, note.at, link, f"note\n{note.name}\n{write_time(note.at)}\n{note.text}")


FORMAT = {"feed.xml": feed_values}
