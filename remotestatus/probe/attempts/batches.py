"""
Decides which places may probe each remote, and splits a fleet into batches.

Pure: a place is CHECKER or the name of a worker. All remotes behind one proxy stay together, so that a proxy sees one
connection. A small fleet is one batch of the checker, because starting a worker takes longer than probing a few
remotes.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil

from remotestatus.model.fleet import Inventory, Remote, Worker
from remotestatus.model.inventory_variables import CHECKER

SMALLEST_BATCH, LARGEST_BATCH = 50, 500
"""Remotes in a worker's batch: fewer only if there are no more, more only behind one proxy."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Remotes that are probed together, and their allowed places. `failures` counts the places that failed."""

    names: tuple[str, ...]
    places: frozenset[str]
    failures: int = 0


def places_of(inventory: Inventory, remotes: Iterable[Remote], *, secrets: bool = True) -> Mapping[str, frozenset[str]]:
    """The places that may probe each remote. Without `secrets`, no password can be sent to a worker."""
    return {remote.name: _places_of(remote, inventory, secrets) for remote in remotes}


def _places_of(remote: Remote, inventory: Inventory, secrets: bool) -> frozenset[str]:
    workers = inventory.fleet.workers
    if remote.connection != "ssh" or remote.become_method or remote.name in inventory.problems:
        # No other connection settings are sent.
        return frozenset({CHECKER})
    claimed = frozenset(worker.name for worker in workers if remote.name in worker.only)
    able = {worker.name for worker in workers if _may(worker, remote, inventory, secrets)}
    if claimed:
        return claimed & able
    ways = {proxy.name: proxy.program for proxy in inventory.fleet.proxies}
    if remote.program or any(ways.get(hop) for hop in remote.path):
        # Its ProxyCommand is a program on the checker, which may do something else elsewhere.
        return frozenset({CHECKER})
    return frozenset({CHECKER, *(worker.name for worker in workers if not worker.only and worker.name in able)})


def _may(worker: Worker, remote: Remote, inventory: Inventory, secrets: bool) -> bool:
    """Whether a worker may probe it: not itself, nor a remote whose password may not be sent."""
    on_the_way = (inventory.ssh.key_names.get(hop, hop) for hop in remote.path)
    needs_password = any(name in inventory.passwords for name in (remote.name, *on_the_way))
    return remote.name != worker.name and ((secrets and worker.settings.secrets) or not needs_password)


@dataclass(slots=True)
class _Group:
    """Remotes that stay together, or direct ones, which may be split."""

    places: frozenset[str]
    together: bool
    names: list[str] = field(default_factory=list)


def share_out_remotes(remotes: Sequence[Remote], places: Mapping[str, frozenset[str]]) -> tuple[Batch, ...]:
    """The batches of a round's first pass: the checker's share first, then the largest."""
    groups = sorted(_groups(remotes, places), key=lambda group: -len(group.names))
    everywhere = {place for group in groups for place in group.places}
    shared = [group for group in groups if CHECKER in group.places]
    quota = max(SMALLEST_BATCH, ceil(sum(len(group.names) for group in shared) / max(1, len(everywhere))))
    own = [name for group in shared if group.places == {CHECKER} for name in group.names]
    left: list[_Group] = []
    for group in groups:
        room = quota - len(own) if CHECKER in group.places else 0
        if group.places == {CHECKER}:
            continue
        if group.together:
            takes = len(group.names) if room and (len(group.names) <= room or not own) else 0
        else:
            takes = max(0, min(room, len(group.names)))
        own += group.names[:takes]
        if takes < len(group.names):
            left.append(_Group(group.places, group.together, group.names[takes:]))
    batches = list(_pack(left, len(everywhere)))
    first = [Batch(tuple(own), frozenset({CHECKER}))] if own else []
    return (*first, *sorted(batches, key=lambda batch: -len(batch.names)))


def pack_for(place: str, remotes: Iterable[Remote]) -> Iterable[Batch]:
    """Batches of these remotes for one place, in their order as far as those behind one proxy stay together."""
    return _pack(list(_groups(remotes, defaultdict(lambda: frozenset({place})))), 1)


def _groups(remotes: Iterable[Remote], places: Mapping[str, frozenset[str]]) -> Iterable[_Group]:
    groups: dict[tuple[str | None, frozenset[str]], _Group] = {}
    for remote in remotes:
        proxy, may = remote.path[0] if remote.path else None, places[remote.name]
        groups.setdefault((proxy, may), _Group(may, together=proxy is not None)).names.append(remote.name)
    return groups.values()


def _pack(groups: Sequence[_Group], places: int) -> Iterable[Batch]:
    """
    Join small groups of the same places, and split groups of direct remotes.

    A batch is an equal share of what is left for this number of places, so batches become smaller: each has a start-up
    cost, and all places should end at the same time.
    """
    left = sum(len(group.names) for group in groups)
    open_batches: dict[frozenset[str], list[str]] = {}
    for group in groups:
        waiting = group.names
        while waiting:
            begun = open_batches.setdefault(group.places, [])
            room = min(LARGEST_BATCH, max(SMALLEST_BATCH, left // places)) - len(begun)
            piece = waiting if group.together else waiting[: max(0, room)]
            if begun and (not piece or len(piece) > room):
                yield Batch(tuple(begun), group.places)
                left -= len(begun)
                open_batches[group.places] = []
                continue
            begun += piece
            waiting = waiting[len(piece) :]
    for where, names in open_batches.items():
        if names:
            yield Batch(tuple(names), where)
