"""
What remotestatus asks of the run that it has started: at whom to look, how, and how many at the same time.

Takes the file that the environment names, and waits until it is there: remotestatus first reads what we say of the
inventory. Without one the playbook runs alone, and looks once at every host of the play.
"""

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

ORDER = "REMOTESTATUS_ORDER"
"""Environment variable: the file that the order is written to."""

ROOT = "REMOTESTATUS_ROOT"
"""Environment variable: the process that gives the order, and whose children we are."""

_ROUND_TRIP = 0.01
"""How often we look whether the order is there, in seconds."""


class OrderError(Exception):
    """Nobody is left to give the order."""


@dataclass(frozen=True, slots=True)
class Order:
    """
    The looks of one run.

    `names` are hosts of the inventory; None: those of the play. With `proxies_only` just the proxies on the way to
    them are connected to. `at_once` so many at the same time; None: as many as Ansible's own forks. It is the
    `number`-th look at these hosts in this round, `of` so many. `fresh` makes new connections instead of using kept
    ones. Connections are kept so many seconds after their use (`keep`; 0: no longer than the round), with their sockets
    in the folder `control`.
    """

    names: tuple[str, ...] | None = None
    proxies_only: bool = False
    at_once: int | None = None
    number: int = 1
    of: int = 1
    fresh: bool = False
    keep: int = 0
    control: str | None = None

    def seconds(self, whole: int) -> int:
        """
        How many seconds of a remote's whole time this look may take.

        The first gets two thirds and the later ones the rest, so that what fails costs its own timeout once and not
        twice.
        """
        if self.of <= 1:
            return whole
        return max(5, whole * 2 // 3 if self.number == 1 else whole // (3 * (self.of - 1)))


def is_given() -> bool:
    """Whether remotestatus started this run."""
    return ORDER in os.environ


def take() -> Order:
    """The order, as soon as there is one. Raises OrderError when whoever is to give it has ended."""
    if not is_given():
        return Order()
    path = Path(os.environ[ORDER])
    while not path.exists():
        if not _is_alive(root()):
            raise OrderError("remotestatus has ended")
        time.sleep(_ROUND_TRIP)
    values = json.loads(path.read_text())
    return Order(**{**values, "names": tuple(values["names"])})


def root() -> int:
    """The process whose descendants are our own doing: remotestatus, or who started the playbook."""
    return int(os.environ.get(ROOT, os.getppid()))


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
