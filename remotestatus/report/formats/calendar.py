"""
Writes `maintenance.ics`: the maintenance windows that are open or to come, as an iCalendar file (RFC 5545).

An event's UID is made of its target and start, so that a calendar that reads the file again finds the same event.
"""

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime

from remotestatus.model.times import write_time
from remotestatus.model.windows import PlannedWindow
from remotestatus.report.build import Report

_SPACE = uuid.uuid5(uuid.NAMESPACE_URL, "remotestatus:maintenance")
_LONGEST_LINE = 75
"""Octets in a line, without its end (RFC 5545, 3.1)."""


def write_calendar(report: Report) -> str:
    """Write the text of `maintenance.ics`."""
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//remotestatus//maintenance//EN", "METHOD:PUBLISH"]
    lines.append(f"X-WR-CALNAME:{_text(report.title)}")
    for window in report.planned:
        lines += _event(window, report)
    lines.append("END:VCALENDAR")
    return "".join(f"{part}\r\n" for line in lines for part in _fold(line))


def _event(window: PlannedWindow, report: Report) -> Iterator[str]:
    key = f"{report.url or report.title}\n{window.title}\n{write_time(window.starts)}\n{window.note}"
    yield "BEGIN:VEVENT"
    yield f"UID:{uuid.uuid5(_SPACE, key)}"
    # DTSTAMP is constant, so that no calendar takes the event for changed.
    yield f"DTSTAMP:{_time(window.starts)}"
    yield f"DTSTART:{_time(window.starts)}"
    yield f"DTEND:{_time(window.until)}"
    yield f"SUMMARY:{_text(f'Maintenance: {window.title}')}"
    if window.note:
        yield f"DESCRIPTION:{_text(window.note)}"
    if report.url:
        yield f"URL:{report.url}"
    yield "TRANSP:TRANSPARENT"
    yield "END:VEVENT"


def _time(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y%m%dT%H%M%SZ}"


def _text(text: str) -> str:
    """Escape a text (RFC 5545, 3.3.11)."""
    for letter in "\\;,":
        text = text.replace(letter, f"\\{letter}")
    return text.replace("\n", "\\n")


def _fold(line: str) -> Iterator[str]:
    """Fold a line, never inside of a letter."""
    part, size = "", 0
    for letter in line:
        length = len(letter.encode("utf-8", "replace"))
        if size + length > _LONGEST_LINE:
            yield part
            part, size = " ", 1
        part, size = part + letter, size + length
    yield part


FORMAT = {"maintenance.ics": write_calendar}
