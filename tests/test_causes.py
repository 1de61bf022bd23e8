"""
Every cause, made by a real failure and found by a real round.

One fleet per way to a host, broken in as many ways as there are hosts, and one round over all of them: which also
proves that no failure touches its neighbours.
"""

import re
from pathlib import Path
from uuid import uuid4

from remotestatus.model.causes import Cause
from remotestatus.model.status_words import Status
from tests.lab import Command, Lab
from tests.lab.host import CHECKER
from tests.record_transcripts import break_host
from tests.rounds import forget_key, run_round

SHORT = {"remotestatus_timeout": 8}


def test_each_broken_tunnelled_remote_has_its_own_cause(lab: Lab, remotestatus: Command) -> None:
    """Tunnel, server, key, login, shell and output, each broken on another remote, are told apart in one round."""
    lab.proxy()
    expected = {
        "whole": None,
        "tunnel-cut": Cause.TUNNEL_DOWN,
        "tunnel-frozen": Cause.TUNNEL_STALE,
        "sshd-stopped": Cause.SSHD_DOWN,
        "sshd-closing": Cause.SSHD_DOWN,
        "sshd-silent": Cause.TUNNEL_STALE,
        "sshd-deaf": Cause.TUNNEL_STALE,
        "key-changed": Cause.HOST_KEY_CHANGED,
        "key-unknown": Cause.HOST_KEY_UNKNOWN,
        "login-refused": Cause.AUTHENTICATION_FAILED,
        "shell-hangs": Cause.PROBE_TIMEOUT,
        "shell-endless": Cause.PROBE_TIMEOUT,
        "shell-breaks": Cause.CONNECTION_LOST,
        "output-garbage": Cause.PROBE_FAILED,
    }
    for name in expected:
        break_host(lab.remote(name), name)
    inventory = lab.write_inventory(**SHORT)
    forget_key(lab, "key-unknown")

    found = run_round(lab, remotestatus, inventory)

    assert found.causes == expected
    assert found.proxy_causes == {"tunnel-proxy": None}
    assert lab.remotes["whole"].logins() == 1
    assert found.readings["whole"].attempts == 1
    assert "connect failed: Connection refused" in found.words("tunnel-cut")
    assert f"sport = :{lab.remotes['tunnel-cut'].port}" in found.words("tunnel-cut")
    assert "remotestatus trust key-unknown" in found.words("key-unknown")
    assert "without end" in found.words("shell-endless")
    for name, reading in found.readings.items():
        for trouble in reading.troubles:
            assert trouble.message, name
            assert trouble.hint, name
            assert len(trouble.detail) <= 300, name
            assert trouble.detail.isprintable(), name
    # What trying again could only lock out is tried once; the rest twice.
    assert lab.remotes["login-refused"].connections() == 1
    assert lab.remotes["key-changed"].connections() == 1
    assert lab.remotes["shell-hangs"].logins() == 2
    assert {name for name, reading in found.readings.items() if reading.attempts == 1} == {
        "whole",
        "key-changed",
        "key-unknown",
        "login-refused",
    }


def test_each_broken_direct_remote_has_its_own_cause(lab: Lab, remotestatus: Command) -> None:
    """Without a proxy, a refusal, silence, a missing name or route and a closed door are told apart."""
    lab.local("local")
    expected = {
        "whole": None,
        "stopped": Cause.CONNECTION_REFUSED,
        "deaf": Cause.CONNECTION_TIMEOUT,
        "silent": Cause.CONNECTION_TIMEOUT,
        "closing": Cause.CONNECTION_LOST,
        "nameless": Cause.NAME_UNRESOLVED,
        "routeless": Cause.NO_ROUTE,
        "key-changed": Cause.HOST_KEY_CHANGED,
        "key-unknown": Cause.HOST_KEY_UNKNOWN,
        "login-refused": Cause.AUTHENTICATION_FAILED,
        "shell-hangs": Cause.PROBE_TIMEOUT,
        "shell-breaks": Cause.CONNECTION_LOST,
        "mute": Cause.PROBE_FAILED,
        "signs-off-with-255": Cause.PROBE_FAILED,
    }
    for name in expected:
        break_host(lab.direct(name), name)
    inventory = lab.write_inventory(**SHORT)
    forget_key(lab, "key-unknown")

    found = run_round(lab, remotestatus, inventory)

    assert found.causes == {"local": None, **expected}


