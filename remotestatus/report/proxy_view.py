"""
Makes what the pages show of one proxy.

A Proxy with its State comes in, a ProxyView goes out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from remotestatus.evaluate import Uptime, begin_today, no_days, uptimes
from remotestatus.model.check_result import Trouble
from remotestatus.model.days import PastDays
from remotestatus.model.fleet import Proxy
from remotestatus.model.notification import Acknowledgement
from remotestatus.model.report_input import ReportInput
from remotestatus.model.states import Kind
from remotestatus.model.statuses import Status
from remotestatus.report.clean_text import clean, clean_trouble
from remotestatus.report.incidents import Incident, open_note
from remotestatus.report.remote_view import say_unconfirmed
from remotestatus.report.slugs import make_slugs


@dataclass(frozen=True, slots=True)
class ProxyView:
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

    @property
    def trouble(self) -> Trouble | None:
        """The most telling thing that is wrong, or None."""
        return self.troubles[0] if self.troubles else None


def view_proxy(proxy: Proxy, report_input: ReportInput, incidents: Sequence[Incident], now: datetime) -> ProxyView:
    """Make the ProxyView of one proxy that has a State."""
    subject = (Kind.PROXY, proxy.name)
    state = report_input.states[subject]
    past = begin_today(report_input.days.get(subject) or no_days(now), state.status.value)
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
        behind=len(report_input.fleet.behind(proxy.name)),
        first_seen=report_input.first_seen.get(subject, state.since),
        uptime=uptimes(past),
        past=past,
        incidents=tuple(incidents),
        acknowledged=open_note(incidents),
    )
