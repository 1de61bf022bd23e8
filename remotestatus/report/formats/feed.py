"""
Writes `feed.xml`: an Atom feed (RFC 4287) with one entry when an incident begins and one when it is over.

A Report comes in, XML text goes out. An entry's id is made of the subject and of when its incident began, so it stays
the same in every round; what was only its proxy's outage has no entry of its own.
"""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from xml.sax.saxutils import escape, quoteattr

from remotestatus.model.durations import say_duration
from remotestatus.model.states import Kind
from remotestatus.model.times import write_time
from remotestatus.report.build import Report
from remotestatus.report.incidents import Incident

ENTRIES = 100
_SPACE = uuid.uuid5(uuid.NAMESPACE_URL, "remotestatus:feed")


@dataclass(frozen=True, slots=True)
class _Entry:
    id: str
    at: datetime
    title: str
    text: str
    link: str


def write_feed(report: Report) -> str:
    """The text of `feed.xml`, newest entry first."""
    entries = sorted(_entries(report), key=lambda entry: (entry.at, entry.id), reverse=True)[:ENTRIES]
    updated = max((entry.at for entry in entries), default=report.first_seen)
    lines = [
        '<?xml version="1.0" encoding="utf-8"?>',
        '<feed xmlns="http://www.w3.org/2005/Atom">',
        f" <title>{escape(report.title)}</title>",
        f" <id>urn:uuid:{uuid.uuid5(_SPACE, report.url or report.title)}</id>",
        f" <updated>{write_time(updated)}</updated>",
        f" <author><name>{escape(report.title)}</name></author>",
        f' <generator version="{report.version}">remotestatus</generator>',
    ]
    if report.url:
        lines.append(f' <link rel="self" type="application/atom+xml" href={quoteattr(report.url + "feed.xml")}/>')
        lines.append(f' <link rel="alternate" type="text/html" href={quoteattr(report.url)}/>')
    for entry in entries:
        lines += [
            " <entry>",
            f"  <title>{escape(entry.title)}</title>",
            f"  <id>{entry.id}</id>",
            f"  <updated>{write_time(entry.at)}</updated>",
            f"  <published>{write_time(entry.at)}</published>",
            f'  <content type="text">{escape(entry.text)}</content>',
        ]
        if report.url:
            lines.append(f'  <link rel="alternate" type="text/html" href={quoteattr(report.url + entry.link)}/>')
        lines.append(" </entry>")
    lines.append("</feed>")
    return "\n".join(lines) + "\n"


def _entries(report: Report) -> Iterator[_Entry]:
    for incident in report.incidents:
        slug = report.slugs.get(incident.name)
        link = f"remotes/{slug}.html" if incident.kind is Kind.REMOTE and slug else "incidents.html"
        name = report.titles.get(incident.name, incident.name)
        if incident.kind is Kind.PROXY:
            name = f"Proxy {incident.name}"
        first = incident.phases[0]
        said = first.trouble
        text = f"{said.message} {said.hint}".strip() if said else ""
        yield _Entry(_id(incident, "began"), incident.started_at, f"{name} is {first.status.label}", text, link)
        if incident.ended_at:
            lasted = say_duration(incident.lasted(incident.ended_at))
            text = f"It was not up for {lasted}." + (f" {said.message}" if said else "")
            yield _Entry(_id(incident, "ended"), incident.ended_at, f"{name} is up again after {lasted}", text, link)


def _id(incident: Incident, what: str) -> str:
    key = f"{incident.kind.value}\n{incident.name}\n{write_time(incident.started_at)}\n{what}"
    return f"urn:uuid:{uuid.uuid5(_SPACE, key)}"
