"""
Rounds with workers: real `ansible-runner worker` processes over real SSH on loopback, and what goes wrong with them.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from remotestatus.model.causes import Cause
from tests.lab import Command, HttpSink, Lab, require_root
from tests.rounds import Recorded, run_round

MESH = Path(__file__).parent / "lab" / "mesh.py"
LIAR = Path(__file__).parent / "lab" / "lying_worker.py"
ELSEWHERE = "127.0.0.9"
"""An address of this machine at which no server of the lab listens."""

LIE = Path("/tmp/remotestatus-lie")


def _programs(lab: Lab) -> str:
    """Where ansible-runner is for this lab: a folder of its own, by which what runs there is known."""
    folder = lab.scratch / "bin"
    if not folder.exists():
        folder.mkdir()
        for name in ("ansible-runner", "ansible-playbook"):
            (folder / name).symlink_to(Path(sys.executable).with_name(name))
    return str(folder / "ansible-runner")


def _worker(lab: Lab, name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "program": _programs(lab), **more}


def _on_workers(lab: Lab) -> list[psutil.Process]:
    """What runs on the workers of this lab."""
    folder = str(lab.scratch / "bin")
    found = []
    for process in psutil.process_iter(["environ", "cmdline"]):
        environment = process.info["environ"] or {}
        if "REMOTESTATUS_WORKER" in environment and environment.get("PATH", "").startswith(folder):
            found.append(process)
    return found


@dataclass(frozen=True)
class Seen:
    """One round over a fleet with links cut on either side."""

    lab: Lab
    recorded: Recorded
    status: dict[str, Any]

    def remote(self, name: str) -> dict[str, Any]:
        """What status.json says of one remote."""
        found: dict[str, Any] = next(one for one in self.status["remotes"] if one["name"] == name)
        return found


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    """A round with a worker whose way to a proxy is not cut, one with its own site, one that lies, one that babbles."""
    folder = tmp_path_factory.mktemp("workers")
    with Lab(folder / "lab") as lab:
        lab.proxy("cut-here", variables={"ansible_host": ELSEWHERE})
        lab.proxy("cut-off")
        lab.remote("camera-1", proxy="cut-here")
        lab.remote("camera-2", proxy="cut-here")
        lab.remote("camera-3", proxy="cut-off")
        lab.remote("camera-4", proxy="cut-here", group="site")
        lab.direct("stranger")
        lab.direct("north")
        lab.direct("lied-about", group="lies")
        lab.remotes["camera-2"].cut_tunnel()
        lab.remotes["stranger"].reject_key()
        lab.proxies["cut-off"].sshd.stop()
        here, program = {"ansible_host": "127.0.0.1"}, _programs(lab)
        lab.write_inventory(
            remotestatus_workers=[
                _worker(lab, "north", vars=here),
                {"name": "inside", "only": "site", "vars": here, "command": f"{sys.executable} {MESH} {program}"},
                {"name": "liar", "only": "lies", "command": f"{sys.executable} {LIAR} {program} camera-1 north"},
                {"name": "babbler", "command": "echo Welcome; cat >/dev/null"},
            ]
        )
        LIE.unlink(missing_ok=True)
        recorded = run_round(lab, Command(folder / "home"), lab.inventory)
        yield Seen(lab, recorded, json.loads((lab.directory / "site" / "status.json").read_text()))


def test_up_from_anywhere_is_up_and_says_from_where_not(seen: Seen) -> None:
    """The checker's own link to a proxy is cut and the worker's is not: all there is up, and it is one entry."""
    assert seen.remote("camera-1")["status"] == "up"
    assert seen.remote("camera-1")["worker"] == "north"
    assert seen.remote("camera-1")["not_from"] == ["checker"]
    assert seen.recorded.proxy_causes["cut-here"] is None
    entries = [one for one in seen.status["out_of_sight"] if "camera-1" in one["remotes"]]
    assert [(one["from"], one["remotes"]) for one in entries] == [("checker", ["camera-1"])]
    page = (seen.lab.directory / "site" / "index.html").read_text()
    assert "Not from the checker" in page


def test_down_from_all_says_from_where_it_was_tried(seen: Seen) -> None:
    """Its tunnel is down as the worker sees it; the checker did not come so far."""
    assert seen.recorded.causes["camera-2"] is Cause.TUNNEL_DOWN
    assert "Tried from the checker and north" in seen.recorded.words("camera-2")
    assert seen.recorded.proxy_causes["cut-off"] is Cause.CONNECTION_REFUSED
    assert seen.recorded.causes["camera-3"] is Cause.PROXY_UNREACHABLE
    assert "Tried from the checker and north" in seen.recorded.words("camera-3")


def test_what_only_a_worker_reaches_is_up(seen: Seen) -> None:
    """A site that just one worker may look at, behind a mesh: it is up there, and nobody else tried."""
    assert seen.recorded.readings["camera-4"].worker == "inside"
    assert seen.recorded.causes["camera-4"] is None
    assert seen.recorded.readings["camera-4"].not_from == ()


def test_who_refuses_us_is_not_tried_elsewhere(seen: Seen) -> None:
    """A refused log-in is one log-in, from one place."""
    assert seen.recorded.causes["stranger"] is Cause.AUTHENTICATION_FAILED
    assert seen.lab.remotes["stranger"].connections() == 1
    assert "Tried from" not in seen.recorded.words("stranger")


def test_a_liar_lies_about_its_own_only(seen: Seen) -> None:
    """What it says of others is refused and told, and nothing that it sends is unpacked."""
    assert seen.recorded.causes["lied-about"] is None
    assert seen.recorded.readings["north"].worker is None
    (liar,) = (one for one in seen.status["workers"] if one["name"] == "liar")
    assert "was not asked about" in liar["cause"]["message"]
    assert liar["cause"]["detail"] == "camera-1, north"
    assert not LIE.exists()


def test_a_babbling_worker_is_an_incident_of_its_own(seen: Seen) -> None:
    """Garbage on the stream: that worker is down, and nobody else is."""
    workers = {one["name"]: one for one in seen.status["workers"]}
    assert {name: one["status"] for name, one in workers.items()} == {
        "north": "up",
        "inside": "up",
        "liar": "down",
        "babbler": "down",
    }
    assert workers["babbler"]["cause"]["code"] == "probe-failed"
    assert "3 proxies and workers are down" in seen.recorded.printed
    assert "Welcome" in workers["babbler"]["cause"]["detail"]


def test_the_doctor_examines_each_worker(seen: Seen, remotestatus: Command) -> None:
    """Its versions, which proxies it reaches, and why another one is of no use."""
    done = remotestatus("doctor", "--json", "-i", seen.lab.inventory)
    said = {one["said"]: one["mark"] for one in json.loads(done.stdout) if "worker" in one["said"]}
    assert [mark for text, mark in said.items() if text.startswith("the worker north can look: ansible-core 2.")]
    assert [mark for text, mark in said.items() if text.startswith("the worker north reaches cut-here")] == ["fine"]
    assert [mark for text, mark in said.items() if "from the worker north, the proxy cut-off" in text] == ["wrong"]
    assert [mark for text, mark in said.items() if text.startswith("the worker babbler: ")] == ["wrong"]


def test_nothing_stays_on_a_worker(seen: Seen) -> None:
    """When the round is over, no process of ours runs there."""
    assert _on_workers(seen.lab) == []


def test_a_worker_tells_two_ways_to_one_proxy_apart(lab: Lab, remotestatus: Command) -> None:
    """The checker reaches a proxy directly and through another one; a worker sent one of both names it alike."""
    lab.proxy("gate")
    lab.proxy("outer")
    lab.remote("near", proxy="gate")
    lab.remote("far", proxy=("outer", "gate"), group="site")
    program = f"{sys.executable} {MESH} {_programs(lab)}"
    lab.write_inventory(remotestatus_workers=[{"name": "inside", "only": "site", "command": program}])
    run_round(lab, remotestatus, lab.inventory)
    status = json.loads((lab.directory / "site" / "status.json").read_text())
    assert {one["name"]: (one["status"], one["worker"]) for one in status["remotes"]} == {
        "near": ("up", None),
        "far": ("up", "inside"),
    }
    assert [(one["name"], one["status"], one["cause"]) for one in status["workers"]] == [("inside", "up", None)]
    assert {one["name"]: one["status"] for one in status["proxies"]} == {
        "gate": "up",
        "outer": "up",
        "gate (through outer)": "up",
    }


def test_a_proxy_is_checked_where_no_remote_is_left_for_the_checker(lab: Lab, remotestatus: Command) -> None:
    """All remotes are a worker's; the proxies that none of them passes are connected to from here."""
    lab.proxy("gate")
    lab.proxy("spare")
    lab.proxy("silent").sshd.stop()
    lab.remote("far", proxy="gate", group="site")
    program = f"{sys.executable} {MESH} {_programs(lab)}"
    lab.write_inventory(remotestatus_workers=[{"name": "inside", "only": "site", "command": program}])
    run_round(lab, remotestatus, lab.inventory)
    status = json.loads((lab.directory / "site" / "status.json").read_text())
    found = {one["name"]: one["status"] for one in (*status["remotes"], *status["proxies"])}
    assert found == {"far": "up", "gate": "up", "spare": "up", "silent": "down"}


