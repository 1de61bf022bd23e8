"""
`remotestatus trust`, by its real process: real servers behind real tunnels present their keys, and somebody answers.
"""

import json
import re
import stat
import subprocess
from pathlib import Path

from tests.lab import Command, Lab, Proxy, Remote
from tests.terminal import Terminal


def fingerprint(host: Proxy | Remote) -> str:
    return host.sshd.host_key.fingerprint


def trusted(lab: Lab) -> dict[str, str]:
    """The keys in the file that the inventory names, by name."""
    lines = (line.split() for line in lab.known_hosts.read_text().splitlines())
    return {words[0]: " ".join(words[1:3]) for words in lines if words and words[0] != "#"}


def keys(*hosts: Proxy | Remote) -> dict[str, str]:
    return {host.name: host.sshd.host_key.public for host in hosts}


def forget(lab: Lab) -> Path:
    """The lab's inventory, with no host key trusted."""
    inventory = lab.write_inventory()
    lab.known_hosts.unlink()
    return inventory


def test_a_newcomer_is_shown_the_proxys_key_then_the_remotes_and_answers(lab: Lab, remotestatus: Command) -> None:
    """Both stages ask with No as the default; the file then has each key under its name, and a round finds all up."""
    capture, web = lab.remote("capture-1"), lab.direct("web-1")
    assert capture.proxy
    inventory = forget(lab)
    with Terminal(remotestatus, "trust", "-i", inventory, width=120) as terminal:
        first = terminal.wait_for(r"Trust these 2 new keys\? \[y/N\]")
        assert fingerprint(capture.proxy) in first
        assert fingerprint(web) in first
        assert fingerprint(capture) not in first
        assert not lab.known_hosts.exists()
        terminal.type("y")
        assert fingerprint(capture) in terminal.wait_for(r"Trust the new key of capture-1\? \[y/N\]")
        terminal.type("y")
        code, _ = terminal.finish()
    assert code == 0
    assert trusted(lab) == keys(capture.proxy, web, capture)
    done = remotestatus("run", "-i", inventory)
    assert done.returncode == 0
    assert json.loads((lab.directory / "site" / "status.json").read_text())["summary"]["up"] == 2


def test_enter_alone_trusts_nothing(lab: Lab, remotestatus: Command) -> None:
    """Without a yes nothing is written, and what lies behind the proxy is said not to have been asked."""
    lab.remote("capture-1")
    with Terminal(remotestatus, "trust", "-i", forget(lab), width=200) as terminal:
        terminal.wait_for(r"\[y/N\]")
        terminal.type("")
        code, shown = terminal.finish()
    assert code == 3
    assert "the way to it is closed: capture-1" in shown
    assert not lab.known_hosts.exists()


def test_without_a_terminal_nobody_is_asked(lab: Lab, remotestatus: Command) -> None:
    """A script without --yes is told so with exit code 2, and sees the fingerprints all the same."""
    web = lab.direct("web-1")
    done = remotestatus("trust", "-i", forget(lab))
    assert done.returncode == 2
    assert "--yes" in done.stderr
    assert fingerprint(web) in done.stdout
    assert not lab.known_hosts.exists()


def test_yes_trusts_a_fleet_over_one_connection_to_its_proxy(lab: Lab, remotestatus: Command) -> None:
    """Five remotes behind one proxy cost one log-in there; the rest of the file and its comments are kept."""
    fleet = lab.bulk(5)
    (proxy,) = lab.proxies.values()
    inventory = forget(lab)
    lab.known_hosts.write_text("# mine\nelsewhere.example.com ssh-ed25519 half a line")
    lab.known_hosts.chmod(0o600)
    done = remotestatus("trust", "--yes", "-i", inventory)
    assert done.returncode == 0, done.stdout + done.stderr
    assert trusted(lab).items() >= keys(proxy, *fleet).items()
    assert lab.known_hosts.read_text().startswith("# mine\nelsewhere.example.com ssh-ed25519 half a line\n")
    assert stat.S_IMODE(lab.known_hosts.stat().st_mode) == 0o644
    assert proxy.logins() == 1
    assert [remote.logins() for remote in fleet] == [0] * 5
    assert not list(lab.directory.glob(".known_hosts*"))


