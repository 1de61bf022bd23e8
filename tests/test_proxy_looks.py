"""
Proxies that are looked at as remotes are: their ports, the advice about these, and what a proxy says of itself.
"""

import json
import os
import socket
import subprocess
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from remotestatus_playbook.machine_facts import Disk, Facts
from remotestatus_playbook.probe_output import parse
from remotestatus_playbook.probe_script import Questions, compose
from remotestatus_playbook.protocol import Listener, Order, Outcome, Process, RemoteAnswer, to_json

from remotestatus.evaluate.proxy_advice import advise_proxy
from remotestatus.evaluate.proxy_look import read_look, tunnel_ports, unseen_of_proxy
from remotestatus.evaluate.state_machine import next_state
from remotestatus.model.check_result import CheckResult
from remotestatus.model.fleet import Fleet, LimitedPage, Proxy, Remote
from remotestatus.model.inventory_variables import FleetSettings, PageSpec, RemoteSettings
from remotestatus.model.states import Kind, Policy
from remotestatus.model.status_words import Status
from remotestatus.model.tunnels import TunnelPort
from remotestatus.report.build import build_report
from remotestatus.report.formats.status_json import write_status
from remotestatus.report.limited_page import limit_input
from tests.made_fleet import Made, make_report_input

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
GATE = Remote("gate", (), RemoteSettings.model_validate({"limits": {"disk": "90%"}}))
NONCE = "n0nce5678"

NOWHERE = "00000000000000000000000000000000:0000"
PRINTED = f"""
[n0nce5678:frame
[n0nce5678:linux
/etc/passwd:tunnel:x:1001:1001::/home/tunnel:/usr/sbin/nologin
n0nce5678:linux]
[n0nce5678:listeners
   0: 0100007F:1F41 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1001        0 9001 1 0000000000000000 100
   1: 00000000:1F42 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 9002 1 0000000000000000 100
   2: 0A00000A:0016 057100CB:D431 01 00000040:00000000 01:00000150 00000007     0        0 9003 3 0000000000000000 100
   0: 00000000000000000000000001000000:1F41 {NOWHERE} 0A 00000000:00000000 00:00000000 00000000  1001        0 9004 1 0
 rubbish 0A
   9: 0100007F:1F43 00000000:0000 0A
/proc/self/fd:
lr-x------ 1 gate gate 64 Mar  1 12:00 3 -> socket:[9002]
/proc/77/fd:
lrwx------ 1 root root 64 Mar  1 12:00 4 -> socket:[9003]
lrwx------ 1 root root 64 Mar  1 12:00 7 -> socket:[9001]
n0nce5678:exit 0
n0nce5678:listeners]
n0nce5678:frame]
"""


def test_ports_are_read_with_their_holders() -> None:
    """Each listening socket has its address, user, holder, and the other end that its holder waits for."""
    assert parse(PRINTED.encode(), NONCE).answer.listeners == (
        Listener(8001, "127.0.0.1", "tunnel", (77,), ("203.0.113.5",)),
        Listener(8002, "0.0.0.0", "0"),
        Listener(8001, "::1", "tunnel"),
    )
    assert parse(PRINTED.replace("listeners", "others").encode(), NONCE).answer.listeners is None


def test_the_probe_says_who_listens_only_when_it_is_asked() -> None:
    """A port of this very test is found with its process, and nothing of it is printed where nobody asks."""
    found = {}
    with socket.create_server(("127.0.0.1", 0)) as server:
        for asked in (True, False):
            script = compose(NONCE, Questions(listeners=asked))
            printed = subprocess.run(["/bin/sh", "-s"], input=script, capture_output=True, check=True, timeout=30)
            found[asked] = parse(printed.stdout, NONCE).answer.listeners
        port = server.getsockname()[1]
    assert found[False] is None
    # Another test may hold the same port of ::1.
    here = [one.pids for one in found[True] or () if (one.address, one.port) == ("127.0.0.1", port)]
    assert here == [(os.getpid(),)]


def process(pid: int, user: str, words: str) -> Process:
    return Process(pid, 1, user, "S", 1, 1, (words,), exact=True, kernel=False, own=False)


