"""
Renders the pages of a site with Jinja2, from the shipped templates and custom ones.

The result is a list of files, each with a function that makes it. A page has a version, a hash of its content, so that
an unchanged page is neither rendered nor written. Every value is escaped, an unknown name in a template is an error,
and an error names the template and the line.

Round files are small style sheets with the time of the last round, so that pages need no rewrite. Each lists the
current versions of its pages and gives the time only to these, so an old copy of a page shows no time, and a warning.
This needs no script, and works in print and from a file.
"""

import hashlib
import re
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from itertools import groupby
from pathlib import Path
from typing import TypeVar

from markupsafe import Markup, escape
from pydantic_core import to_json

from remotestatus.evaluate import Uptime
from remotestatus.model.days import PastDays
from remotestatus.model.durations import say_duration, say_seconds
from remotestatus.model.errors import RoundError
from remotestatus.model.period_report import PeriodReport
from remotestatus.model.states import Kind
from remotestatus.model.status_words import APPEARANCES, Status
from remotestatus.model.text import say_percent
from remotestatus.model.times import write_time
from remotestatus.model.windows import PlannedWindow
from remotestatus.report.build import WORDS, Group, Report, split_groups
from remotestatus.report.charts import DayCell, letter_paths, troubled_days
from remotestatus.report.fact_texts import say_size
from remotestatus.report.find_formats import all_formats
from remotestatus.report.fleet_columns import Row, fleet_columns, write_row, write_rows
from remotestatus.report.incidents import Incident
from remotestatus.report.proxy_view import ProxyView
from remotestatus.report.remote_view import RemoteView
from remotestatus.report.root_causes import RootCause
from remotestatus.report.site import SiteFile
from remotestatus.report.slugs import make_slugs
from remotestatus.templates import TemplateProblem, Templates

TABLE_ROWS = 1000
"""A page of more remotes than this has no rows: it lists the groups, and the script adds the rows."""

PROBLEMS_SHOWN = 200
"""Problems listed on one page."""

AFFECTED_SHOWN = 60
"""Remotes listed by name for one problem."""

INCIDENTS_SHOWN = 1000
"""Incidents listed on their page."""

SUMMARY = "summary"
"""The round file of the pages that are written last."""

_PAGES_EACH = 100

_LOGOS = {".svg", ".png", ".jpg", ".jpeg", ".webp", ".gif"}
_LOGO_LIMIT = 2_000_000
_CODE = re.compile(r"`([^`]+)`")


def page_templates(folder: Path | None = None) -> Templates:
    """Load the shipped templates and those of a custom folder, with the filters of pages."""
    return Templates(folder, _FILTERS)


def render_template(templates: Templates, name: str, values: Mapping[str, object]) -> bytes:
    """Render one file of the site. Raises RoundError, with the cure, for a broken template."""
    try:
        return templates.render(name, values).encode("utf-8", "replace")
    except TemplateProblem as problem:
        raise RoundError(f"the page was not made: {problem}") from problem


@dataclass(frozen=True, slots=True)
class Page:
    """
    One page: its path in the site, its template, and the values for it besides those of every page.

    `says` is all data that the page depends on; it is rendered again only if that changes. It has no sets, whose order
    differs between processes. `rows` is the script file with the rows of its table, where they are too many for the
    page itself: its path, and its content.
    """

    path: str
    template: str
    says: object
    values: Mapping[str, object]
    rows: tuple[str, bytes] | None = None


def list_pages(report: Report) -> Iterator[Page]:
    """List all pages of a site, `index.html` first."""
    problems = [_says_problem(problem) for problem in report.problems[:PROBLEMS_SHOWN]]
    rows = {remote.name: write_row(remote, report.public) for remote in report.remotes}
    proxies = [_says_proxy(proxy) for proxy in report.proxies]
    says = (
        (report.verdict, report.aside, report.worst, report.summary, report.round.troubles, report.failing),
        (problems, _says_groups(report.groups, rows), proxies, _says_incidents(report, report.incidents[:8])),
        (_says_planned(report.planned[:20]), report.notes, report.workers, report.out_of_sight),
    )
    script = _script("assets/fleet.js", report, report.groups, rows)
    index = {"here": "index", "icon": report.worst, "problems": report.problems[:PROBLEMS_SHOWN]}
    yield Page("index.html", "index.html.j2", (says, len(report.problems)), index, script)
    incidents = _says_incidents(report, report.incidents[:INCIDENTS_SHOWN])
    values = {"here": "incidents", "icon": report.worst, "shown": INCIDENTS_SHOWN}
    yield Page("incidents.html", "incidents.html.j2", (incidents, len(report.incidents), report.worst), values)
    if report.regular:
        yield _regular_page(report, report.regular)
    about = _About(report)
    for group in report.group_pages:
        yield _group_page(report, group, rows, about)
    for proxy in report.proxies:
        yield _proxy_page(report, proxy, rows, about)
    for remote in report.remotes:
        yield _remote_page(report, remote, about)


