"""
The doctor: examines everything that a round needs, from top to bottom, and names the remedy for what is wrong.

Takes where the inventory is and the time; yields a section and a Result at a time. All is found, not only the first:
a check that itself fails is a Result too, and what can't be examined because of something broken is said to be skipped.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime

from remotestatus.model.errors import RemotestatusError, RoundError
from remotestatus.model.text import one_line
from remotestatus.probe import AnsibleSource, PlaybookRunner
from remotestatus.setup.doctor import connections, files, history, machine, notifications, workers
from remotestatus.setup.doctor.examined import Examined, check_inventory
from remotestatus.setup.doctor.result import Check, Mark, Result, skipped, warning

__all__ = ["INVENTORY", "Mark", "Result", "examine"]

INVENTORY = "Inventory"
"""The section about the inventory itself; everything after it can only be examined when it can be read."""

Finding = tuple[str, Result]
"""The section that it belongs to, and what was found."""


def examine(source: AnsibleSource, now: datetime, *, offline: bool) -> Iterator[Finding]:
    """Examine everything; `offline` leaves out what connects to somebody else."""
    yield from _section("This machine", machine.check_versions, machine.check_locale, lambda: machine.check_clock(now))
    yield from _section("Earlier rounds", machine.check_dead_rounds, lambda: machine.check_owner(source))
    yield from _section("SSH", machine.check_ssh, machine.check_timeout)
    try:
        with PlaybookRunner(source) as playbooks:
            examined = Examined(source, playbooks)
            yield from _section(INVENTORY, lambda: check_inventory(examined), lambda: connections.check_vault(examined))
            if examined.inventory is None:
                yield "Everything else", skipped("not examined: the inventory has to be readable first")
            else:
                yield from _of_inventory(examined, now, offline=offline)
    except RoundError as error:
        yield INVENTORY, Result(Mark.WRONG, str(error))


def _of_inventory(examined: Examined, now: datetime, *, offline: bool) -> Iterator[Finding]:
    assert examined.inventory is not None
    inventory = examined.inventory
    yield from _section("Keys and passwords", lambda: connections.check_keys(examined))
    yield from _section(
        "Host keys", lambda: connections.check_host_keys(examined), lambda: connections.check_strictness(examined)
    )
    yield from _section(
        "The way to the remotes",
        lambda: connections.check_ignored(examined),
        lambda: connections.check_configuration(examined),
        lambda: connections.check_programs(inventory),
        lambda: connections.check_ports(inventory),
        lambda: connections.check_proxies(examined, now, offline=offline),
        lambda: history.check_tunnels(inventory),
        lambda: history.check_looks(inventory),
    )
    if inventory.fleet.workers:
        yield from _section("Workers", lambda: workers.check_workers(examined, now, offline=offline))
    yield from _section("Files", lambda: files.check_site(inventory), lambda: files.check_database(inventory))
    yield from _section("Rounds", lambda: history.check_rounds(inventory, now), lambda: history.check_timer(inventory))
    yield from _section(
        "Messages",
        lambda: notifications.check_destinations(inventory),
        lambda: notifications.check_outbox(inventory, now),
        lambda: notifications.check_heartbeat(inventory),
    )


def _section(name: str, *checks: Check) -> Iterator[Finding]:
    for check in checks:
        for result in _guarded(check):
            yield name, result


def _guarded(check: Check) -> Iterable[Result]:
    try:
        yield from check()
    except RemotestatusError as error:
        yield Result(Mark.WRONG, one_line(error, 600))
    except Exception as error:
        yield warning(f"a check of the doctor itself failed: {type(error).__name__}: {one_line(error)}")
