"""Checks notifications: destinations, tags, the outbox, and the heartbeat. Sends nothing."""

from collections.abc import Iterator

from remotestatus.history import outbox
from remotestatus.model.durations import say_duration
from remotestatus.model.errors import ConfigurationError
from remotestatus.model.untrusted_text import one_line
from remotestatus.notify import load_destinations, problems_of_tags
from remotestatus.setup.doctor.examined import Examined, Result, fine, warning, wrong


def check_destinations(examined: Examined) -> Iterator[Result]:
    """Check that Apprise can use each destination, and that each tag has one."""
    fleet = examined.inventory.fleet
    try:
        destinations = load_destinations(fleet.settings.apprise, examined.inventory.base)
    except ConfigurationError as error:
        for text in [str(problem) for problem in error.problems] or [error.summary]:
            yield wrong(text)
        return
    if not destinations:
        yield warning("nobody is told of anything: remotestatus_apprise is not set", "add an Apprise URL to it")
    for problem in problems_of_tags(fleet, destinations):
        yield wrong(str(problem))
    if destinations:
        names = ", ".join(one_line(destination.name, 40) for destination in destinations)
        yield fine(f"destinations: {names}; `remotestatus notify --test` sends to each")


def check_outbox(examined: Examined) -> Iterator[Result]:
    """Find failing destinations and old messages."""
    failing = examined.ask_history(outbox.failing_destinations) or ()
    waiting = examined.ask_history(outbox.count_waiting) or 0
    for one in failing:
        yield wrong(
            f"{one.name} takes no messages since {say_duration(examined.now - one.since)}: {one.error}",
            "remotestatus notify --test",
        )
    if waiting:
        yield warning(f"{waiting} message{'s wait' if waiting > 1 else ' waits'} to be sent; each round tries again")


def check_heartbeat(examined: Examined) -> Iterator[Result]:
    """Check that a heartbeat URL is set."""
    if examined.inventory.fleet.settings.heartbeat:
        yield fine("a heartbeat is sent after each round")
    else:
        yield warning(
            "nobody notices when this machine itself stops: remotestatus_heartbeat is not set",
            "make a check at a service such as healthchecks.io, and set its URL",
        )
