"""
Writes the round files: small style sheets that tell every page, without touching it, when the last round was.

Pages are spread over round files by their paths. A round file names the versions of its pages that are current, and
gives only those the time of the round and of the next one. So an old copy of a page, which carries another version,
has no time and says so; and what a page says of its age needs no script, stands in print, and works from a file.
"""

import hashlib
from collections.abc import Mapping, Sequence

from remotestatus.report.build import Report

SUMMARY = "summary"
"""The round file of the pages that are written last."""

_PAGES_EACH = 100


def round_file_of(path: str, pages: int) -> str:
    """The name of the round file of a page, of so many pages in all: one for a few pages, up to 256 for many."""
    if "/" not in path:
        return SUMMARY
    digits = 0 if pages <= _PAGES_EACH else 1 if pages <= 16 * _PAGES_EACH else 2
    return f"pages{hashlib.sha256(path.encode()).hexdigest()[:digits]}"


def round_values(report: Report, versions: Sequence[str]) -> Mapping[str, object]:
    """What `round.css.j2` is given."""
    return {"report": report, "versions": sorted(versions)}


def round_path(name: str) -> str:
    """Where a round file is in the site."""
    return f"round/{name}.css"
