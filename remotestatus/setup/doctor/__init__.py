"""
The doctor: checks everything that a round needs, and returns fixes for what is wrong.

It yields pairs of section and Result, for all problems, not only the first. A check that itself fails is a Result too;
one that cannot run because of another problem is skipped.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial

from remotestatus.model.errors import RemotestatusError, RoundError, say_error
from remotestatus.model.untrusted_text import one_line
from remotestatus.probe import AnsibleSource, PlaybookRunner
from remotestatus.setup.doctor import connections, files_and_space, machine, notifications, rounds_and_timer, workers
from remotestatus.setup.doctor.examined import Examined, Mark, Result, check_inventory, skipped, warning, wrong

__all__ = ["INVENTORY", "Mark", "Result", "examine"]

INVENTORY = "Inventory"
"""The section about the inventory; the sections after it need a readable inventory."""

Finding = tuple[str, Result]
"""The section that it belongs to, and what was found."""

_SECTIONS: Mapping[str, Sequence[Callable[[Examined], Iterable[Result]]]] = {
    INVENTORY: (check_inventory, connections.check_vault),
    "Keys and passwords": (connections.check_keys,),
    "Host keys": (connections.check_host_keys, connections.check_strictness),
    "The way to the remotes": (
        connections.check_ignored,
        connections.check_configuration,
        connections.check_programs,
        connections.check_ports,
        connections.check_proxies,
        connections.check_tunnels,
        connections.check_looks,
    ),
    "Workers": (workers.check_workers,),
    "Files": (files_and_space.check_site, files_and_space.check_database),
    "Rounds": (rounds_and_timer.check_rounds, rounds_and_timer.check_timer),
    "Messages": (notifications.check_destinations, notifications.check_outbox, notifications.check_heartbeat),
}


def examine(source: AnsibleSource, now: datetime, *, offline: bool) -> Iterator[Finding]:
    """Run all checks; `offline` leaves out those that connect."""
    yield from _section("This machine", machine.check_versions, machine.check_locale, partial(machine.check_clock, now))
    yield from _section("Earlier rounds", machine.check_dead_rounds, partial(machine.check_owner, source))
    yield from _section("SSH", machine.check_ssh, machine.check_timeout)
    try:
        with PlaybookRunner(source) as playbooks:
            examined = Examined(source, playbooks, now, offline)
            for name, checks in _SECTIONS.items():
                yield from _section(name, *(partial(check, examined) for check in checks))
                if not examined.is_read:
                    yield "Everything else", skipped("not examined: the inventory has to be readable first")
                    return
    except RoundError as error:
        yield INVENTORY, wrong(str(error))


def _section(name: str, *checks: Callable[[], Iterable[Result]]) -> Iterator[Finding]:
    for check in checks:
        try:
            for result in check():
                yield name, result
        except RemotestatusError as error:
            yield name, wrong(one_line(error, 600))
        except Exception as error:
            yield name, warning(f"a check of the doctor itself failed: {say_error(error)}")
