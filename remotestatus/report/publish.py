"""
Writes the site: renders a Report with the templates and brings the site's folder up to date.

A Report and the folder of the site come in; files are what goes out. Raises RoundError, and leaves the old site as it
was, when a template is broken or the files cannot be written.
"""

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from remotestatus.report import formats
from remotestatus.report.build import Report
from remotestatus.report.machine_format import MachineFormat
from remotestatus.report.pages import page_templates, render_pages, render_template
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
    files, notes = render_site(report, templates or page_templates(), logo)
    write_site(site, files)
    return notes


def render_site(report: Report, templates: Templates, logo: Path | None) -> tuple[dict[str, bytes], tuple[str, ...]]:
    """Render all files of the site; also return sentences about what had to be left out."""
    files, notes = render_pages(report, templates, logo)
    return {**dict(machine_files(report, templates)), **files}, notes


def machine_files(report: Report, templates: Templates) -> Iterator[tuple[str, bytes]]:
    """The files of all machine formats, by their path in the site."""
    for found in iter_modules(formats.__path__):
        written: MachineFormat = import_module(f"{formats.__name__}.{found.name}").FORMAT
        for path, write in written.files.items():
            yield path, write(report).encode("utf-8", "replace")
        for path, values in written.templates.items():
            yield path, render_template(templates, f"{path}.j2", values(report))
        for path, write_remote in written.remote_files.items():
            for remote in report.remotes:
                yield path.format(slug=remote.slug), write_remote(remote).encode("utf-8", "replace")
