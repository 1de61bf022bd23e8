"""
The doctor: examines everything that a round needs, from top to bottom, and names the cure of what is wrong.

Takes where the inventory is and the time; yields a section and a Result at a time. All is found, not only the first:
a check that itself fails is a Result too, and what hangs on something broken is said to be skipped.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime

from remotestatus.doctor import files, machine, messages, rounds, way
from remotestatus.doctor.patient import Patient, read_patient
from remotestatus.doctor.result import Check, Mark, Result, skipped, warning
from remotestatus.errors import RemotestatusError, RoundError
from remotestatus.playbook import AnsibleSource, Playbooks
from remotestatus.text import one_line

__all__ = ["Mark", "Result", "examine"]

Finding = tuple[str, Result]
"""The section that it belongs to, and what was found."""


def examine(source: AnsibleSource, now: datetime, *, offline: bool) -> Iterator[Finding]:
    """Examine everything; `offline` leaves out what connects to somebody else."""
    yield from _section("This machine", machine.check_versions, machine.check_locale, lambda: machine.check_clock(now))
    yield from _section("SSH", machine.check_ssh, machine.check_timeout)
    try:
        with Playbooks(source) as playbooks:
            patient = Patient(source, playbooks)
            yield from _section("Inventory", lambda: read_patient(patient), lambda: way.check_vault(patient))
            if patient.inventory is None:
                yield "Everything else", skipped("not examined: it hangs on the inventory")
            else:
                yield from _of_inventory(patient, now, offline=offline)
    except RoundError as error:
        yield "Inventory", Result(Mark.WRONG, str(error))


def _of_inventory(patient: Patient, now: datetime, *, offline: bool) -> Iterator[Finding]:
    assert patient.inventory is not None
    inventory = patient.inventory
    yield from _section("Keys and passwords", lambda: way.check_keys(patient))
    yield from _section("Host keys", lambda: way.check_host_keys(patient), lambda: way.check_strictness(patient))
    yield from _section(
        "The way to the remotes",
        lambda: way.check_configuration(patient),
        lambda: way.check_ports(inventory),
        lambda: way.check_proxies(patient, now, offline=offline),
    )
    yield from _section("Files", lambda: files.check_site(inventory), lambda: files.check_database(inventory))
    yield from _section("Rounds", lambda: rounds.check_rounds(inventory, now), lambda: rounds.check_timer(inventory))
    yield from _section(
        "Messages",
        lambda: messages.check_destinations(inventory),
        lambda: messages.check_outbox(inventory, now),
        lambda: messages.check_heartbeat(inventory),
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
