"""
Builds the Report: the content of the pages and machine formats of one round, as plain data.

Templates and formats only render it. A public report is built from a redacted ReportInput. There is no clock: all
durations on the page end at `now`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from remotestatus import __version__
from remotestatus.model.causes import Cause
from remotestatus.model.fleet import Fleet
from remotestatus.model.notes import Note
from remotestatus.model.period_report import PeriodReport
from remotestatus.model.receiver_memory import FailingDestination
from remotestatus.model.report_input import ReportInput
from remotestatus.model.rounds import Round
from remotestatus.model.states import Kind, State, Subject
from remotestatus.model.status_words import APPEARANCES, Status
from remotestatus.model.text import name_inventory
from remotestatus.model.windows import PlannedWindow
from remotestatus.report.charts import shares
from remotestatus.report.clean_text import clean, clean_all
from remotestatus.report.first_sentence import say_first_sentence
from remotestatus.report.incidents import Incident, build_incidents, in_order
from remotestatus.report.proxy_view import ProxyView, view_proxy
from remotestatus.report.public_page import redact
from remotestatus.report.remote_view import RemoteView, view_remote
from remotestatus.report.root_causes import RootCause, find_root_causes
from remotestatus.report.slugs import make_slugs
from remotestatus.report.worker_view import OutOfSight, WorkerView, find_out_of_sight, say_out_of_sight, view_worker

WORDS = tuple(APPEARANCES)
"""Statuses and `maintenance`, in the order of the page."""


WORST_FIRST = ("down", "unknown", "degraded", "maintenance", "up")
"""The same words, the worst first."""

UNGROUPED = "ungrouped"
"""The slug of the page of remotes without a group, which is Ansible's name for them."""


@dataclass(frozen=True, slots=True)
class Group:
    """The remotes that the page shows together, in the inventory's order. `name` is empty for those without a group."""

    name: str
    remotes: tuple[RemoteView, ...]
    counts: Mapping[str, int]
    slug: str = ""

    @property
    def worst(self) -> str:
        """The worst status of its remotes."""
        return next((word for word in WORST_FIRST if self.counts[word]), "up")

    @property
    def icon(self) -> str:
        """The status of its page's icon; maintenance has no icon."""
        return "up" if self.worst == "maintenance" else self.worst


@dataclass(frozen=True, slots=True)
class Report:
    """
    The content of the pages and machine formats of one round.

    The next page is due at `next_expected_at`; after `overdue_at` this one is out of date. `summary` counts remotes by
    the words of WORDS; what is in maintenance is counted only there.
    """

    title: str
    accent: str | None
    url: str | None
    public: bool
    generated_at: datetime
    every: timedelta
    round: Round
    summary: Mapping[str, int]
    verdict: str
    aside: str
    worst: str
    problems: tuple[RootCause, ...]
    proxies: tuple[ProxyView, ...]
    remotes: tuple[RemoteView, ...]
    groups: tuple[Group, ...]
    group_pages: tuple[Group, ...]
    incidents: tuple[Incident, ...]
    slugs: Mapping[str, str]
    group_slugs: Mapping[str, str]
    proxy_slugs: Mapping[str, str]
    titles: Mapping[str, str]
    first_seen: datetime
    failing: tuple[FailingDestination, ...] = ()
    workers: tuple[WorkerView, ...] = ()
    out_of_sight: tuple[OutOfSight, ...] = ()
    planned: tuple[PlannedWindow, ...] = ()
    notes: tuple[Note, ...] = ()
    regular: PeriodReport | None = None
    version: str = __version__

    @property
    def next_expected_at(self) -> datetime:
        """When the next round is due."""
        return self.round.finished_at + self.every

    @property
    def overdue_at(self) -> datetime:
        """When this page is out of date, unless the next round has replaced it."""
        return self.round.overdue_at(self.every)

    @property
    def shares(self) -> tuple[tuple[str, float, float], ...]:
        """The segments of the bar above the table: word, left edge and width."""
        return shares(self.summary)


def build_report(report_input: ReportInput, now: datetime, *, public: bool | None = None) -> Report:
    """
    Make the Report of one round as of `now`.

    A `public` one is redacted; None means the inventory's setting.
    """
    return _build(_for_readers(report_input, public), now)


def _build(report_input: ReportInput, now: datetime) -> Report:
    fleet, settings, round_ = report_input.fleet, report_input.fleet.settings, report_input.round
    slugs = make_slugs(remote.name for remote in fleet.remotes)
    incidents = build_incidents(report_input.transitions, report_input.states, report_input.acknowledgements)
    remotes, proxies, workers = _view(report_input, slugs, incidents, now)
    out_of_sight = find_out_of_sight(remotes)
    root_causes, group_slugs = find_root_causes(remotes, proxies, workers), _group_slugs(remotes)
    verdict, aside = say_first_sentence(remotes, root_causes)
    return Report(
        title=clean(settings.title) or "remotestatus",
        accent=settings.accent,
        url=settings.url.rstrip("/") + "/" if settings.url else None,
        public=settings.public,
        generated_at=now,
        every=settings.every,
        round=clean_all(round_, troubles=600),
        summary=_count(remotes),
        verdict=verdict,
        aside=", ".join(filter(None, (aside, *say_out_of_sight(out_of_sight)))),
        worst=_worst(remotes, proxies),
        problems=root_causes,
        proxies=proxies,
        remotes=remotes,
        groups=split_groups(remotes, group_slugs),
        # Every group of the inventory, with all its remotes.
        group_pages=_groups(((name, one) for one in remotes for name in one.groups or ("",)), group_slugs),
        group_slugs=group_slugs,
        proxy_slugs={proxy.name: proxy.slug for proxy in proxies},
        incidents=in_order(one for found in incidents.values() for one in found if _stands_alone(one)),
        slugs={clean(name): slug for name, slug in slugs.items()},
        titles={clean(remote.name): clean(remote.title) for remote in fleet.remotes},
        first_seen=min(report_input.first_seen.values(), default=now),
        failing=tuple(map(clean_all, report_input.failing)),
        workers=workers,
        out_of_sight=out_of_sight,
        planned=tuple(map(clean_all, report_input.planned)),
        notes=tuple(clean_all(one, text=1000) for one in report_input.notes),
        regular=_clean_regular(report_input.regular) if report_input.regular else None,
    )


