"""
Makes the Report: all that the pages and the machine formats of one round say, as plain data.

ReportInput comes in, a Report goes out; templates and formats only lay it out. In public mode the ReportInput is veiled
before anything is made of it. No clock: `now` is the moment that all durations on the page are reckoned to.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from remotestatus import __version__
from remotestatus.model.fleet import Fleet, Proxy
from remotestatus.model.notification import FailingDestination
from remotestatus.model.report_input import ReportInput
from remotestatus.model.rounds import Round
from remotestatus.model.states import Kind, Subject
from remotestatus.model.statuses import APPEARANCES, Status
from remotestatus.report.charts import shares
from remotestatus.report.incidents import Incident, build_incidents
from remotestatus.report.redact import redact
from remotestatus.report.remote_view import RemoteView, clean, clean_trouble, newest_first, say_unconfirmed, view_remote
from remotestatus.report.root_causes import Problem, ProxyView, find_problems
from remotestatus.report.slugs import make_slugs

WORDS = tuple(APPEARANCES)
"""Under which words remotes are counted, the worst first."""


@dataclass(frozen=True, slots=True)
class Group:
    """The remotes that the page shows together, in the inventory's order. `name` is empty for those without a group."""

    name: str
    remotes: tuple[RemoteView, ...]
    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Report:
    """
    All that the pages of one round say.

    A page made at `generated_at` is followed by the next around `next_expected_at`; seen after `overdue_at`, it is out
    of date. `summary` counts remotes by the words of WORDS; what is in maintenance is counted only there.
    """

    title: str
    accent: str | None
    url: str | None
    public: bool
    version: str
    generated_at: datetime
    next_expected_at: datetime
    overdue_at: datetime
    every: timedelta
    round: Round
    summary: Mapping[str, int]
    shares: tuple[tuple[str, float, float], ...]
    verdict: str
    aside: str
    worst: str
    problems: tuple[Problem, ...]
    proxies: tuple[ProxyView, ...]
    remotes: tuple[RemoteView, ...]
    groups: tuple[Group, ...]
    incidents: tuple[Incident, ...]
    slugs: Mapping[str, str]
    titles: Mapping[str, str]
    first_seen: datetime
    failing: tuple[FailingDestination, ...] = ()


def build_report(report_input: ReportInput, now: datetime, *, public: bool | None = None) -> Report:
    """
    Make the Report of one round at the moment `now`.

    A `public` one is without what strangers must not see; None means what the inventory says.
    """
    settings = report_input.fleet.settings
    if public is not None and public is not settings.public:
        settings = settings.model_copy(update={"public": public})
        report_input = replace(report_input, fleet=replace(report_input.fleet, settings=settings))
    if settings.public:
        report_input = redact(report_input)
    fleet = report_input.fleet
    slugs = make_slugs(remote.name for remote in fleet.remotes)
    incidents: list[Incident] = []
    by_subject: dict[Subject, list[Incident]] = {}
    for found in build_incidents(report_input.transitions, report_input.states, report_input.acknowledgements):
        incident = _clean_incident(found)
        incidents.append(incident)
        by_subject.setdefault((found.kind, found.name), []).append(incident)
    homes = _homes(fleet)
    remotes = tuple(
        view_remote(
            remote,
            slugs[remote.name],
            homes[remote.name],
            report_input,
            tuple(by_subject.get((Kind.REMOTE, remote.name), ())),
            newest_first(report_input.messages.get((Kind.REMOTE, remote.name), ())),
            now,
        )
        for remote in fleet.remotes
        if (Kind.REMOTE, remote.name) in report_input.states
    )
    proxies = tuple(
        _proxy(proxy, fleet, report_input, by_subject.get((Kind.PROXY, proxy.name), ()))
        for proxy in fleet.proxies
        if (Kind.PROXY, proxy.name) in report_input.states
    )
    problems = find_problems(remotes, proxies)
    summary = _count(remotes)
    verdict, aside = say_verdict(remotes, problems)
    finished = report_input.round.finished_at
    return Report(
        title=clean(settings.title) or "remotestatus",
        accent=settings.accent,
        url=settings.url.rstrip("/") + "/" if settings.url else None,
        public=settings.public,
        version=__version__,
        generated_at=now,
        next_expected_at=finished + settings.every,
        overdue_at=finished + settings.every * 1.5 + timedelta(minutes=1),
        every=settings.every,
        round=replace(
            report_input.round, troubles=tuple(clean(trouble, 600) for trouble in report_input.round.troubles)
        ),
        summary=summary,
        shares=shares(summary),
        verdict=verdict,
        aside=aside,
        worst=_worst(remotes, proxies),
        problems=problems,
        proxies=proxies,
        remotes=remotes,
        groups=_groups(remotes),
        incidents=tuple(incident for incident in incidents if not incident.folded or incident.kind is Kind.PROXY),
        slugs={clean(name): slug for name, slug in slugs.items()},
        titles={clean(remote.name): clean(remote.title) for remote in fleet.remotes},
        first_seen=min(report_input.first_seen.values(), default=now),
        failing=tuple(
            replace(failing, name=clean(failing.name), error=clean(failing.error)) for failing in report_input.failing
        ),
    )