def test_what_is_trusted_already_is_said_and_left_alone(lab: Lab, remotestatus: Command) -> None:
    """A second time there is nothing to ask, even without a terminal, and the file is not touched."""
    capture = lab.remote("capture-1")
    inventory = lab.write_inventory()
    before = (lab.known_hosts.read_bytes(), lab.known_hosts.stat().st_mtime_ns)
    done = remotestatus("trust", "-i", inventory, "--json")
    assert done.returncode == 0, done.stderr
    assert [(one["name"], one["kind"], one["standing"]) for one in json.loads(done.stdout)] == [
        ("tunnel-proxy", "proxy", "trusted"),
        ("capture-1", "remote", "trusted"),
    ]
    assert fingerprint(capture) in done.stdout
    assert (lab.known_hosts.read_bytes(), lab.known_hosts.stat().st_mtime_ns) == before


def test_a_changed_key_is_only_replaced_by_name(lab: Lab, remotestatus: Command) -> None:
    """--yes leaves a changed key alone and shows both fingerprints; --replace takes the new one, and only that."""
    capture, other = lab.remote("capture-1"), lab.direct("web-1")
    inventory = lab.write_inventory()
    before = lab.known_hosts.read_text()
    capture.change_host_key()
    other.change_host_key()
    done = remotestatus("trust", "--yes", "-i", inventory)
    assert done.returncode == 3
    assert re.search(r"CHANGED +capture-1", done.stdout)
    assert f"trusted:   ED25519 {fingerprint(capture)}" in done.stdout
    shown = re.findall(r"presented: ED25519 (\S+)", done.stdout)
    assert len(set(shown)) == 2
    assert "remotestatus trust --replace capture-1" in done.stdout
    assert lab.known_hosts.read_text() == before
    done = remotestatus("trust", "--replace", "capture-1", "-i", inventory)
    assert done.returncode == 0, done.stdout + done.stderr
    now = trusted(lab)
    assert now.pop("capture-1") != capture.sshd.host_key.public
    assert now == keys(*lab.proxies.values(), other)
    assert remotestatus("ssh", "-i", inventory, "capture-1", "echo in").stdout == "in\n"


def test_in_a_terminal_a_changed_key_is_asked_about_by_its_name(lab: Lab, remotestatus: Command) -> None:
    """The question names the one host and shows the trusted and the presented fingerprint."""
    web = lab.direct("web-1")
    inventory = lab.write_inventory()
    web.change_host_key()
    with Terminal(remotestatus, "trust", "-i", inventory, "web-1", width=120) as terminal:
        shown = terminal.wait_for(r"Replace the trusted key of web-1\? \[y/N\]")
        assert f"trusted:   ED25519 {fingerprint(web)}" in shown
        terminal.type("y")
        code, _ = terminal.finish()
    assert code == 0
    assert trusted(lab)["web-1"] != web.sshd.host_key.public


def test_a_tunnel_that_leads_to_the_wrong_remote_is_pointed_out(lab: Lab, remotestatus: Command) -> None:
    """When the key that a remote presents is trusted for another one, that one is named."""
    one, two = lab.remote("one"), lab.remote("two")
    inventory = lab.write_inventory()
    one.tunnel_to(two)
    done = remotestatus("trust", "--yes", "-i", inventory, "one")
    assert done.returncode == 3
    assert "one presents the key that is trusted for two." in done.stdout


def test_what_is_not_reached_is_diagnosed_and_stops_nobody(lab: Lab, remotestatus: Command) -> None:
    """A remote whose tunnel is down gets its cause and cure; the others are trusted; exit code 3."""
    one, two = lab.remote("one"), lab.remote("two")
    inventory = forget(lab)
    one.cut_tunnel()
    done = remotestatus("trust", "--yes", "-i", inventory)
    assert done.returncode == 3
    assert f"nothing listens on the remote port {one.port} there" in done.stdout
    assert trusted(lab) == keys(*lab.proxies.values(), two)


def test_a_proxy_that_is_down_is_one_trouble(lab: Lab, remotestatus: Command) -> None:
    """What lies behind it is listed and not tried, and its own trouble is told once."""
    lab.bulk(3)
    (proxy,) = lab.proxies.values()
    inventory = forget(lab)
    proxy.stop()
    done = remotestatus("trust", "--yes", "-i", inventory)
    assert done.returncode == 3
    assert done.stdout.count("refuses connections") == 1
    assert "the way to it is closed: remote-1, remote-2, remote-3" in done.stdout


