"""
Causes are the same whatever way the jump is written: what `ssh` alone knows of a proxy is a proxy like any other.

The most telling failures on each way; `WHOLE=1 .venv/bin/pytest tests/test_jump_causes.py` makes them all.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from remotestatus.history.database import History
from remotestatus.model.causes import Cause
from remotestatus.model.status_words import Status
from tests.lab import Command, JumpWay, Lab, require_root, run_command
from tests.lab.jump_ways import proxy_name
from tests.lab.keys import make_key
from tests.record_transcripts import break_host
from tests.rounds import forget_key, run_round

WHOLE = bool(os.environ.get("WHOLE"))

REMOTES = {
    "whole": None,
    "tunnel-cut": Cause.TUNNEL_DOWN,
    "sshd-stopped": Cause.SSHD_DOWN,
    "key-changed": Cause.HOST_KEY_CHANGED,
    "login-refused": Cause.AUTHENTICATION_FAILED,
}
MORE_REMOTES = {
    "tunnel-frozen": Cause.TUNNEL_STALE,
    "sshd-closing": Cause.SSHD_DOWN,
    "sshd-silent": Cause.TUNNEL_STALE,
    "sshd-deaf": Cause.TUNNEL_STALE,
    "key-unknown": Cause.HOST_KEY_UNKNOWN,
    "shell-hangs": Cause.PROBE_TIMEOUT,
    "shell-endless": Cause.PROBE_TIMEOUT,
    "shell-breaks": Cause.CONNECTION_LOST,
    "output-garbage": Cause.PROBE_FAILED,
    "password-refused": Cause.AUTHENTICATION_FAILED,
}
PROXIES = {
    "stopped": Cause.CONNECTION_REFUSED,
    "key-changed": Cause.HOST_KEY_CHANGED,
    "login-refused": Cause.AUTHENTICATION_FAILED,
}
MORE_PROXIES = {
    "deaf": Cause.CONNECTION_TIMEOUT,
    "silent": Cause.CONNECTION_TIMEOUT,
    "closing": Cause.CONNECTION_LOST,
    "nameless": Cause.NAME_UNRESOLVED,
    "routeless": Cause.NO_ROUTE,
    "key-unknown": Cause.HOST_KEY_UNKNOWN,
}


@pytest.mark.parametrize("way", [way for way in JumpWay if WHOLE or way is not JumpWay.INVENTORY])
def test_a_failure_has_the_same_cause_on_every_way(lab: Lab, remotestatus: Command, way: JumpWay) -> None:
    """One round, one log-in at each proxy; a dead proxy is one problem, and what is behind it is not tried."""
    lab.way = way
    remotes = {**REMOTES, **(MORE_REMOTES if WHOLE else {})}
    proxies = {**PROXIES, **(MORE_PROXIES if WHOLE else {})}
    good = lab.proxy()
    for name in remotes:
        by_password = name.startswith("password")
        break_host(lab.remote(name, proxy=good, password="as it was") if by_password else lab.remote(name), name)
    for name in proxies:
        lab.remote(f"behind-{name}", proxy=lab.proxy(f"proxy-{name}"))
        break_host(lab.proxies[f"proxy-{name}"], name)
    lab.remote("far", proxy=["tunnel-proxy", lab.proxy("second")])
    inventory = lab.write_inventory(remotestatus_timeout=8, remotestatus_attempts=1)
    (lab.directory / "ssh_config").chmod(0o664)  # as in a checkout that a group shares: `ssh -F` takes it
    for name in ("key-unknown", "proxy-key-unknown"):
        forget_key(lab, name) if name in {**lab.remotes, **lab.proxies} else None

    found = run_round(lab, remotestatus, inventory)

    named = {name: proxy_name(proxy, way) for name, proxy in lab.proxies.items()}
    expected = {named[f"proxy-{name}"]: cause for name, cause in proxies.items()}
    assert found.proxy_causes == {named["tunnel-proxy"]: None, named["second"]: None, **expected}
    behind = {f"behind-{name}": Cause.PROXY_UNREACHABLE for name in proxies}
    assert found.causes == {**remotes, **behind, "far": None}
    assert {found.readings[name].status for name in behind} == {Status.UNKNOWN}
    assert [lab.remotes[name].connections() for name in behind] == [0] * len(behind)
    assert [(proxy.logins(), proxy.connections()) for proxy in (good, lab.proxies["second"])] == [(1, 1)] * 2
    assert str(lab.remotes["tunnel-cut"].port) in found.words("tunnel-cut")
    assert lab.remotes["login-refused"].connections() == 1


ETC = ("ssh", "group", "hosts", "nsswitch.conf", "ld.so.cache")
HOME_OF_ITS_OWN = 'mount --bind "$1" /etc && shift && exec "$@"'


def test_a_name_is_enough_where_the_users_own_configuration_says_the_rest(
    lab: Lab, remotestatus: Command, tmp_path: Path
) -> None:
    """~/.ssh/config alone knows address, port, user, key and proxy; where that is, /etc/passwd says and not HOME."""
    require_root("a home directory of the test's own")
    lab.way = JumpWay.FILE
    lab.remote("box")
    lab.remote("cut").cut_tunnel()
    inventory = lab.write_inventory(remotestatus_attempts=1)
    (inventory / "remotes.yml").write_text("remotes: {hosts: {box: , cut: }}\n")
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "config").write_text(lab.ssh_config().read_text())
    # The whole folder: another test that makes an account puts a new file in the place of passwd, and what was mounted
    # over the old one is gone then.
    etc = tmp_path / "etc"
    etc.mkdir()
    needed = [path for name in ETC if (path := Path("/etc") / name).exists()]
    subprocess.run(["cp", "-a", *needed, etc], check=True)
    (etc / "passwd").write_text(f"root:x:0:0:root:{tmp_path}:/bin/sh\n{Path('/etc/passwd').read_text()}")

    words = ["unshare", "--mount", "sh", "-c", HOME_OF_ITS_OWN, "sh", str(etc), sys.executable, "-m", "remotestatus"]
    done = run_command([*words, "run", "-i", str(inventory)], environment=remotestatus.environment, timeout=60)

    assert done.returncode == 0, done.stdout + done.stderr
    with History.open(lab.directory / "history.sqlite3") as history:
        found = {name: one.trouble and one.trouble.cause for name, one in history.check_results().items()}
    assert found == {"box": None, "cut": Cause.TUNNEL_DOWN}, done.stdout
    assert lab.proxies["tunnel-proxy"].logins() == 1


def test_without_the_program_timeout_nobody_is_called_down(lab: Lab, remotestatus: Command, tmp_path: Path) -> None:
    """The checker lacks what every connection is started with: it is told so, and no proxy or remote is."""
    lab.remote("behind", proxy=lab.proxy())
    lab.direct("alone")
    inventory = lab.write_inventory(remotestatus_attempts=1)
    for program in Path("/usr/bin").iterdir():
        if program.name != "timeout":
            (tmp_path / "bin").mkdir(exist_ok=True)
            (tmp_path / "bin" / program.name).symlink_to(program)

    done = remotestatus("run", "-i", inventory, environment={"PATH": str(tmp_path / "bin")})

    assert done.returncode == 0, done.stderr
    assert done.stdout.count("there is no program timeout on the checker") > 0, done.stdout
    assert "does not answer" not in done.stdout
    assert "down" not in done.stdout


def test_a_host_certificate_is_believed_under_its_own_name(lab: Lab, remotestatus: Command, tmp_path: Path) -> None:
    """A trusted authority is enough, for the inventory's name or for another (HostKeyAlias), also with a password."""
    authority = make_key(tmp_path / "authority", "authority")
    lab.direct("named")
    lab.direct("other", password="open sesame", variables={"ansible_ssh_common_args": "-o HostKeyAlias=o.example.com"})
    lab.direct("wrong")
    principals = {"named": "named", "other": "o.example.com", "wrong": "somebody-else"}
    for name, principal in principals.items():
        sshd = lab.remotes[name].sshd
        key = tmp_path / f"{name}.pub"
        key.write_text(f"{sshd.host_key.public}\n")
        words = ["ssh-keygen", "-q", "-s", str(authority.path), "-I", name, "-h", "-n", principal, str(key)]
        subprocess.run(words, check=True)
        certificate = sshd.folder / "certificate.pub"
        certificate.write_text((tmp_path / f"{name}-cert.pub").read_text())
        sshd.change(HostCertificate=str(certificate))
    inventory = lab.write_inventory(remotestatus_attempts=1)
    lab.known_hosts.write_text(f"@cert-authority * {authority.public}\n")

    found = run_round(lab, remotestatus, inventory)

    assert found.causes == {"named": None, "other": None, "wrong": Cause.HOST_KEY_UNKNOWN}
    assert remotestatus("trust", "-i", inventory, "named", "other").returncode == 0