def test_each_broken_proxy_has_its_own_cause_and_hides_what_is_behind(lab: Lab, remotestatus: Command) -> None:
    """A proxy that fails says why, and what is behind it is unknown and never tried, also behind a second proxy."""
    quick = {"ansible_ssh_common_args": "-o ConnectTimeout=3"}
    expected: dict[str, Cause | None] = {
        "whole": None,
        "stopped": Cause.CONNECTION_REFUSED,
        "deaf": Cause.CONNECTION_TIMEOUT,
        "silent": Cause.CONNECTION_TIMEOUT,
        "closing": Cause.CONNECTION_LOST,
        "nameless": Cause.NAME_UNRESOLVED,
        "routeless": Cause.NO_ROUTE,
        "key-changed": Cause.HOST_KEY_CHANGED,
        "key-unknown": Cause.HOST_KEY_UNKNOWN,
        "login-refused": Cause.AUTHENTICATION_FAILED,
    }
    for name in expected:
        lab.proxy(name, variables=quick)
        lab.remote(f"behind-{name}", proxy=name)
    second = lab.proxy("second", variables={"ansible_ssh_common_args": "-o ProxyJump=stopped"})
    lab.remote("behind-both", proxy=["stopped", "second"])
    for name in expected:
        break_host(lab.proxies[name], name)
    inventory = lab.write_inventory(**SHORT)
    forget_key(lab, "key-unknown")

    found = run_round(lab, remotestatus, inventory)

    assert found.proxy_causes == {**expected, "second": Cause.PROXY_UNREACHABLE}
    assert {name: reading.status for name, reading in found.readings.items()} == {
        "behind-both": Status.UNKNOWN,
        **{f"behind-{name}": Status.UNKNOWN if cause else Status.UP for name, cause in expected.items()},
    }
    assert {cause for name, cause in found.causes.items() if name != "behind-whole"} == {Cause.PROXY_UNREACHABLE}
    assert "stopped" in found.words("behind-both")
    tried = [name for name, remote in lab.remotes.items() if remote.connections()]
    assert tried == ["behind-whole"]
    assert second.connections() == 0
    assert lab.proxies["login-refused"].connections() == 1


def test_what_is_wrong_on_a_reachable_remote_is_degraded(lab: Lab, remotestatus: Command) -> None:
    """Processes, limits and checks that are wrong make a remote degraded, with the names and values."""
    lab.proxy()
    missing = lab.remote(
        "missing", processes=["python manage.py lab_causes_1", {"name": "gone", "command": "lab_gone"}]
    )
    missing.stop_process("gone")
    program = f"many_{uuid4().hex[:8]}"  # what another run of this test starts is seen here, too
    many = {"name": "many", "command": program, "max": 1}
    lab.remote("excess", processes=[many]).start_process(f"{program} again")
    lab.remote("limit", variables={"remotestatus_limits": {"load": 0.0000001, "disk": "0.0001%"}})
    checks = [
        {"name": "raid", "command": "echo 'CRITICAL - md0 has 1 of 2 disks | disks=1'; exit 2"},
        {"name": "slow", "command": "sleep 60", "timeout": 1},
        {"name": "good", "command": "echo fine"},
    ]
    lab.remote("check", variables={"remotestatus_checks": checks})

    found = run_round(lab, remotestatus, lab.write_inventory())

    assert found.causes == {
        "missing": Cause.PROCESS_MISSING,
        "excess": Cause.PROCESS_EXCESS,
        "limit": Cause.LIMIT_EXCEEDED,
        "check": Cause.CHECK_FAILED,
    }
    assert {reading.status for reading in found.readings.values()} == {Status.DEGRADED}
    assert [(process.name, process.running) for process in found.readings["missing"].processes] == [
        ("python manage.py lab_causes_1", True),
        ("gone", False),
    ]
    assert "many (2 run, at most 1 wanted)" in found.words("excess")
    assert "disk /" in found.words("limit")
    assert "md0 has 1 of 2 disks" in found.words("check")
    assert "did not end within 1 s" in found.words("check")
    assert "good" not in found.words("check")
    words = {
        name: re.findall(r'class="word">(\w+)<', (lab.directory / "site" / "remotes" / f"{name}.html").read_text())
        for name in ("limit", "check")
    }
    assert "warning" in words["limit"]
    assert words["check"].count("critical") == 2


def test_a_port_held_by_another_remotes_tunnel_is_named(lab: Lab, remotestatus: Command) -> None:
    """When two tunnels have each other's ports, each remote's hint names the other by its host key."""
    one, other = lab.remote("capture-1"), lab.remote("capture-2")
    lab.swap_tunnels(one, other)
    here = lab.direct("web-1")
    here.variables["ansible_port"] = lab.direct("web-2").port

    found = run_round(lab, remotestatus, lab.write_inventory())

    assert found.causes == {**dict.fromkeys(["capture-1", "capture-2", "web-1"], Cause.HOST_KEY_CHANGED), "web-2": None}
    assert "capture-2 answers in the place of capture-1" in found.words("capture-1")
    assert "capture-1 answers in the place of capture-2" in found.words("capture-2")
    assert str(one.port) in found.words("capture-1")
    assert "web-2 answers in the place of web-1" in found.words("web-1")
    assert one.logins() == other.logins() == 0


def test_a_proxy_that_forbids_forwarding_is_not_a_tunnel_that_is_down(lab: Lab, remotestatus: Command) -> None:
    """What the proxy refuses by its own rules is told apart from a port where nothing listens."""
    lab.proxy("strict", sshd_config={"PermitOpen": "127.0.0.1:9"})
    lab.remote("forbidden", proxy="strict")
    lab.proxy("whole")
    lab.remote("nameless", proxy="whole", variables={"ansible_host": "no-such-host.invalid"})

    found = run_round(lab, remotestatus, lab.write_inventory(**SHORT))

    assert found.causes == {"forbidden": Cause.AUTHENTICATION_FAILED, "nameless": Cause.NAME_UNRESOLVED}
    assert "PermitOpen" in found.words("forbidden")
    assert found.proxy_causes == {"strict": None, "whole": None}


