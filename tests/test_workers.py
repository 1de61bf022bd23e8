"""
Workers: real `ansible-runner worker` processes over real SSH, that look for the checker.
"""

import sys
from pathlib import Path

from tests.lab import Command, Lab
from tests.rounds import run_round

PROGRAM = str(Path(sys.executable).with_name("ansible-runner"))
ELSEWHERE = "127.0.0.9"
"""An address of this machine at which no server of the lab listens."""


def test_up_from_anywhere_is_up(lab: Lab, remotestatus: Command) -> None:
    """The checker's own link to the proxy is cut: the worker's is not, so all behind it is up, and not from here."""
    lab.proxy(variables={"ansible_host": ELSEWHERE})
    lab.remote("capture-1")
    lab.direct("north")
    found = run_round(
        lab,
        remotestatus,
        lab.write_inventory(
            remotestatus_workers=[{"name": "north", "program": PROGRAM, "vars": {"ansible_host": "127.0.0.1"}}]
        ),
    )
    print(found.printed)
    print(found.states)
    assert found.causes == {"capture-1": None, "north": None}
    assert found.readings["capture-1"].worker == "north"
    assert found.readings["capture-1"].not_from == ("checker",)
    assert found.proxy_causes == {"tunnel-proxy": None}