@pytest.mark.parametrize(
    ("listener", "session"),
    [
        (Listener(8001, "127.0.0.1", "tunnel"), True),
        (Listener(8001, "127.0.0.1", "root", (2,)), True),
        (Listener(8001, "127.0.0.1", "admin", (5,)), True),
        (Listener(8001, "127.0.0.1", "admin"), None),
        (Listener(8001, "127.0.0.1", "nobody"), None),
        (Listener(22, "0.0.0.0", "root", (1,)), False),
        (Listener(3000, "127.0.0.1", "admin", (6,)), False),
    ],
    ids=["only sessions", "sshd-session", "sshd", "shell too", "hidden", "the server itself", "a program"],
)
def test_what_belongs_to_a_session_is_told_from_services(listener: Listener, session: bool | None) -> None:
    """An account that runs nothing but SSH sessions holds its ports by them; a known program is no tunnel."""
    processes = [
        process(1, "root", "sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups"),
        process(2, "root", "sshd-session: tunnel [priv]"),
        process(3, "tunnel", "sshd-session: tunnel"),
        process(4, "admin", "-bash"),
        process(5, "admin", "sshd: admin@pts/0"),
        process(6, "admin", "node server.js"),
    ]
    ports = tunnel_ports([listener], processes)
    assert [one.session for one in ports] == ([] if session is False else [session])


def fleet(*places: tuple[str, str, int]) -> Fleet:
    settings = RemoteSettings()
    remotes = tuple(Remote(name, (), settings, "ssh", address, port, path=("gate",)) for name, address, port in places)
    proxy = Proxy("gate", "gate", "gate.example.com", 22, "t")
    return Fleet(remotes, (proxy,), FleetSettings(), looked_at=(GATE,))


TWO = (("north", "127.0.0.1", 8001), ("south", "localhost", 8010))
INSIDE = (("north", "10.0.0.1", 22), ("south", "10.0.0.2", 22))


@pytest.mark.parametrize(
    ("places", "ports", "signs"),
    [
        (TWO, [TunnelPort(8001, "127.0.0.1", "t", session=True), TunnelPort(8010, "::1", "t")], []),
        (TWO, [TunnelPort(8005, "127.0.0.1", "t")], ["Port 8005 (t) listens there as a tunnel does"]),
        (TWO, [TunnelPort(9000, "127.0.0.1", "t", session=True)], ["Port 9000 (t) listens"]),
        (TWO, [TunnelPort(9000, "127.0.0.1", "redis"), TunnelPort(443, "0.0.0.0", "root")], []),
        (TWO, [TunnelPort(6010, "127.0.0.1", "admin", session=True)], []),
        (TWO, [TunnelPort(8001, "0.0.0.0", "t")], ["8001 (north) listens on all addresses"]),
        ((*TWO, ("third", "127.0.0.1", 8001)), [], ["Port 8001 is that of north, third"]),
        (INSIDE, [TunnelPort(22, "::", "root")], []),
    ],
    ids=["as wanted", "in the range", "a session's", "services", "X11", "everywhere", "shared", "no tunnels"],
)
def test_advice_about_the_ports_of_a_proxy(
    places: tuple[tuple[str, str, int], ...], ports: list[TunnelPort], signs: list[str]
) -> None:
    """What belongs to no remote, is shared or is open to everybody is a sentence each; services are none."""
    sentences = advise_proxy(fleet(*places), CheckResult("gate", NOW, ports=tuple(ports)), ())
    assert len(sentences) == len(signs)
    assert all(sign in sentence for sign, sentence in zip(signs, sentences, strict=True))


@pytest.mark.parametrize(
    ("port", "sign"),
    [
        (
            TunnelPort(8001, "127.0.0.1", "t", session=True, pids=(77,), peers=("203.0.113.5",)),
            "held by a session of t (pid 77), which waits for 203.0.113.5 and nobody answers behind it: end it there "
            "with `kill 77`",
        ),
        (TunnelPort(8001, "127.0.0.1", "t", session=True), "as root, `ss -tlnp sport = :8001` names it"),
    ],
)
def test_who_holds_the_port_of_a_dead_tunnel_is_named(port: TunnelPort, sign: str) -> None:
    """As far as the account may see it: the process and whom it waits for, or how to find it."""
    (sentence,) = advise_proxy(fleet(*TWO), CheckResult("gate", NOW, ports=(port,)), {"north"})
    assert sign in sentence
    assert advise_proxy(fleet(*TWO), CheckResult("gate", NOW), {"north"}) == ()