def test_keys_are_collected_through_a_chain_of_proxies(lab: Lab, remotestatus: Command) -> None:
    """Each proxy is trusted before the next is asked through it, and each sees one log-in."""
    outer, inner = lab.proxy("outer"), lab.proxy("inner", variables={"ansible_ssh_common_args": "-o ProxyJump=outer"})
    deep = lab.remote("deep-1", proxy=[inner])
    inventory = forget(lab)
    done = remotestatus("trust", "--yes", "-i", inventory)
    assert done.returncode == 0, done.stdout + done.stderr
    assert list(trusted(lab)) == ["outer", "inner", "deep-1"]
    assert trusted(lab) == keys(outer, inner, deep)
    assert (outer.logins(), inner.logins()) == (1, 1)


def test_a_chain_may_be_written_with_the_remote(lab: Lab, remotestatus: Command) -> None:
    """With ProxyJump=outer,inner in a remote's own variables, its way counts, and each key is under its own name."""
    outer, inner = lab.proxy("outer"), lab.proxy("inner")
    deep = lab.remote("deep-1", proxy=[outer, inner])
    inventory = forget(lab)
    done = remotestatus("trust", "--yes", "-i", inventory)
    assert done.returncode == 0, done.stdout + done.stderr
    assert trusted(lab) == keys(outer, inner, deep)
    assert remotestatus("ssh", "-i", inventory, "deep-1", "echo in").stdout == "in\n"
    for proxy in ("outer", "inner"):
        assert remotestatus("ssh", "-i", inventory, proxy, "echo in").stdout == "in\n"


def test_a_proxy_that_the_inventory_does_not_list_is_trusted_as_ssh_looks_it_up(
    lab: Lab, remotestatus: Command
) -> None:
    """With ProxyJump=user@host:port the key goes under [host]:port, and ssh then finds it there."""
    proxy = lab.proxy("gate")
    jump = f"{proxy.login.user}@127.0.0.1:{proxy.sshd.port}"
    lab.remote("capture-1", proxy="gate", variables={"ansible_ssh_common_args": f"-o ProxyJump={jump}"})
    del lab.proxies["gate"]
    inventory = forget(lab)
    done = remotestatus("trust", "--yes", "-i", inventory)
    assert trusted(lab)[f"[127.0.0.1]:{proxy.sshd.port}"] == proxy.sshd.host_key.public, done.stdout + done.stderr
    proxy.close()


def test_a_wrong_name_gets_the_nearest_one(lab: Lab, remotestatus: Command) -> None:
    """Exit code 2, before anything is connected to."""
    web = lab.direct("web-1")
    done = remotestatus("trust", "-i", lab.write_inventory(), "wbe-1")
    assert done.returncode == 2
    assert "did you mean web-1?" in done.stderr
    assert web.connections() == 0


def test_a_folder_that_is_not_there_yet_is_made(lab: Lab, remotestatus: Command) -> None:
    """The file that the inventory names may lie in a folder of its own."""
    lab.direct("web-1")
    inventory = lab.write_inventory(remotestatus_known_hosts="keys/deep/known_hosts")
    done = remotestatus("trust", "--yes", "-i", inventory)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (lab.directory / "keys/deep/known_hosts").read_text().startswith("web-1 ")


def test_a_revoked_key_is_never_trusted(lab: Lab, remotestatus: Command) -> None:
    """Neither --yes nor --replace trusts a key that the file revokes, and its line stays."""
    web = lab.direct("web-1")
    inventory = lab.write_inventory()
    lab.known_hosts.write_text(f"@revoked * {web.sshd.host_key.public}\n")
    done = remotestatus("trust", "--yes", "--replace", "web-1", "-i", inventory)
    assert done.returncode == 3
    assert "web-1 presents a key that is revoked" in done.stdout
    assert lab.known_hosts.read_text() == f"@revoked * {web.sshd.host_key.public}\n"


def test_a_host_that_now_has_another_type_of_key_has_changed(lab: Lab, remotestatus: Command, tmp_path: Path) -> None:
    """A key of another type than the trusted one does not slip in as a new one."""
    lab.direct("web-1")
    inventory = lab.write_inventory()
    subprocess.run(["ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-f", tmp_path / "old"], check=True)
    old = " ".join((tmp_path / "old.pub").read_text().split()[:2])
    lab.known_hosts.write_text(f"web-1 {old}\n")
    done = remotestatus("trust", "--yes", "-i", inventory)
    assert done.returncode == 3
    assert "trusted:   ECDSA" in done.stdout
    assert "presented: ED25519" in done.stdout
    assert lab.known_hosts.read_text() == f"web-1 {old}\n"