def _clean_regular(report: PeriodReport) -> PeriodReport:
    """Clean the texts of the regular report."""
    lasting = [clean_all(one, message=800) for one in report.lasting]
    return replace(
        clean_all(report),
        least=tuple(map(clean_all, report.least)),
        lasting=tuple(
            replace(one, acknowledged=one.acknowledged and clean_all(one.acknowledged, note=1000)) for one in lasting
        ),
        planned=tuple(map(clean_all, report.planned)),
    )


def _for_readers(report_input: ReportInput, public: bool | None) -> ReportInput:
    """Set whether the report is public, and redact its input if so."""
    fleet = report_input.fleet
    if public is not None and public is not fleet.settings.public:
        fleet = replace(fleet, settings=fleet.settings.model_copy(update={"public": public}))
        report_input = replace(report_input, fleet=fleet)
    return redact(report_input) if fleet.settings.public else _with_whole_commands(report_input)


def _with_whole_commands(report_input: ReportInput) -> ReportInput:
    """Add the inventory option to commands in hints."""
    option = report_input.inventory_option
    if not option:
        return report_input

    def complete(state: State) -> State:
        troubles = (replace(one, hint=name_inventory(one.hint, option)) for one in state.troubles)
        return replace(state, troubles=tuple(troubles)) if state.troubles else state

    return replace(report_input, states={subject: complete(state) for subject, state in report_input.states.items()})


def _view(
    report_input: ReportInput,
    slugs: Mapping[str, str],
    incidents: Mapping[Subject, tuple[Incident, ...]],
    now: datetime,
) -> tuple[tuple[RemoteView, ...], tuple[ProxyView, ...], tuple[WorkerView, ...]]:
    """Make the views of all subjects with a State: those in `incidents`."""
    fleet = report_input.fleet
    groups = _smallest_groups(fleet)
    remotes = tuple(
        view_remote(one, slugs[one.name], groups[one.name], report_input, found, now)
        for one in fleet.remotes
        if (found := incidents.get((Kind.REMOTE, one.name))) is not None
    )
    proxies = tuple(
        view_proxy(one, report_input, found, now)
        for one in fleet.proxies
        if (found := incidents.get((Kind.PROXY, one.name))) is not None
    )
    workers = tuple(
        view_worker(one, report_input, remotes, found)
        for one in fleet.workers
        if (found := incidents.get((Kind.WORKER, one.name))) is not None
    )
    return remotes, proxies, workers


def _stands_alone(incident: Incident) -> bool:
    return not incident.folded or (incident.kind is Kind.PROXY and incident.cause is not Cause.WORKER_UNREACHABLE)


def _smallest_groups(fleet: Fleet) -> dict[str, str]:
    """Find the group that each remote is shown in: the smallest of its groups."""
    sizes: dict[str, int] = {}
    for remote in fleet.remotes:
        for group in remote.groups:
            sizes[group] = sizes.get(group, 0) + 1
    return {remote.name: min(remote.groups, key=lambda group: sizes[group], default="") for remote in fleet.remotes}


def split_groups(remotes: Iterable[RemoteView], slugs: Mapping[str, str]) -> tuple[Group, ...]:
    """List each remote in the smallest of its groups, in the inventory's order."""
    return _groups(((remote.group, remote) for remote in remotes), slugs)


def _groups(members: Iterable[tuple[str, RemoteView]], slugs: Mapping[str, str]) -> tuple[Group, ...]:
    found: dict[str, list[RemoteView]] = {}
    for name, remote in members:
        found.setdefault(name, []).append(remote)
    return tuple(Group(name, tuple(several), _count(several), slugs[name]) for name, several in found.items())


def _group_slugs(remotes: Iterable[RemoteView]) -> dict[str, str]:
    """Map the groups to the slugs of their pages; the remotes without a group have that of UNGROUPED."""
    return {"": UNGROUPED, **make_slugs(name for remote in remotes for name in remote.groups)}


def _count(remotes: Iterable[RemoteView]) -> dict[str, int]:
    counts = dict.fromkeys(WORDS, 0)
    for remote in remotes:
        counts[remote.word] += 1
    return counts


def _worst(remotes: tuple[RemoteView, ...], proxies: tuple[ProxyView, ...]) -> str:
    seen = [remote.status for remote in remotes if remote.maintenance is None] + [proxy.status for proxy in proxies]
    return max(seen, key=lambda status: status.rank, default=Status.UNKNOWN).value