FULL = RemoteAnswer(Outcome.ANSWERED, connect_ms=9, facts=Facts(disks=(Disk("/", 100, 97, 97.0),)), processes=())
UP = CheckResult("gate", NOW, connect_ms=61)


def test_a_look_keeps_what_opening_the_connection_took() -> None:
    """The findings are the proxy's own, the time is that of its log-in."""
    found = read_look(GATE, UP, FULL, NOW)
    assert (found.status, found.connect_ms, [one.what for one in found.troubles]) == (Status.DEGRADED, 61, ["disk /"])


@pytest.mark.parametrize("outcome", [one for one in Outcome if one is not Outcome.ANSWERED])
def test_a_proxy_without_a_shell_is_up(outcome: Outcome) -> None:
    """Whatever the account prints in place of the probe's output is a note; what was wrong before stays known."""
    answer = RemoteAnswer(outcome, noise="This account is currently not available.")
    found = read_look(GATE, UP, answer, NOW)
    assert found.status is Status.UP
    assert "(This account is currently not available.)" in found.facts.notes[0]
    before = next_state(Kind.PROXY, "gate", None, read_look(GATE, UP, FULL, NOW).troubles, Policy(), NOW).state
    unseen = unseen_of_proxy(GATE, found, before)
    assert next_state(Kind.PROXY, "gate", before, found.troubles, Policy(), NOW, unseen).state.status is Status.DEGRADED


def test_a_proxy_that_is_no_longer_looked_at_has_no_findings() -> None:
    """They end without being over: nobody asks for them any more."""
    before = next_state(Kind.PROXY, "gate", None, read_look(GATE, UP, FULL, NOW).troubles, Policy(), NOW).state
    unseen = unseen_of_proxy(None, UP, before)
    after = next_state(Kind.PROXY, "gate", before, (), Policy(), NOW, unseen).state
    assert (after.status, [one.lost for one in after.findings]) == (Status.UP, [True])


def test_an_order_names_the_proxies_to_look_at() -> None:
    """What the package writes, the playbook reads; without them nothing is asked."""
    assert Order.from_json(to_json(Order(look_at=("gate",)))).look_at == ("gate",)
    assert Order.from_json(to_json(Order())).look_at == ()


def test_strangers_and_other_readers_see_nothing_of_a_proxys_ports(tmp_path: Path) -> None:
    """A public page has a proxy's limits and no ports, and a page of a part of the fleet nothing of what it says."""
    made = make_report_input(Made(6, NOW), tmp_path / "history.sqlite3")
    name = made.fleet.proxies[0].name
    gate = replace(GATE, name=name)
    ports = (TunnelPort(4711, "127.0.0.1", "secret-user", session=True),)
    look = replace(read_look(gate, replace(UP, name=name), FULL, NOW), ports=ports)
    seen = replace(
        made,
        fleet=replace(made.fleet, looked_at=(gate,)),
        check_results={**made.check_results, name: look},
        measured=lambda asked: look if asked == name else None,
    )
    limited = limit_input(
        seen, LimitedPage(PageSpec(site="x", limit="all"), frozenset(r.name for r in made.fleet.remotes))
    )
    shown = {
        "own": build_report(seen, NOW, public=False),
        "public": build_report(seen, NOW, public=True),
        "limited": build_report(limited, NOW),
    }
    said = {kind: str(json.loads(write_status(report))["proxies"]) for kind, report in shown.items()}
    assert {kind: ("secret-user" in text, "disk /" in text) for kind, text in said.items()} == {
        "own": (True, True),
        "public": (False, True),  # as a remote's limits
        "limited": (False, False),
    }
    assert shown["public"].proxies[0].looked is not None
    assert shown["limited"].proxies[0].looked is None
