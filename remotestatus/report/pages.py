"""
Renders the pages of a site with Jinja2, from the shipped templates and those that stand in for them.

A Report comes in; the files of the site, as bytes by their path, go out. Every value is escaped, an unknown name in a
template is an error, and an error names the template and the line.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path

from markupsafe import Markup, escape

from remotestatus.model.durations import say_duration
from remotestatus.model.errors import RoundError
from remotestatus.model.statuses import APPEARANCES, Status
from remotestatus.report.build import Report
from remotestatus.report.charts import DayCell, day_paths
from remotestatus.report.incidents import Incident
from remotestatus.report.shown_facts import say_size
from remotestatus.report.slugs import make_slugs
from remotestatus.templates import TemplateProblem, Templates

_LOGOS = {".svg", ".png", ".jpg", ".jpeg", ".webp", ".gif"}
_LOGO_LIMIT = 2_000_000
_CODE = re.compile(r"`([^`]+)`")


def page_templates(folder: Path | None = None) -> Templates:
    """The shipped templates, and those of a folder of somebody's own, with the filters that pages use."""
    return Templates(folder, _FILTERS)


def render_template(templates: Templates, name: str, values: Mapping[str, object]) -> bytes:
    """Render one file of the site. Raises RoundError, with the cure, for a broken template."""
    try:
        return templates.render(name, values).encode("utf-8", "replace")
    except TemplateProblem as problem:
        raise RoundError(f"the page was not made: {problem}") from problem


def render_pages(
    report: Report, templates: Templates, logo: Path | None = None
) -> tuple[dict[str, bytes], tuple[str, ...]]:
    """Render all pages; also return sentences about what had to be left out. RoundError for a broken template."""
    if templates.folder and not templates.folder.is_dir():
        raise RoundError(
            f"the templates' folder {templates.folder} does not exist; correct --templates or leave it out"
        )
    files = _assets(templates.folders)
    logo_path, notes = _take_logo(logo, files)
    values: dict[str, object] = {"report": report, "logo": logo_path, "icon": report.worst, "root": ""}
    if report.accent:
        files["assets/accent.css"] = render_template(templates, "accent.css.j2", values)
    versions = {path: hashlib.sha256(content).hexdigest()[:10] for path, content in files.items()}
    values["asset"] = lambda name: f"assets/{name}?v={versions[f'assets/{name}']}"
    for here in ("index", "incidents"):
        files[f"{here}.html"] = render_template(templates, f"{here}.html.j2", {**values, "here": here})
    values |= {"root": "../", "here": "remote"}
    for remote in report.remotes:
        of_remote = {**values, "remote": remote, "icon": remote.status.value}
        files[f"remotes/{remote.slug}.html"] = render_template(templates, "remote.html.j2", of_remote)
    return files, notes


def _utc(moment: datetime, year: bool = False) -> str:
    moment = moment.astimezone(UTC)
    shown = f"{moment.day} {moment:%b}{f' {moment.year}' if year else ''}"
    return f"{shown}, {moment:%H:%M} UTC"


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 60 else say_duration(timedelta(seconds=seconds))


def _percent(percent: float) -> str:
    """At most two decimals, and never 100 for what is less."""
    if percent >= 100:
        return "100 %"
    return f"{min(percent, 99.99):.2f} %" if percent > 99 else f"{percent:.1f} %"


def _ticks(text: str) -> Markup:
    """Text with `code` in backticks, escaped first."""
    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped in the same line


def _status_label(identifier: str) -> str:
    return APPEARANCES[identifier].label


def _day_words(day: DayCell) -> str:
    words = "not observed" if day.word == "none" else _status_label(day.word)
    if day.down:
        words = f"{Status.DOWN.label} for {say_duration(day.down)}"
    elif day.degraded:
        words = f"{Status.DEGRADED.label} for {say_duration(day.degraded)}"
    return f"{day.day}: {words}"


def _by_month(incidents: Iterable[Incident]) -> list[tuple[str, str, list[Incident]]]:
    months = groupby(incidents, lambda incident: incident.started_at.astimezone(UTC).strftime("%Y-%m"))
    return [
        (f"m{key}", f"{several[0].started_at.astimezone(UTC):%B %Y}", several)
        for key, several in ((key, list(group)) for key, group in months)
    ]


def _anchor(incident: Incident) -> str:
    slug = make_slugs([incident.name])[incident.name]
    return f"{incident.kind.value}-{slug}-{incident.started_at.astimezone(UTC):%Y%m%dT%H%M%SZ}"


def _assets(folders: Iterable[Path]) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    for folder in reversed(list(folders)):
        for path in sorted((folder / "assets").glob("*")):
            if path.is_file() and not path.name.startswith("."):
                try:
                    files[f"assets/{path.name}"] = path.read_bytes()
                except OSError as error:
                    raise RoundError(f"cannot read {path}: {error.strerror}; check its mode") from error
    return files


def _take_logo(logo: Path | None, files: dict[str, bytes]) -> tuple[str | None, tuple[str, ...]]:
    """Add the logo to the files; returns its path in the site, or a sentence that says why it was left out."""
    if logo is None:
        return None, ()
    suffix = logo.suffix.lower()
    try:
        if suffix not in _LOGOS:
            raise ValueError(f"it is no image of a kind that browsers show ({', '.join(sorted(_LOGOS))})")
        if logo.stat().st_size > _LOGO_LIMIT:
            raise ValueError("it is larger than 2 MB")
        files[f"assets/logo{suffix}"] = logo.read_bytes()
    except (OSError, ValueError) as error:
        return None, (f"the logo {logo} was left out: {error}",)
    return f"assets/logo{suffix}", ()


_FILTERS: dict[str, Callable[..., object]] = {
    "utc": _utc,
    "utc_clock": lambda moment: f"{moment.astimezone(UTC):%H:%M} UTC",
    "utc_exact": lambda moment: f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC",
    "seconds": _seconds,
    "percent": _percent,
    "size": say_size,
    "ticks": _ticks,
    "day_paths": lambda days: day_paths([day.word for day in days]),
    "status_label": _status_label,
    "day_words": _day_words,
    "by_month": _by_month,
    "anchor": _anchor,
}
"""What pages need beyond the filters that every template has."""
