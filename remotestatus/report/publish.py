"""
Writes the site: renders a Report with the templates and brings the site's folder up to date.

On a broken template or a write error it raises RoundError, and the old site stays.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TypeVar

from remotestatus.report.build import Report
from remotestatus.report.find_formats import all_formats
from remotestatus.report.pages import PageMaker, page_templates, render_template
from remotestatus.report.site import SiteFile, write_site
from remotestatus.templates import Templates


def publish(
    report: Report, site: Path, templates: Templates | None = None, logo: Path | None = None
) -> tuple[str, ...]:
    """
    Write the site of one round; without `templates` with the shipped ones.

    Returns sentences about what had to be left out (a logo that can't be read). Raises RoundError, with the cure, for
    a broken template, a full disk, a folder that can't be written or that is not ours.
    """
    files, notes = site_files(report, templates or page_templates(), logo)
    write_site(site, files)
    return notes


def site_files(
    report: Report, templates: Templates, logo: Path | None = None
) -> tuple[Iterator[SiteFile], tuple[str, ...]]:
    """List all files of the site, and sentences about what had to be left out."""
    maker = PageMaker(report, templates, logo)
    return chain(machine_files(report, templates), maker.files()), maker.notes


def machine_files(report: Report, templates: Templates) -> Iterator[SiteFile]:
    """List the files of all machine formats."""
    for path, write in all_formats().items():
        if "{slug}" not in path:
            yield SiteFile(path, partial(_make, templates, f"{path}.j2", write, report))
            continue
        for remote in report.remotes:
            yield SiteFile(path.format(slug=remote.slug), partial(_make, templates, "", write, remote))


Subject = TypeVar("Subject")


def _make(
    templates: Templates, name: str, write: Callable[[Subject], str | Mapping[str, object]], subject: Subject
) -> bytes:
    written = write(subject)
    return written.encode("utf-8", "replace") if isinstance(written, str) else render_template(templates, name, written)
