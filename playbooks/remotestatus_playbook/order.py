"""
Reads the Order that the package gives this run.

It waits for the file that the environment names, because the package first reads the playbook's description of the
inventory. On a worker the order comes with the playbook. Without an order the playbook runs alone, and probes every
host of the play once.
"""

import os
import time
from collections.abc import Mapping
from pathlib import Path

from remotestatus_playbook.protocol import ARTIFACTS, ORDER, ROOT, SENT_ORDER, WORKDIR, Order

_POLL_SECONDS = 0.01
_SENT_ORDER = Path(__file__).resolve().parent.parent / SENT_ORDER


def given_workdir() -> Path | None:
    """The round's private directory, when the package started this run."""
    return Path(os.environ[WORKDIR]) if ORDER in os.environ else None


def artifacts_on_worker() -> Path | None:
    """Where ansible-runner takes results from, when this run is a worker's; else None."""
    return Path(os.environ[ARTIFACTS]) if ORDER not in os.environ and _SENT_ORDER.exists() else None


def given_proxy_names() -> Mapping[str, tuple[str, str]]:
    """The checker's names of the proxies, on a worker; elsewhere empty."""
    return take_order().proxy_names if artifacts_on_worker() else {}


def take_order() -> Order:
    """Wait for the order. Raises RuntimeError when remotestatus has ended."""
    if ORDER not in os.environ:
        return Order.from_json(_SENT_ORDER.read_text()) if _SENT_ORDER.exists() else Order()
    path = Path(os.environ[ORDER])
    while not path.exists():
        try:
            os.kill(root(), 0)
        except ProcessLookupError:
            raise RuntimeError("remotestatus has ended") from None
        time.sleep(_POLL_SECONDS)
    return Order.from_json(path.read_text())


def root() -> int:
    """The process whose descendants are ours: remotestatus, or else ansible-playbook."""
    return int(os.environ.get(ROOT, os.getppid()))
