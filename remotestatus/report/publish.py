"""
Writes the site: renders a Report with the templates and brings the site's folder up to date.

A Report and the folder of the site come in; files are what goes out. Raises RoundError, and leaves the old site as it
was, when a template is broken or the files cannot be written.
"""

from collections.abc import Mapping
from pathlib import Path

from remotestatus.report.build import Report
from remotestatus.report.formats import (
    write_feed,
    write_fleet_badge,
    write_fleet_endpoint,
    write_metrics,
    write_remote_badge,
    write_remote_endpoint,
    write_status,
)
from remotestatus.report.pages import render_pages
from remotestatus.report.site import write_site
from remotestatus.templates import Templates


def publish(
    report: Report, site: Path, templates: Templates | None = None, logo: Path | None = None
) -> tuple[str, ...]:
    """
    Write the site of one round; without `templates` with the shipped ones.

    Returns sentences about what had to be left out (a logo that can't be read). Raises RoundError, with the cure, for
    a broken template, a full disk, a folder that can't be written or that is not ours.
    """
    files, notes = render_pages(report, templates, logo)
    write_site(site, {**_machine_files(report), **files})
    return notes


def _machine_files(report: Report) -> Mapping[str, bytes]:
    files = {
        "status.json": write_status(report),
        "feed.xml": write_feed(report),
        "metrics.prom": write_metrics(report),
        "badge.svg": write_fleet_badge(report),
        "badge.json": write_fleet_endpoint(report),
    }
    for remote in report.remotes:
        files[f"badges/{remote.slug}.svg"] = write_remote_badge(remote)
        files[f"badges/{remote.slug}.json"] = write_remote_endpoint(remote)
    return {path: text.encode("utf-8", "replace") for path, text in files.items()}
