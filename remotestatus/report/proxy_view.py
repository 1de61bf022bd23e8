"""
Makes the ProxyView of one proxy.

A proxy that is probed like a remote also has a RemoteView.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from remotestatus.evaluate import Uptime, advise_proxy, dead_tunnels, uptimes
from remotestatus.model.acknowledgement import Acknowledgement
from remotestatus.model.check_result import HasTroubles, Trouble
from remotestatus.model.days import PastDays
from remotestatus.model.fleet import Proxy, Remote
from remotestatus.model.report_input import ReportInput
from remotestatus.model.states import Kind
from remotestatus.model.status_words import Status
from remotestatus.report.clean_text import clean, clean_trouble
from remotestatus.report.incidents import Incident, open_note
from remotestatus.report.remote_view import RemoteView, days_of, say_unconfirmed, view_remote
from remotestatus.report.slugs import make_slugs


@dataclass(frozen=True, slots=True)
class ProxyView(HasTroubles):
    """What the pages show of one proxy. `behind` counts the remotes that are reached through it."""

    name: str
    slug: str
    address: str
    path: tuple[str, ...]
    status: Status
    since: datetime
    troubles: tuple[Trouble, ...]
    unconfirmed: str
    behind: int
    first_seen: datetime
    uptime: Mapping[str, Uptime]
    past: PastDays
    incidents: tuple[Incident, ...] = ()
    acknowledged: Acknowledgement | None = None
    looked: RemoteView | None = None
    """Its facts and results, if it is probed like a remote."""


def view_proxy(proxy: Proxy, report_input: ReportInput, incidents: Sequence[Incident], now: datetime) -> ProxyView:
    """Make the ProxyView of one proxy that has a State."""
    subject = (Kind.PROXY, proxy.name)
    state = report_input.states[subject]
    past = days_of(subject, report_input, now)
    address = f"{proxy.user}@{proxy.address}" if proxy.user else proxy.address
    if proxy.port not in (None, 22):
        address += f":{proxy.port}"
    remote = report_input.fleet.looked_at_by_name.get(proxy.name)
    slug = make_slugs([proxy.name])[proxy.name]
    return ProxyView(
        name=clean(proxy.name),
        slug=slug,
        address=clean(address),
        path=tuple(clean(other) for other in proxy.path),
        status=state.status,
        since=state.since,
        troubles=tuple(map(clean_trouble, state.troubles)),
        unconfirmed=say_unconfirmed(state, 1, 1),
        behind=len(report_input.fleet.behind(proxy.name)),
        first_seen=report_input.first_seen.get(subject, state.since),
        uptime=uptimes(past),
        past=past,
        incidents=tuple(incidents),
        acknowledged=open_note(incidents),
        looked=_look_at(remote, slug, report_input, now) if remote else None,
    )


def _look_at(remote: Remote, slug: str, report_input: ReportInput, now: datetime) -> RemoteView:
    """Make the RemoteView of a probed proxy, with advice on its tunnels; public pages have no ports."""
    view = view_remote(remote, slug, "", report_input, (), now, Kind.PROXY)
    result = report_input.check_results.get(remote.name)
    if report_input.fleet.settings.public or result is None:
        return view
    advice = advise_proxy(report_input.fleet, result, dead_tunnels(report_input.states))
    return replace(view, advice=tuple(clean(sentence, 600) for sentence in advice))