CONNECT = """#!{python}
import socket, sys, threading
far = socket.create_connection((sys.argv[1], int(sys.argv[2])))
def pump(read, write):
    while chunk := read():
        write(chunk)
threading.Thread(target=pump, args=(lambda: sys.stdin.buffer.raw.read(65536), far.sendall), daemon=True).start()
pump(lambda: far.recv(65536), lambda chunk: (sys.stdout.buffer.write(chunk), sys.stdout.buffer.flush()))
"""


def test_what_a_program_leads_to_is_reached_by_it(lab: Lab, remotestatus: Command, tmp_path: Path) -> None:
    """
    A ProxyCommand that is no ssh is kept, for a proxy and for a remote, and called by its name; one that is missing is
    the checker's fault, and nobody says that the proxy is down.
    """
    program, ssh = tmp_path / "dial", tmp_path / "ssh"
    program.write_text(CONNECT.format(python=sys.executable))
    ssh.write_text(f'#!/bin/sh\necho >>{tmp_path}/used\nexec ssh "$@"\n')
    for file in (program, ssh):
        file.chmod(0o755)
    dial = f"-o 'ProxyCommand={program} %h %p --token geheim'"
    proxy = lab.proxy("proxy", variables={"ansible_ssh_common_args": dial, "ansible_ssh_executable": str(ssh)})
    behind = [lab.remote(f"box-{number}", proxy=proxy) for number in range(2)]
    lab.direct("alone", variables={"ansible_ssh_common_args": dial})
    faults = {
        "no-program": {"ansible_ssh_common_args": "-o 'ProxyCommand=/nowhere/dial %h %p'"},
        "no-option": {"ansible_ssh_common_args": "-o NoSuchOption=yes"},
        "no-ssh": {"ansible_ssh_executable": "/nowhere/ssh"},
    }
    for name, variables in faults.items():
        lab.remote(f"behind-{name}", proxy=lab.proxy(name, variables=variables))
    inventory = lab.write_inventory(remotestatus_timeout=8, remotestatus_attempts=1)

    found = run_round(lab, remotestatus, inventory)

    faulty = dict.fromkeys(faults, Cause.CHECKER_ERROR)
    assert found.proxy_causes == {"proxy": None, **faulty}
    assert found.causes == {
        **dict.fromkeys(["box-0", "box-1", "alone"]),
        **{f"behind-{name}": cause for name, cause in faulty.items()},
    }
    assert (proxy.logins(), [remote.logins() for remote in behind]) == (1, [1, 1])
    assert (tmp_path / "used").exists()
    for name, words in {
        "no-program": "Install it, or correct ProxyCommand",
        "no-option": "Bad configuration option: nosuchoption",
        "no-ssh": "Install the OpenSSH client",
    }.items():
        assert words in found.words(f"behind-{name}")
        assert name not in found.words(f"behind-{name}").replace(f"behind-{name}", "")
    commands = (("doctor", "--offline"), ("status", "alone"))
    shown = "".join(remotestatus(*words, "-i", inventory).stdout for words in commands)
    page = (lab.directory / "site/remotes/alone.html").read_text()
    assert "by its own ProxyCommand (dial)" in page
    assert "alone is reached by its own ProxyCommand (dial)" in shown
    assert "the proxy proxy is reached by its own ProxyCommand (dial)" in shown
    assert "ProxyCommand dial" in shown
    assert "geheim" not in shown + page + found.printed