def say_verdict(remotes: tuple[RemoteView, ...], problems: tuple[Problem, ...]) -> tuple[str, str]:
    """The page's first sentence, and what is to be said beside it."""
    total = len(remotes)
    if not total:
        return "No remotes to check", "The inventory names none yet."
    wrong = sum(remote.needs_attention for remote in remotes)
    resting = sum(remote.maintenance is not None for remote in remotes)
    aside = f"{resting} in maintenance" if resting else ""
    dead = [problem for problem in problems if problem.kind == "proxy"]
    if dead:
        hidden = sum(len(problem.affected) for problem in dead)
        who = f"{dead[0].subject} does not answer" if len(dead) == 1 else f"{len(dead)} proxies do not answer"
        verdict = f"{who}: {hidden} of {_remotes(total)} cannot be checked" if hidden else who
        rest = wrong - hidden
        more = f"{_remotes(rest)} besides {'needs' if rest == 1 else 'need'} attention" if rest else ""
        return verdict, ", ".join(filter(None, (more, aside)))
    if wrong:
        return f"{wrong} of {_remotes(total)} {'needs' if wrong == 1 else 'need'} attention", aside
    if resting == total:
        return ("The remote is" if total == 1 else f"All {total} remotes are") + " in maintenance", ""
    fine = total - resting
    return ("The remote is up" if total == 1 else f"All {_remotes(fine)} {'is' if fine == 1 else 'are'} up"), aside


def _remotes(number: int) -> str:
    return f"{number} remote" if number == 1 else f"{number:,} remotes".replace(",", "\u202f")


def _homes(fleet: Fleet) -> dict[str, str]:
    """The group that each remote is shown in: the smallest of its groups."""
    sizes: dict[str, int] = {}
    for remote in fleet.remotes:
        for group in remote.groups:
            sizes[group] = sizes.get(group, 0) + 1
    return {remote.name: min(remote.groups, key=lambda group: sizes[group], default="") for remote in fleet.remotes}


def _groups(remotes: tuple[RemoteView, ...]) -> tuple[Group, ...]:
    found: dict[str, list[RemoteView]] = {}
    for remote in remotes:
        found.setdefault(remote.group, []).append(remote)
    return tuple(Group(name, tuple(members), _count(members)) for name, members in found.items())


def _count(remotes: Iterable[RemoteView]) -> dict[str, int]:
    counts = dict.fromkeys(WORDS, 0)
    for remote in remotes:
        counts[remote.word] += 1
    return counts


def _worst(remotes: tuple[RemoteView, ...], proxies: tuple[ProxyView, ...]) -> str:
    seen = [remote.status for remote in remotes if remote.maintenance is None] + [proxy.status for proxy in proxies]
    return max(seen, key=lambda status: status.severity, default=Status.UNKNOWN).value


def _proxy(proxy: Proxy, fleet: Fleet, report_input: ReportInput, incidents: Iterable[Incident]) -> ProxyView:
    state = report_input.states[(Kind.PROXY, proxy.name)]
    reading = report_input.readings.get(proxy.name)
    address = f"{proxy.user}@{proxy.address}" if proxy.user else proxy.address
    if proxy.port not in (None, 22):
        address += f":{proxy.port}"
    return ProxyView(
        name=clean(proxy.name),
        slug=make_slugs([proxy.name])[proxy.name],
        address=clean(address),
        path=tuple(clean(other) for other in proxy.path),
        status=state.status,
        since=state.since,
        troubles=tuple(clean_trouble(trouble) for trouble in state.troubles),
        unconfirmed=say_unconfirmed(state, 1, 1),
        behind=len(fleet.behind(proxy.name)),
        connect_ms=reading.connect_ms if reading else None,
        acknowledged=next(
            (incident.notes[-1] for incident in incidents if incident.ended_at is None and incident.notes), None
        ),
    )


def _clean_incident(incident: Incident) -> Incident:
    return replace(
        incident,
        name=clean(incident.name),
        phases=tuple(
            replace(phase, trouble=clean_trouble(phase.trouble)) if phase.trouble else phase
            for phase in incident.phases
        ),
        notes=tuple(replace(said, note=clean(said.note, 1000)) for said in incident.notes),
    )
