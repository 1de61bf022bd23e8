"""
Writes badges: a small SVG picture of one status, and the same for shields.io's endpoint badge.

A label and a word come in, text goes out. Nothing is fetched: widths are reckoned from the letters.
"""

import json
from html import escape

from remotestatus.model.statuses import APPEARANCES
from remotestatus.report.build import Report
from remotestatus.report.remote_view import RemoteView

_NARROW, _WIDE = frozenset("ijlIt.,:;'!|()[]1 -fr"), frozenset("mwMW@%&")


def write_remote_badge(remote: RemoteView) -> str:
    """The SVG badge of one remote."""
    return _svg(remote.title, APPEARANCES[remote.word].label, APPEARANCES[remote.word].colour)


def write_remote_endpoint(remote: RemoteView) -> str:
    """The JSON that shields.io makes a badge of (schemaVersion 1, https://shields.io/badges/endpoint-badge)."""
    return _endpoint(remote.title, APPEARANCES[remote.word].label, remote.word)


def write_fleet_badge(report: Report) -> str:
    """The SVG badge of the whole fleet."""
    word, message = _fleet(report)
    return _svg(report.title, message, APPEARANCES[word].colour)


def write_fleet_endpoint(report: Report) -> str:
    """The shields.io endpoint of the whole fleet."""
    word, message = _fleet(report)
    return _endpoint(report.title, message, word)


def _fleet(report: Report) -> tuple[str, str]:
    summary = report.summary
    wrong = summary["down"] + summary["degraded"] + summary["unknown"]
    if not wrong:
        return report.worst, f"{summary['up']} up"
    return report.worst, f"{wrong} of {len(report.remotes)} not up"


def _endpoint(label: str, message: str, word: str) -> str:
    badge = {
        "schemaVersion": 1,
        "label": label,
        "message": message,
        "color": APPEARANCES[word].colour.removeprefix("#"),
        "isError": word in ("down", "unknown"),
    }
    return json.dumps(badge, ensure_ascii=False) + "\n"


def _svg(label: str, message: str, colour: str) -> str:
    left, right = _width(label), _width(message)
    width = left + right
    label, message = escape(label), escape(message)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="20" viewBox="0 0 {width} 20" '
        f'role="img"><title>{label}: {message}</title>'
        f'<clipPath id="r"><rect width="{width}" height="20" rx="3"/></clipPath><g clip-path="url(#r)">'
        f'<rect width="{left}" height="20" fill="#3d4248"/>'
        f'<rect x="{left}" width="{right}" height="20" fill="{colour}"/></g>'
        f'<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11" text-anchor="middle">'
        f'<text x="{left / 2:g}" y="14" textLength="{left - 12}">{label}</text>'
        f'<text x="{left + right / 2:g}" y="14" textLength="{right - 12}">{message}</text></g></svg>\n'
    )


def _width(text: str) -> int:
    letters = sum(4.2 if letter in _NARROW else 10.0 if letter in _WIDE else 7.0 for letter in text)
    return round(letters) + 12
