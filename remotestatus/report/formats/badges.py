"""
Writes badges: a small SVG picture of one status, and the same for shields.io's endpoint badge.

Nothing is fetched: text widths are estimated.
"""

import json
from html import escape

from remotestatus.model.status_words import APPEARANCES
from remotestatus.report.build import Report
from remotestatus.report.remote_view import RemoteView

Badge = tuple[str, str, str]
"""The label on the left, the message on the right, and the status that gives the colour."""

_COLOURS = {"down": "#bf281e", "degraded": "#8f5a00", "unknown": "#67538f", "maintenance": "#2a64a0", "up": "#1f7a4d"}
"""The light colours of page.css."""

_NARROW, _WIDE = frozenset("ijlIt.,:;'!|()[]1 -fr"), frozenset("mwMW@%&")


def remote_badge(remote: RemoteView) -> Badge:
    """Make the badge of one remote."""
    return remote.title, APPEARANCES[remote.word].label, remote.word


def fleet_badge(report: Report) -> Badge:
    """Make the badge of the whole fleet."""
    summary = report.summary
    wrong = summary["down"] + summary["degraded"] + summary["unknown"]
    message = f"{wrong} of {len(report.remotes)} not up" if wrong else f"{summary['up']} up"
    return report.title, message, report.worst


def write_endpoint(badge: Badge) -> str:
    """Write the JSON that shields.io makes a badge of (schemaVersion 1, https://shields.io/badges/endpoint-badge)."""
    label, message, word = badge
    values = {
        "schemaVersion": 1,
        "label": label,
        "message": message,
        "color": _COLOURS[word].removeprefix("#"),
        "isError": word in ("down", "unknown"),
    }
    return json.dumps(values, ensure_ascii=False) + "\n"


def write_svg(badge: Badge) -> str:
    """Write the SVG picture of a badge."""
    label, message, word = badge
    left, right = _width(label), _width(message)
    width = left + right
    label, message = escape(label), escape(message)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="20" viewBox="0 0 {width} 20" '
        f'role="img"><title>{label}: {message}</title>'
        f'<clipPath id="r"><rect width="{width}" height="20" rx="3"/></clipPath><g clip-path="url(#r)">'
        f'<rect width="{left}" height="20" fill="#3d4248"/>'
        f'<rect x="{left}" width="{right}" height="20" fill="{_COLOURS[word]}"/></g>'
        f'<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11" text-anchor="middle">'
        f'<text x="{left / 2:g}" y="14" textLength="{left - 12}">{label}</text>'
        f'<text x="{left + right / 2:g}" y="14" textLength="{right - 12}">{message}</text></g></svg>\n'
    )


def _width(text: str) -> int:
    letters = sum(4.2 if letter in _NARROW else 10.0 if letter in _WIDE else 7.0 for letter in text)
    return round(letters) + 12


FORMAT = {
    "badge.svg": lambda report: write_svg(fleet_badge(report)),
    "badge.json": lambda report: write_endpoint(fleet_badge(report)),
    "badges/{slug}.svg": lambda remote: write_svg(remote_badge(remote)),
    "badges/{slug}.json": lambda remote: write_endpoint(remote_badge(remote)),
}