def test_a_wrong_password_is_offered_once_and_to_nobody_else(lab: Lab, remotestatus: Command) -> None:
    """One attempt per round with a password that the remote refuses; the proxy never sees a remote's password."""
    accepting = {"PasswordAuthentication": "yes", "KbdInteractiveAuthentication": "yes"}
    proxy = lab.proxy("tunnel-proxy", sshd_config=accepting)
    closed = lab.proxy("closed-proxy", sshd_config=accepting)
    lab.remote("right", password="correct horse 'battery' $taple")
    wrong = lab.remote("wrong", password="once upon a time")
    wrong.change_password()
    unknown = lab.remote("unknown", password="whoever you are")
    behind = lab.remote("behind", proxy="closed-proxy", password="not for proxies")
    closed.reject_key()
    inventory = lab.write_inventory(**SHORT)
    forget_key(lab, "unknown")

    found = run_round(lab, remotestatus, inventory)

    assert found.causes == {
        "right": None,
        "wrong": Cause.AUTHENTICATION_FAILED,
        "unknown": Cause.HOST_KEY_UNKNOWN,
        "behind": Cause.PROXY_UNREACHABLE,
    }
    assert found.proxy_causes == {"tunnel-proxy": None, "closed-proxy": Cause.AUTHENTICATION_FAILED}
    assert wrong.sshd.log.read_text().count("Failed password") == 1
    assert behind.connections() == unknown.logins() == 0
    for jump in (proxy, closed):
        assert "password" not in jump.sshd.log.read_text()
    assert "battery" not in found.printed


def test_a_proxy_may_have_a_password_of_its_own(lab: Lab, remotestatus: Command) -> None:
    """A proxy's password opens the shared connection, once; a wrong one is tried once and named."""
    right, wrong = (lab.remote(name, password="open sesame") for name in ("right", "wrong"))
    # A host in the group `proxies` that logs in by password: the lab's own proxies use keys.
    for host in (right, wrong):
        host.group = "proxies"
    wrong.change_password()
    behind = [
        lab.direct(f"behind-{jump.name}", variables={"ansible_ssh_common_args": f"-o ProxyJump={jump.name}"})
        for jump in (right, wrong)
    ]

    found = run_round(lab, remotestatus, lab.write_inventory(**SHORT))

    assert found.causes == {"behind-right": None, "behind-wrong": Cause.PROXY_UNREACHABLE}
    assert found.proxy_causes["right"] is None
    assert found.proxy_causes["wrong"] is Cause.AUTHENTICATION_FAILED
    assert right.logins() == 1
    assert wrong.sshd.log.read_text().count("Failed password") == 1
    assert [host.logins() for host in behind] == [1, 0]


def test_what_the_checker_lacks_is_its_own_fault(lab: Lab, remotestatus: Command) -> None:
    """Options that ssh does not know, or no ssh, make the remote unknown, not down: the checker is at fault."""
    lab.remote("typo", variables={"ansible_ssh_extra_args": "-o NoSuchOption=yes"})
    lab.remote("no-ssh", variables={"ansible_ssh_executable": "/nowhere/ssh"})
    lab.remote("whole")

    found = run_round(lab, remotestatus, lab.write_inventory(**SHORT))

    assert found.causes == {"typo": Cause.CHECKER_ERROR, "no-ssh": Cause.CHECKER_ERROR, "whole": None}
    assert found.readings["typo"].status is Status.UNKNOWN
    assert "/nowhere/ssh" in found.words("no-ssh")


def test_a_key_that_ssh_refuses_to_use_is_said_to_be_our_own_fault(
    lab: Lab, remotestatus: Command, tmp_path: Path
) -> None:
    """A key file that others may read, or that holds no key: the remote is not blamed, and no path is taken over."""
    readable, broken = tmp_path / "readable", tmp_path / "broken"
    readable.write_bytes(lab.keys[CHECKER].path.read_bytes())
    broken.write_text("no key\n")
    readable.chmod(0o644)
    broken.chmod(0o600)
    lab.remote("mode", variables={"ansible_ssh_private_key_file": str(readable)})
    lab.remote("broken", variables={"ansible_ssh_private_key_file": str(broken)})
    lab.proxy("proxy-mode", variables={"ansible_ssh_private_key_file": str(readable)})
    lab.remote("behind", proxy="proxy-mode")

    found = run_round(lab, remotestatus, lab.write_inventory())

    assert found.causes["mode"] is found.causes["broken"] is Cause.AUTHENTICATION_FAILED
    assert found.proxy_causes["proxy-mode"] is Cause.AUTHENTICATION_FAILED
    assert "ssh did not use the private key (bad permissions). `remotestatus doctor` names" in found.words("mode")
    assert "ssh did not use the private key (" in found.words("broken")
    assert "private key (bad permissions)" in " ".join(found.printed.partition("✖ Proxy proxy-mode")[2].split())[:300]
