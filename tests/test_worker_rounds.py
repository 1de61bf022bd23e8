"""
Rounds with workers: real `ansible-runner worker` processes over real SSH on loopback, and what goes wrong with them.
"""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from remotestatus.model.causes import Cause
from remotestatus.model.states import Kind
from remotestatus.model.statuses import Status
from tests.lab import Command, Lab
from tests.rounds import Recorded, await_that, run_round

PROGRAM = str(Path(sys.executable).with_name("ansible-runner"))
LIAR = Path(__file__).parent / "lab" / "lying_worker.py"
ELSEWHERE = "127.0.0.9"
"""An address of this machine at which no server of the lab listens."""

LIE = Path("/tmp/remotestatus-lie")


def _worker(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "program": PROGRAM, "vars": {"ansible_host": "127.0.0.1"}, **more}


def _left_on_workers(lab: Lab) -> list[str]:
    """What runs or lies on the workers of this lab: their processes carry the path of their directory."""
    places = {str(path) for path in Path("/tmp").glob("rs-worker.*")}
    found = []
    for process in psutil.process_iter(["cmdline", "environ"]):
        environment = process.info["environ"] or {}
        known = environment.get("REMOTESTATUS_WORKER")
        if known and (known in places or not Path(known).exists()) and _is_of(process, lab):
            found.append(" ".join(process.info["cmdline"] or []))
    return found


def _is_of(process: psutil.Process, lab: Lab) -> bool:
    """Whether a process on a worker came of this lab: sshd sets the home directory there."""
    environment = process.info["environ"] or {}
    return str(lab.scratch) in environment.get("HOME", "") or str(lab.scratch) in environment.get("SSH_CONNECTION", "")


@pytest.fixture(scope="module")
def a_round(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Lab, Recorded]]:
    """One round over a fleet with links cut on either side, and workers of all kinds."""
    folder = tmp_path_factory.mktemp("workers")
    with Lab(folder / "lab") as lab:
        lab.proxy("cut-here", variables={"ansible_host": ELSEWHERE})
        lab.proxy("cut-there")
        lab.remote("camera-1", proxy="cut-here", processes=["sleep 7771"])
        lab.remote("camera-2", proxy="cut-there")
        lab.remote("camera-3", proxy="cut-there")
        lab.remote("camera-4", proxy="cut-here", group="site")
        lab.direct("stranger")
        lab.direct("north")
        lab.direct("liar-1", group="lied_about")
        lab.direct("idle", group="of_nobody")
        lab.remotes["camera-3"].cut_tunnel()
        lab.remotes["stranger"].reject_key()
        lab.proxies["cut-there"].sshd.stop()
        inventory = lab.write_inventory(
            remotestatus_workers=[
                _worker("north"),
                _worker("camera-4", only="site", command="false") | {"command": "exec " + PROGRAM + " worker"},
            ]
        )
        del inventory
        yield lab, run_round(lab, Command(folder / "home"), lab.inventory)
