"""
Rebuilds the report of the last round, for commands that connect to nothing.

Reads the inventory, or without one the fleet in the history, and the history. Returns the Report as of now and its
ReportInput. Nothing is redacted: public mode is for the page.
"""

import statistics
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise

from remotestatus.evaluate import current_states
from remotestatus.history import History, read_past
from remotestatus.model.errors import RoundError
from remotestatus.model.fleet import Fleet, Inventory, Proxy, Remote, SshAccess, Worker
from remotestatus.model.inventory_variables import FleetSettings, RemoteSettings, WorkerSpec
from remotestatus.model.report_input import ReportInput
from remotestatus.model.states import Kind
from remotestatus.report import Report, build_report

_ROUNDS_FOR_FREQUENCY = 12
_FEWEST_GAPS = 3


@dataclass(frozen=True, slots=True)
class LastReport:
    """The Report as of now, what it was made of, and the remotes that no round has checked yet."""

    report: Report
    report_input: ReportInput
    unseen: tuple[str, ...]


def read_last_report(
    history: History, inventory: Inventory | None, now: datetime, *, whole: bool, inventory_option: str
) -> LastReport:
    """
    Make the Report of the last round as of now: of all, or unless `whole` of the limited remotes and their proxies.

    `inventory_option` is for the commands that the report gives. Raises RoundError if there is no round yet.
    """
    round_ = history.last_round()
    if round_ is None:
        raise RoundError(f"no round was run yet: the history {history.path} holds none; `remotestatus run` runs one")
    fleet = inventory.fleet if inventory else fleet_of(history)
    if inventory and not whole:
        fleet = fleet.within(inventory.limited_to)
    states = current_states(fleet, history.states(), ())
    report_input = replace(
        read_past(history, fleet, round_, states, history.check_results(), {}, now),
        ssh=inventory.ssh if inventory else SshAccess(),
        inventory_option=inventory_option,
    )
    unseen = tuple(remote.name for remote in fleet.remotes if (Kind.REMOTE, remote.name) not in states)
    return LastReport(build_report(report_input, now, public=False), report_input, unseen)


def fleet_of(history: History) -> Fleet:
    """
    Make a Fleet from the history alone: names, and the proxy that a remote's trouble names.

    The interval between rounds is that of the last rounds.
    """
    states = history.states()
    proxies = tuple(
        Proxy(name=name, alias=name, address="", port=None, user=None) for kind, name in states if kind is Kind.PROXY
    )
    remotes = tuple(
        Remote(
            name=name,
            groups=(),
            settings=RemoteSettings(),
            path=(state.trouble.proxy,) if state.trouble and (Kind.PROXY, state.trouble.proxy) in states else (),
        )
        for (kind, name), state in states.items()
        if kind is Kind.REMOTE
    )
    workers = tuple(Worker(name, WorkerSpec(name=name)) for kind, name in states if kind is Kind.WORKER)
    return Fleet(remotes, proxies, FleetSettings().model_copy(update={"every": _frequency(history)}), workers)


def _frequency(history: History) -> timedelta:
    starts = [round_.started_at for round_ in history.rounds(_ROUNDS_FOR_FREQUENCY)]
    gaps = [(newer - older).total_seconds() for newer, older in pairwise(starts)]
    if len(gaps) < _FEWEST_GAPS:
        return FleetSettings().every
    return timedelta(seconds=max(1, round(statistics.median(gaps))))