def test_a_frozen_and_killed_worker(lab: Lab, remotestatus: Command, http_sink: HttpSink) -> None:
    """
    Frozen at its first try, killed at its second: what only it looks at is unknown, and it is one incident.

    Nothing of it stays there, in no process and no directory, and people are told once.
    """
    lab.proxy()
    lab.proxy("gate")
    lab.remote("camera-1", proxy="gate", group="site").fall_silent()
    lab.remote("camera-2", proxy="tunnel-proxy")
    lab.direct("north")
    inventory = lab.write_inventory(
        remotestatus_workers=[_worker(lab, "north", only="site")],
        remotestatus_apprise=[http_sink.apprise_url],
        remotestatus_look_at_proxies=True,
    )
    with subprocess.Popen(
        [sys.executable, "-m", "remotestatus", "run", "-i", str(inventory)],
        env=remotestatus.environment,
        stdout=subprocess.DEVNULL,
    ) as process:
        first = _await_runner(lab, set())
        folder = Path(first.environ()["REMOTESTATUS_WORKER"])
        assert folder.is_dir()
        first.suspend()
        # Whoever hands out and listens comes before the probes.
        probes = [one for one in _on_workers(lab) if "exec /bin/sh -s" in (one.info["cmdline"] or [])]
        assert {probe.nice() for probe in probes} == {min(19, first.nice() + 10)}
        second = _await_runner(lab, {first.pid})
        second.kill()
        assert process.wait(60) == 0
    assert _on_workers(lab) == []
    assert not folder.exists()
    status = json.loads((lab.directory / "site" / "status.json").read_text())
    assert [(one["name"], one["cause"] and one["cause"]["code"]) for one in status["remotes"]] == [
        ("camera-1", "worker-unreachable"),
        ("camera-2", None),
        ("north", None),
    ]
    assert [(one["subject"], one["status"]) for one in status["incidents"]] == [("north", "down")]
    # Workers or not, the checker itself looks at the proxies that it may connect to.
    proxies = {proxy["name"]: proxy for proxy in status["proxies"]}
    assert proxies["tunnel-proxy"]["facts"]["cpus"] == os.cpu_count()
    # Whatever it was before: nobody knows how a proxy is that only the worker passes.
    assert (proxies["gate"]["status"], proxies["gate"]["cause"]["code"]) == ("unknown", "worker-unreachable")
    (request,) = http_sink.wait_for(1)
    assert "The worker north is down" in request.body.decode()
    assert "camera-1" in request.body.decode()


