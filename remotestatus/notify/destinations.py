"""
Reads the destinations of messages from the settings: URLs with tags, or an Apprise configuration file.

The rule: an Apprise URL is a secret, so no error, log or table shows it. Apprise is loaded only if there is a
destination.
"""

from collections.abc import Container, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from remotestatus.model.errors import ConfigurationError, ConfigurationProblem
from remotestatus.model.fleet import Fleet, Inventory
from remotestatus.model.inventory_variables import DestinationSpec
from remotestatus.model.text import did_you_mean
from remotestatus.notify.sendings import Destination

_SETTING = "remotestatus_apprise"


def load_destinations(setting: str | Sequence[DestinationSpec], base_dir: Path) -> tuple[Destination, ...]:
    """
    Make the destinations of `remotestatus_apprise`: entries, or the path of an Apprise configuration file.

    Raises ConfigurationError with all problems at once; they name entries by number, name and service, never by URL.
    """
    if not setting:
        return ()
    if isinstance(setting, str) and "://" not in setting:
        found, problems = _read_file(base_dir / Path(setting).expanduser())
    else:
        found, problems = _make_each((DestinationSpec(url=setting),) if isinstance(setting, str) else setting)
    if problems:
        count = "a problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise ConfigurationError(f"the destinations of messages have {count}", problems)
    return tuple(_with_distinct_names(found))


def _make_each(entries: Sequence[DestinationSpec]) -> tuple[list[Destination], list[ConfigurationProblem]]:
    from remotestatus.notify.apprise_client import make_destination, say_what_is_wrong

    problems: list[ConfigurationProblem] = []
    found: dict[str, Destination] = {}
    for number, entry in enumerate(entries, start=1):
        where = f"{_SETTING}, entry {number}" + (f" ({entry.name})" if entry.name else "")
        destination = make_destination(entry.url, entry.tags, entry.name)
        if destination is None:
            problems.append(ConfigurationProblem(where, say_what_is_wrong(entry.url)))
        elif twin := next((one for one in found.values() if _are_the_same(one, destination)), None):
            problems.append(
                ConfigurationProblem(where, f"the same destination as {twin.name}; give one entry all of its `tags`")
            )
        else:
            destination = _with_distinct_key(destination, found)
            found[destination.key] = replace(destination, least=entry.from_)
    return list(found.values()), problems


def _are_the_same(one: Destination, other: Destination) -> bool:
    named = one.key == other.key and one.key.startswith("name ")
    return named or (one.former == other.former and one.key.startswith("id ") and other.key.startswith("id "))


def _with_distinct_key(destination: Destination, others: Container[str]) -> Destination:
    """Make the key unique: two web hooks may differ only in their tokens."""
    if destination.key not in others:
        return destination
    (with_secrets,) = destination.former
    return replace(destination, key=with_secrets, identity="")


def _read_file(path: Path) -> tuple[list[Destination], list[ConfigurationProblem]]:
    where = f"{_SETTING} ({path.name})"
    if not path.is_file():
        # With these it may be meant as a URL, and hold a password.
        where = _SETTING if {":", "@"} & set(path.name) else where
        return [], [ConfigurationProblem(where, "no such file; write a URL, or a path from the inventory's folder on")]
    from remotestatus.notify.apprise_client import read_file

    found, wrong = read_file(path)
    if not found and not wrong:
        wrong = ["there is no destination in it"]
    by_key: dict[str, Destination] = {}
    for one in {twin.former: twin for twin in found}.values():
        distinct = _with_distinct_key(one, by_key)
        by_key[distinct.key] = distinct
    return list(by_key.values()), [ConfigurationProblem(where, what) for what in wrong]


def read_destinations(inventory: Inventory) -> tuple[Destination, ...]:
    """The destinations of an inventory. Raises ConfigurationError, also for tags that nothing has or names."""
    destinations = load_destinations(inventory.fleet.settings.apprise, inventory.base)
    problems = problems_of_tags(inventory.fleet, destinations)
    if problems:
        raise ConfigurationError("what the inventory says about messages has problems", problems)
    return destinations


def problems_of_tags(fleet: Fleet, destinations: Sequence[Destination]) -> list[ConfigurationProblem]:
    """Tags that a remote names and no destination has, and tags of destinations that nothing names."""
    offered = {tag for destination in destinations for tag in destination.tags}
    users: dict[str, list[str]] = {}
    for remote in fleet.remotes:
        for tag in remote.settings.notify:
            users.setdefault(tag, []).append(f"{remote.name}: remotestatus_notify")
        for step in remote.settings.escalate:
            for tag in step.notify:
                users.setdefault(tag, []).append(f"{remote.name}: remotestatus_escalate")
    for hours in fleet.settings.quiet_hours:
        for tag in hours.tags:
            users.setdefault(tag, []).append("all: remotestatus_quiet_hours")
    for tag in fleet.settings.report.notify if fleet.settings.report else ():
        users.setdefault(tag, []).append("all: remotestatus_report")
    problems = []
    for tag, places in sorted(users.items()):
        if tag not in offered:
            where = places[0] + (f" (and {len(places) - 1} more)" if len(places) > 1 else "")
            problems.append(
                ConfigurationProblem(
                    where, f'no destination of {_SETTING} has the tag "{tag}"{did_you_mean(tag, offered)}'
                )
            )
    for destination in destinations:
        problems += [
            ConfigurationProblem(
                f"{_SETTING} ({destination.name})",
                f'nothing names its tag "{tag}"; write it into a remotestatus_notify or remotestatus_escalate, or '
                "remove it",
            )
            for tag in destination.tags
            if tag not in users
        ]
    return problems


def _with_distinct_names(found: Sequence[Destination]) -> Iterable[Destination]:
    names = [destination.name for destination in found]
    for destination in found:
        twins = names.count(destination.name) > 1
        yield replace(destination, name=f"{destination.name} {destination.key[-4:]}") if twins else destination
