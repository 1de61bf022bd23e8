"""
Renders the pages of a site with Jinja2, from the shipped templates and those that stand in for them.

A Report comes in; the files of the site, as bytes by their path, go out. Every value is escaped, an unknown name in a
template is an error, and an error names the template and the line.
"""

import hashlib
import re
import traceback
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, Environment, FileSystemLoader, StrictUndefined, TemplateError, TemplateSyntaxError
from markupsafe import Markup, escape

from remotestatus.drawings import day_paths
from remotestatus.duration import say_duration
from remotestatus.errors import RoundError
from remotestatus.incidents import Incident
from remotestatus.portrait import DayCell, say_size
from remotestatus.report import Report, write_time
from remotestatus.shipped import report_templates
from remotestatus.slugs import make_slugs

_LOGOS = {".svg", ".png", ".jpg", ".jpeg", ".webp", ".gif"}
_LOGO_LIMIT = 2_000_000
_CODE = re.compile(r"`([^`]+)`")


class Templates:
    """The shipped templates, and those in a folder of somebody's own that stand in for them by name."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder
        self.folders = (*([folder] if folder else []), report_templates())
        self.environment = _environment(self.folders)

    def load(self) -> None:
        """Compile them all, where there is time for it; what is wrong with one is said when it is rendered."""
        with suppress(TemplateError, OSError, UnicodeDecodeError):
            for name in self.environment.list_templates(extensions=["j2"]):
                self.environment.get_template(name)


def render_pages(
    report: Report, templates: Templates | None = None, logo: Path | None = None
) -> tuple[dict[str, bytes], tuple[str, ...]]:
    """Render all pages; also return sentences about what had to be left out. RoundError for a broken template."""
    templates = templates or Templates()
    folders = templates.folders
    if templates.folder and not templates.folder.is_dir():
        raise RoundError(
            f"the templates' folder {templates.folder} does not exist; correct --templates or leave it out"
        )
    files = _assets(folders)
    notes: list[str] = []
    shown_logo = None
    if logo:
        try:
            shown_logo = _take_logo(logo, files)
        except (OSError, ValueError) as error:
            notes.append(f"the logo {logo} was left out: {error}")
    page = _Renderer(templates.environment, folders)
    shared: dict[str, Any] = {"report": report, "logo": shown_logo, "icon": report.worst}
    if report.accent:
        files["assets/accent.css"] = page("accent.css.j2", shared)
    versions = {
        name: hashlib.sha256(content).hexdigest()[:10] for name, content in files.items() if name.startswith("assets/")
    }
    shared["asset"] = lambda name: f"assets/{name}?v={versions[f'assets/{name}']}"
    files["index.html"] = page("index.html.j2", {**shared, "root": "", "here": "index"})
    files["incidents.html"] = page("incidents.html.j2", {**shared, "root": "", "here": "incidents"})
    for remote in report.remotes:
        icon = remote.status.value
        files[f"remotes/{remote.slug}.html"] = page(
            "remote.html.j2", {**shared, "root": "../", "here": "remote", "remote": remote, "icon": icon}
        )
    return files, tuple(notes)


class _Renderer:
    def __init__(self, environment: Environment, folders: Iterable[Path]) -> None:
        self.environment = environment
        self.folders = tuple(str(folder) for folder in folders)

    def __call__(self, name: str, values: dict[str, Any]) -> bytes:
        try:
            text = self.environment.get_template(name).render(values)
        except Exception as error:
            raise RoundError(
                f"the page was not made: {self._place(name, error)}: {error or type(error).__name__}; "
                "correct the template, or remove it to use the shipped one"
            ) from error
        return text.encode("utf-8", "replace")

    def _place(self, name: str, error: Exception) -> str:
        if isinstance(error, TemplateSyntaxError):
            return f"{error.filename or error.name or name}, line {error.lineno}"
        for frame in reversed(traceback.extract_tb(error.__traceback__)):
            if frame.filename.startswith(self.folders):
                return f"{frame.filename}, line {frame.lineno}"
        return f"the template {error.message if isinstance(error, TemplateError) and not str(error) else name}"


def _environment(folders: Iterable[Path]) -> Environment:
    environment = Environment(
        loader=ChoiceLoader([FileSystemLoader(folder) for folder in folders]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    filters: dict[str, Callable[..., Any]] = {
        "rfc3339": write_time,
        "utc": _utc,
        "utc_clock": _utc_clock,
        "utc_exact": _utc_exact,
        "span": say_duration,
        "seconds": _seconds,
        "percent": _percent,
        "count": _count,
        "size": say_size,
        "ticks": _ticks,
        "day_paths": lambda days: day_paths([day.word for day in days]),
        "day_words": _day_words,
        "by_month": _by_month,
        "anchor": _anchor,
    }
    environment.filters.update(filters)
    return environment


def _utc(moment: datetime, year: bool = False) -> str:
    moment = moment.astimezone(UTC)
    shown = f"{moment.day} {moment:%b}{f' {moment.year}' if year else ''}"
    return f"{shown}, {moment:%H:%M} UTC"


def _utc_clock(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%H:%M} UTC"


def _utc_exact(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 60 else say_duration(timedelta(seconds=seconds))


def _percent(percent: float) -> str:
    """At most two decimals, and never 100 for what is less."""
    if percent >= 100:
        return "100 %"
    return f"{min(percent, 99.99):.2f} %" if percent > 99 else f"{percent:.1f} %"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _ticks(text: str) -> Markup:
    """Text with `code` in backticks, escaped first."""
    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped in the same line


def _day_words(day: DayCell) -> str:
    words = "not observed" if day.word == "none" else day.word
    if day.down:
        words = f"down for {say_duration(day.down)}"
    elif day.degraded:
        words = f"degraded for {say_duration(day.degraded)}"
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


def _take_logo(logo: Path, files: dict[str, bytes]) -> str:
    if logo.suffix.lower() not in _LOGOS:
        raise ValueError(f"it is no image of a kind that browsers show ({', '.join(sorted(_LOGOS))})")
    if logo.stat().st_size > _LOGO_LIMIT:
        raise ValueError("it is larger than 2 MB")
    name = f"assets/logo{logo.suffix.lower()}"
    files[name] = logo.read_bytes()
    return name
