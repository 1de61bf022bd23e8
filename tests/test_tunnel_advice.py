"""
Which end of the tunnel: what the remote's own ssh was started with, and an SSH server that turns us away for now.
"""

import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from remotestatus_playbook.protocol import Outcome, Process, RemoteAnswer

from remotestatus.evaluate.diagnosis import diagnose
from remotestatus.evaluate.tunnel_advice import advise, find_tunnels
from remotestatus.model.causes import Cause
from remotestatus.model.check_result import CheckResult
from remotestatus.model.facts import Facts
from remotestatus.model.fleet import Fleet, Proxy, Remote
from remotestatus.model.inventory_variables import FleetSettings, RemoteSettings
from remotestatus.model.tunnels import Tunnel
from tests.lab import Command, Lab
from tests.rounds import run_round

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
KEPT = "-o ExitOnForwardFailure=yes -o ServerAliveInterval=30"


def ssh(words: str, *, own: bool = False) -> Process:
    return Process(7, 1, "tunnel", "S", None, None, tuple(words.split()), exact=True, kernel=False, own=own)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("ssh -NR 8001:localhost:22 proxy", [Tunnel(8001)]),
        ("/usr/bin/ssh -N -T -R8001:localhost:22 -p 2222 t@proxy", [Tunnel(8001)]),
        (f"ssh -N {KEPT} -R 8001:localhost:22 proxy", [Tunnel(8001, None, True, 30)]),
        ("ssh -oExitOnForwardFailure=no -oServerAliveInterval 15 -R 1:a:2 p", [Tunnel(1, None, False, None)]),
        ("ssh -R *:8001:localhost:22 -R [::]:8002:h:22 p", [Tunnel(8001, "*"), Tunnel(8002, "::")]),
        ("ssh -R 127.0.0.1:8001:[::1]:22 p", [Tunnel(8001, "127.0.0.1")]),
        ("ssh -R :8001:localhost:22 p", [Tunnel(8001, "")]),
        ("ssh -R 8001 p", [Tunnel(8001)]),
        ("ssh -R /run/sock:localhost:22 p", []),
        ("ssh -R 99999:localhost:22 p", []),
        ("ssh -L 8001:localhost:22 -i -R p", []),
        ("sshd -R 8001:localhost:22", []),
        ("ssh -R", []),
        ("autossh -M 0 -R 8001:localhost:22 p", []),
    ],
)
def test_the_tunnels_of_a_command_line(words: str, expected: list[Tunnel]) -> None:
    """-R is found in all the ways to write it, with what -o says of it."""
    assert list(find_tunnels([ssh(words)])) == expected


def test_only_the_remotes_own_ssh_counts() -> None:
    """What the checker itself runs is none, and of unknown processes nothing is known."""
    assert find_tunnels([ssh("ssh -R 1:a:2 p", own=True)]) == ()
    assert find_tunnels(None) == ()


def fleet() -> Fleet:
    remotes = tuple(
        Remote(name, (), RemoteSettings(), address="127.0.0.1", port=port, path=("gate",))
        for name, port in (("north", 8001), ("south", 8002))
    )
    return Fleet(remotes, (Proxy("gate", "gate", "gate.example.com", 22, "t"),), FleetSettings())


@pytest.mark.parametrize(
    ("tunnels", "signs"),
    [
        ([Tunnel(8001, None, True, 30)], []),
        ([Tunnel(8001)], ["ExitOnForwardFailure", "ServerAliveInterval"]),
        ([Tunnel(8001, "*", True, 30)], ["all addresses"]),
        ([Tunnel(8009)], []),  # some other tunnel: its own is not kept by an ssh that can be seen
        ([Tunnel(8001, None, True, 30), Tunnel(8002, None, True, 30)], ["that of south"]),
        ([], []),
    ],
)
def test_advice_names_what_will_fail(tunnels: list[Tunnel], signs: list[str]) -> None:
    """Each thing that will make the tunnel fail is one sentence, and a tunnel that keeps itself up has none."""
    north = CheckResult("north", NOW, tunnels=tuple(tunnels), facts=Facts(boot_id="1"))
    sentences = advise(fleet().remotes[0], fleet(), {"north": north})
    assert len(sentences) == len(signs)
    assert all(sign in sentence for sign, sentence in zip(signs, sentences, strict=True))


@pytest.mark.parametrize(("boot", "advised"), [("1", False), ("2", True), (None, True)])
def test_two_names_of_one_machine_share_what_runs_there(boot: str | None, advised: bool) -> None:
    """Each of them sees the other's tunnel, and takes nothing from it."""
    both = (Tunnel(8001, None, True, 30), Tunnel(8002, None, True, 30))
    results = {
        name: CheckResult(name, NOW, tunnels=both, facts=Facts(boot_id=boot_id))
        for name, boot_id in (("north", "1"), ("south", boot))
    }
    assert bool(advise(fleet().remotes[0], fleet(), results)) is advised


CLOSED = "kex_exchange_identification: Connection closed by remote host\nConnection closed by UNKNOWN port 65535"


@pytest.mark.parametrize(
    ("stderr", "banner", "cause"),
    [
        (CLOSED, "Not allowed at this time", Cause.CONNECTION_THROTTLED),
        (CLOSED, "Exceeded MaxStartups", Cause.CONNECTION_THROTTLED),
        (CLOSED, "SSH-2.0-OpenSSH_9.9", Cause.SSHD_DOWN),
        (CLOSED, "", Cause.SSHD_DOWN),
        ("Permission denied (publickey).", "Not allowed at this time", Cause.AUTHENTICATION_FAILED),
    ],
)
def test_who_turns_us_away_is_not_down(stderr: str, banner: str, cause: Cause) -> None:
    """What an SSH server says in place of its banner tells it from none at all."""
    trouble = diagnose(fleet().remotes[0], RemoteAnswer(Outcome.SSH_FAILED, stderr=stderr, banner=banner))
    assert trouble.cause is cause
    if cause is Cause.CONNECTION_THROTTLED:
        assert trouble.detail == banner


@pytest.fixture
def penalty() -> Iterator[int]:
    """The port of a server that turns everybody away as sshd does for those with a penalty (OpenSSH 9.8)."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.sendall(b"Not allowed at this time\r\n")

    threading.Thread(target=serve, daemon=True).start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def test_a_throttled_server_is_told_by_its_words(lab: Lab, remotestatus: Command, penalty: int) -> None:
    """Behind a proxy and directly, a round says who turns us away and how; also where only a file knows the way."""
    lab.proxy("gate")
    lab.remote("behind-1", proxy="gate", variables={"ansible_port": penalty})
    lab.direct("direct-1", variables={"ansible_port": penalty})
    inventory = lab.write_inventory(remotestatus_attempts=1)
    (inventory / "filed.yml").write_text("remotes: {hosts: {filed-1: {ansible_ssh_common_args: -F filed}}}\n")
    (lab.directory / "filed").write_text(f"Host filed-1\nHostName 127.0.0.1\nPort {penalty}\nProxyJump gate\n")
    recorded = run_round(lab, remotestatus, inventory)
    assert recorded.causes == dict.fromkeys(("behind-1", "direct-1", "filed-1"), Cause.CONNECTION_THROTTLED)
    assert "Not allowed at this time" in recorded.words("behind-1")
    assert "PerSourcePenaltyExemptList" in recorded.words("direct-1")