class _About:
    """An index of the report by remote and proxy, so that no page has to search all of it."""

    def __init__(self, report: Report) -> None:
        self.problems = _places(problem.names for problem in report.problems)
        self.incidents = _places([one.name] if one.kind is Kind.REMOTE else () for one in report.incidents)
        self.planned = _places(window.names for window in report.planned)
        self.behind = _places(dict.fromkeys(remote.path) for remote in report.remotes)


def _places(names: Iterable[Iterable[str]]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for place, several in enumerate(names):
        for name in several:
            found.setdefault(name, []).append(place)
    return found


T = TypeVar("T")

Rows = Mapping[str, Row]
"""The row of each remote, by its name."""


def _chosen(
    everything: Sequence[T], places: Mapping[str, list[int]], names: Iterable[str], most: int | None = 50
) -> list[T]:
    """Choose the items about these names, in their order."""
    found = sorted({place for name in names for place in places.get(name, ())})
    return [everything[place] for place in found[:most]]


def _regular_page(report: Report, regular: PeriodReport) -> Page:
    said = replace(regular, planned=())
    known = [report.titles.get(name) or report.proxy_slugs.get(name) for name in _names_in(regular)]
    values = {"here": "report", "icon": report.worst, "regular": regular}
    return Page("report.html", "report.html.j2", (said, _says_planned(regular.planned), known, report.worst), values)


def _names_in(regular: PeriodReport) -> Iterator[str]:
    """List the names that the regular report links to, if they are still there."""
    yield from (one.name for one in regular.least)
    yield from (one.name for one in regular.lasting)
    yield from regular.flapped


def _group_page(report: Report, group: Group, rows: Rows, about: _About) -> Page:
    names = [remote.name for remote in group.remotes]
    problems = _chosen(report.problems, about.problems, names, PROBLEMS_SHOWN)
    incidents = _chosen(report.incidents, about.incidents, names, 20)
    planned = _chosen(report.planned, about.planned, names)
    parts = _parts(report, group.remotes, group)
    shown = _says_groups(parts, rows)
    script = _script(f"groups/{group.slug}.js", report, parts, rows)
    wrong = [_says_problem(one) for one in problems]
    says = (group.name, group.counts, wrong, _says_incidents(report, incidents), _says_planned(planned), shown)
    values = {"here": "group", "icon": group.icon, "group": group, "problems": problems, "incidents": incidents}
    values |= {"planned": planned, "parts": parts}
    return Page(f"groups/{group.slug}.html", "group.html.j2", says, values, script)


def _proxy_page(report: Report, proxy: ProxyView, rows: Rows, about: _About) -> Page:
    behind = tuple(report.remotes[place] for place in about.behind.get(proxy.name, ()))
    planned = _chosen(report.planned, about.planned, [proxy.name])
    notes = [one for one in report.notes if one.name == proxy.name]
    parts = _parts(report, behind, None)
    shown = _says_groups(parts, rows)
    script = _script(f"proxies/{proxy.slug}.js", report, parts, rows)
    words = (_uptime_words(proxy.uptime), _days_words(proxy.past))
    looked = proxy.looked and [getattr(proxy.looked, name) for name in _OF_REMOTE]
    restarted = [one.name for one in proxy.looked.latest.processes if one.restarted] if proxy.looked else []
    says = (_says_proxy(proxy), proxy.incidents, words, shown, _says_planned(planned), notes, looked, restarted)
    values = {"here": "proxy", "icon": proxy.status.value, "proxy": proxy, "parts": parts}
    more = {"planned": planned, "notes": notes}
    return Page(f"proxies/{proxy.slug}.html", "proxy.html.j2", says, {**values, **more}, script)


def _parts(report: Report, remotes: tuple[RemoteView, ...], whole: Group | None) -> tuple[Group, ...]:
    """Choose the groups of a page's table: those of the summary, or the page's own."""
    if whole is not None and len(remotes) <= TABLE_ROWS:
        return (whole,)
    return split_groups(remotes, report.group_slugs)


def _script(path: str, report: Report, parts: Sequence[Group], rows: Rows) -> tuple[str, bytes] | None:
    """Make the script file with the rows of a page's table, if the page is too large to hold them."""
    many = sum(len(one.remotes) for one in parts) > TABLE_ROWS
    return (path, write_rows(parts, rows, report.public)) if many else None


def _says_groups(groups: Sequence[Group], rows: Rows) -> object:
    """List groups, with the rows of their remotes."""
    return [
        (group.name, group.slug, group.counts, [rows[one.name] for one in group.remotes if one.name in rows])
        for group in groups
    ]


def _says_incidents(report: Report, incidents: Iterable[Incident]) -> object:
    """List incidents, with the titles of their subjects."""
    return [(one, report.titles.get(one.name), report.proxy_slugs.get(one.name)) for one in incidents]


def _says_planned(windows: Iterable[PlannedWindow]) -> object:
    """List windows, with their title instead of the names."""
    return [(window.starts, window.until, window.title, window.note) for window in windows]


def _remote_page(report: Report, remote: RemoteView, about: _About) -> Page:
    with_round = remote.seen_at >= report.round.started_at
    restarted = [process.name for process in remote.latest.processes if process.restarted]
    groups = [(name, report.group_slugs[name]) for name in remote.groups if name in report.group_slugs]
    proxies = [(name, report.proxy_slugs.get(name)) for name in remote.path]
    planned = _chosen(report.planned, about.planned, [remote.name])
    notes = [one for one in report.notes if one.name == remote.name]
    says = (
        [getattr(remote, name) for name in _OF_REMOTE],
        (None if with_round else remote.seen_at, _uptime_words(remote.uptime), restarted, groups, proxies),
        (_says_planned(planned), notes, _days_words(remote.past)),
    )
    values = {"here": "remote", "remote": remote, "icon": remote.status.value, "with_round": with_round}
    more = {"groups": groups, "proxies": proxies, "planned": planned, "notes": notes}
    return Page(f"remotes/{remote.slug}.html", "remote.html.j2", says, {**values, **more})


_MEASURED = frozenset(("seen_at", "latest", "uptime", "past", "measurements", "new_oom_kills"))
_OF_REMOTE = tuple(field.name for field in fields(RemoteView) if field.name not in _MEASURED)
"""The fields of a remote on its page, without those of the round and of `measurements`."""


def _days_words(past: PastDays) -> object:
    return past.today, past.letters, troubled_days(past)


def say_observed(percent: float) -> str:
    """Write the observed share of a span in steps, so that pages do not change in every round."""
    if percent >= 100:
        return "100 %"
    step = int(percent / 5) * 5
    return f"over {step} %" if step else "under 5 %"


def _uptime_words(uptime: Mapping[str, Uptime]) -> list[tuple[str, str]]:
    return [
        ("" if one.percent is None else say_percent(one.percent), say_observed(one.observed)) for one in uptime.values()
    ]


def _says_problem(problem: RootCause) -> object:
    affected = [(remote.slug, remote.title) for remote in problem.affected[:AFFECTED_SHOWN]]
    values = [getattr(problem, field.name) for field in fields(RootCause) if field.name != "affected"]
    return values, affected, len(problem.affected)


def _says_proxy(proxy: ProxyView) -> object:
    return [getattr(proxy, name) for name in _OF_PROXY]


_OF_PROXY = tuple(
    field.name for field in fields(ProxyView) if field.name not in ("uptime", "past", "incidents", "looked")
)


def _round_file_of(path: str, pages: int) -> str:
    """Choose the name of a page's round file; there are up to 256, depending on the number of pages."""
    if "/" not in path:
        return SUMMARY
    digits = 0 if pages <= _PAGES_EACH else 1 if pages <= 16 * _PAGES_EACH else 2
    return f"pages{hashlib.sha256(path.encode()).hexdigest()[:digits]}"


def _round_path(name: str) -> str:
    """Return the path of a round file in the site."""
    return f"round/{name}.css"


class PageMaker:
    """Renders the pages of one site; with shipped templates, only those that changed."""

    def __init__(self, report: Report, templates: Templates, logo: Path | None = None) -> None:
        if templates.folder and not templates.folder.is_dir():
            raise RoundError(
                f"the templates' folder {templates.folder} does not exist; correct its name or leave it out"
            )
        self.report, self.templates = report, templates
        self.assets = _assets(templates.folders)
        logo_path, self.notes = _take_logo(logo, self.assets)
        self._values: dict[str, object] = {"report": report, "logo": logo_path, "affected_shown": AFFECTED_SHOWN}
        self._values["formats"] = [path for path in all_formats() if "/" not in path]
        if report.accent:
            self.assets["assets/accent.css"] = render_template(
                templates, "accent.css.j2", {**self._values, "root": "", "icon": report.worst}
            )
        self._versions = {path: hashlib.sha256(content).hexdigest()[:10] for path, content in self.assets.items()}
        self._values["asset"] = lambda name: f"assets/{name}?v={self._versions[f'assets/{name}']}"
        settings = (report.title, report.accent, report.url, report.public, report.version, logo_path)
        said = to_json((settings, sorted(self._versions.items()), report.regular is not None))  # values of every page
        self._stamp = hashlib.sha256(said + _sources(templates.folders)).digest()

    def files(self) -> Iterator[SiteFile]:
        """List the assets, the pages and the round files."""
        for path, content in self.assets.items():
            yield SiteFile(path, partial(bytes, content), turn=(0, "", 0))
        count = len(self.report.remotes) + len(self.report.proxies) + len(self.report.group_pages)
        versions: dict[str, list[str]] = {}
        for page in list_pages(self.report):
            name = _round_file_of(page.path, count)
            file = self._file(page, name)
            versions.setdefault(name, []).append(file.version)
            yield file
            if page.rows:
                yield SiteFile(page.rows[0], partial(bytes, page.rows[1]), turn=(0, "", 0))
        for name, known in versions.items():
            make = partial(self._round_file, known)
            yield SiteFile(_round_path(name), make, turn=(2 + (name == SUMMARY), name, 1))

    def _round_file(self, versions: Sequence[str]) -> bytes:
        return render_template(self.templates, "round.css.j2", {"report": self.report, "versions": sorted(versions)})

    def _file(self, page: Page, round_file: str) -> SiteFile:
        values = {
            **self._values,
            **page.values,
            "root": "../" * page.path.count("/"),
            "round_file": _round_path(round_file),
            "whole": page.rows is None,
            "rows_file": page.rows and f"{page.rows[0]}?v={hashlib.sha256(page.rows[1]).hexdigest()[:10]}",
        }
        turn = (2 + (round_file == SUMMARY), round_file, 0)
        if self.templates.folder is None:
            said = to_json((page.path, round_file, page.says))
            version = hashlib.blake2b(said, digest_size=6, key=self._stamp[:32]).hexdigest()
            make = partial(self._render, page.template, {**values, "version": version})
            return SiteFile(page.path, make, version, turn)
        # A custom template may use any data: render it each time, with a version of its text.
        content = self._render(page.template, {**values, "version": _UNKNOWN_VERSION})
        version = hashlib.blake2b(content, digest_size=6).hexdigest()
        content = content.replace(_UNKNOWN_VERSION.encode(), version.encode())
        return SiteFile(page.path, partial(bytes, content), version, turn)

    def _render(self, template: str, values: Mapping[str, object]) -> bytes:
        """
        Render a page whose scripts carry a nonce (CSP Level 3).

        The nonce is a digest of the page, so no text in the page can contain it.
        """
        content = render_template(self.templates, template, {**values, "nonce": _UNKNOWN_NONCE})
        unknown = _UNKNOWN_NONCE.encode()
        nonce = hashlib.blake2b(content.replace(unknown, b""), digest_size=16).hexdigest()
        return content.replace(unknown, nonce.encode())


_UNKNOWN_VERSION = "version-of-this-page"

_UNKNOWN_NONCE = secrets.token_hex(16)
"""A random placeholder of the nonce while a page is rendered."""


@lru_cache(maxsize=8)
def _sources(folders: tuple[Path, ...]) -> bytes:
    """Compute a digest of the templates and our modules, which may change without a new version."""
    digest = hashlib.sha256()
    own = Path(__file__).parents[1]
    paths = [path for folder in folders for path in folder.glob("*.j2")]
    for path in sorted([*paths, *own.rglob("*.py")]):
        with suppress(OSError):
            digest.update(path.read_bytes())
    return digest.digest()


def _utc(moment: datetime, year: bool = False) -> str:
    moment = moment.astimezone(UTC)
    shown = f"{moment.day} {moment:%b}{f' {moment.year}' if year else ''}"
    return f"{shown}, {moment:%H:%M} UTC"


@lru_cache(maxsize=10_000)  # many remotes share a time
def _time_tag(moment: datetime, form: str = "", empty: bool = False) -> Markup:
    """
    Write a <time> element in UTC, which the script converts to the reader's zone.

    `form` is `year`, `clock` (only hour and minute on the day of the page) or `ago` (how long ago).
    """
    shown = "" if empty else _utc(moment, year=form == "year")
    kind = f" data-{form}" if form else ""
    written = write_time(moment)
    exact = f"{written[:-1].replace('T', ' ')} UTC"
    return Markup(f'<time datetime="{written}" title="{exact}"{kind}>{shown}</time>')  # noqa: S704 - no text of others


def _ticks(text: str) -> Markup:
    """Escape a text, and mark up `code` in backticks."""
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
    "seconds": say_seconds,
    "observed": say_observed,
    "time_tag": _time_tag,
    "fleet_columns": fleet_columns,
    "letter_paths": letter_paths,
    "troubled_days": troubled_days,
    "first_day": lambda past: past.today - timedelta(days=len(past.letters) - 1),
    "total_counts": lambda groups: {word: sum(one.counts[word] for one in groups) for word in WORDS},
    "size": say_size,
    "ticks": _ticks,
    "status_label": _status_label,
    "day_words": _day_words,
    "by_month": _by_month,
    "anchor": _anchor,
}
"""The further filters of pages."""