def _await_runner(lab: Lab, known: set[int]) -> psutil.Process:
    """The ansible-runner of a worker, as soon as its Ansible has begun to connect."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        running = _on_workers(lab)
        words = {process.pid: process.info["cmdline"] or [] for process in running}
        connecting = any("exec /bin/sh -s" in word for line in words.values() for word in line)
        for process in running:
            line = words.get(process.pid, [])
            if connecting and process.pid not in known and "worker" in line and line[0] != "timeout":
                return process
        time.sleep(0.05)
    raise AssertionError("no ansible-runner was seen")


def test_a_password_goes_where_it_may(lab: Lab, remotestatus: Command) -> None:
    """With `secrets: true` a worker logs in with the inventory's password, and no file here or there keeps it."""
    require_root("an account with a password")
    lab.proxy(variables={"ansible_host": ELSEWHERE})
    lab.remote("locked", password="told-to-north-only")
    lab.direct("north")
    here = {"ansible_host": "127.0.0.1"}
    inventory = lab.write_inventory(remotestatus_workers=[_worker(lab, "north", vars=here, secrets=True)])
    found = run_round(lab, remotestatus, inventory)
    assert found.causes["locked"] is None
    assert found.readings["locked"].worker == "north"
    kept = [path for path in lab.directory.rglob("*") if path.is_file() and b"told-to-north-only" in path.read_bytes()]
    assert [path.name for path in kept] == ["remotes.yml"]
    without = lab.write_inventory(remotestatus_workers=[_worker(lab, "north", vars=here)])
    found = run_round(lab, remotestatus, without)
    assert found.causes["locked"] is Cause.PROXY_UNREACHABLE
    assert "Tried from" not in found.words("locked")
