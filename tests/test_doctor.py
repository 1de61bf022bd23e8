"""
`remotestatus doctor`: each mistake, made on purpose, is found with its cure; all of them at once, and nothing else.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from remotestatus.history.database import History
from remotestatus.model.rounds import Round
from remotestatus.setup.doctor.connections import check_key
from tests.lab import Command, Lab
from tests.rounds import forget_key
from tests.terminal import Terminal


@dataclass(frozen=True)
class Examined:
    """What the doctor said: its exit code, and each thing with its mark and cure."""

    code: int
    results: tuple[Mapping[str, str], ...]

    def marked(self, mark: str) -> list[str]:
        """Everything with this mark."""
        return [result["said"] for result in self.results if result["mark"] == mark]

    def cure_of(self, words: str) -> str:
        """The cure of the one thing that needs mending and is said in these words."""
        found = [
            result for result in self.results if words in result["said"] and result["mark"] in ("wrong", "warning")
        ]
        assert len(found) == 1, f"{words!r}: {found or self.results}"
        return found[0]["cure"]


def _examine(
    remotestatus: Command, inventory: Path, *arguments: str | Path, environment: Mapping[str, str] | None = None
) -> Examined:
    done = remotestatus("doctor", "--json", "-i", inventory, *arguments, environment=environment)
    assert done.stderr == ""
    return Examined(done.returncode, tuple(json.loads(done.stdout)))


def test_a_healthy_fleet_needs_nothing(lab: Lab, remotestatus: Command) -> None:
    """With all in order nothing is wrong, each proxy was logged in to once and no remote at all; the exit code is 0."""
    east, west = lab.proxy("east"), lab.proxy("west")
    one, two = lab.remote("one", proxy="east"), lab.remote("two", proxy="west")
    lab.local("checker")
    inventory = lab.write_inventory(remotestatus_heartbeat="https://hc.example.com/x")
    assert remotestatus("run", "-i", inventory).returncode == 0
    before = east.logins(), west.logins(), one.logins(), two.logins()
    examined = _examine(remotestatus, inventory)
    assert examined.marked("wrong") == []
    assert examined.code == 0
    assert (east.logins(), west.logins()) == (before[0] + 1, before[1] + 1)
    assert (one.logins(), two.logins()) == before[2:]
    said = "\n".join(examined.marked("fine"))
    for words in (
        "remotestatus 0.",
        "ansible-core 2.",
        "the locale is UTF-8",
        "is OpenSSH",
        "`timeout` works",
        "is valid: 3 remotes, 2 proxies",
        "nothing is vaulted",
        "1 private key file can be used",
        "the host keys of all 4 hosts are known",
        "the proxy east lets us in",
        "the proxy west lets us in",
        "the page can be written to",
        "history.sqlite3 is whole",
        "one is due every 10 min",
        "a heartbeat is sent",
    ):
        assert words in said, words
    sections = list(dict.fromkeys(result["section"] for result in examined.results))
    assert sections == [
        "This machine",
        "SSH",
        "Inventory",
        "Keys and passwords",
        "Host keys",
        "The way to the remotes",
        "Files",
        "Rounds",
        "Messages",
    ]


def test_everything_that_is_wrong_is_found_at_once(lab: Lab, remotestatus: Command) -> None:
    """A fleet with a dozen mistakes: each is found with its cure in one go, although any one would end a round."""
    dead = lab.proxy("dead-proxy")
    dead.stop()
    lab.remote("one", proxy=lab.proxy("good-proxy"))
    locked = lab.directory / "locked_key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "secret", "-f", locked], check=True)
    rubbish = lab.directory / "rubbish_key"
    rubbish.write_text("no key\n")
    rubbish.chmod(0o600)
    lab.direct("two", variables={"ansible_ssh_private_key_file": str(locked), "remotestatus_notify": "nobody"})
    lab.direct("three", variables={"ansible_ssh_private_key_file": str(rubbish), "remotestatus_proceses": ["x"]})
    lab.direct("four", variables={"ansible_ssh_common_args": "-o StrictHostKeyChecking=no"})
    lab.remote("five", proxy="good-proxy", variables={"ansible_port": 7001, "remotestatus_forwarded_port": 9})
    lab.remote("six", proxy="good-proxy", variables={"ansible_port": 7001, "remotestatus_forwarded_port": 9})
    inventory = lab.write_inventory(
        remotestatus_every="ten",
        remotestatus_site="not-ours",
        remotestatus_apprise=[{"url": "mailtoo://a:s3cr3t@example.com"}],
    )
    for name in ("one", "dead-proxy"):
        forget_key(lab, name)
    (lab.directory / "checker_key").chmod(0o644)
    (lab.directory / "not-ours").mkdir()
    (lab.directory / "not-ours" / "thesis.txt").write_text("years of work")
    (lab.directory / "history.sqlite3").write_bytes(b"SQLite format 3\0" + b"rubbish" * 1000)

    examined = _examine(remotestatus, inventory)
    assert examined.code == 2
    cures = {
        "did you mean remotestatus_processes?": "",
        '"ten" is not a duration; write for example 10m': "",
        "checker_key (for": f"chmod 600 {lab.directory / 'checker_key'}",
        "locked_key (for two) has a passphrase": "without a passphrase, or: ssh-add",
        "rubbish_key (for three) is no usable private key": "name the private key",
        "the host key of dead-proxy, one is not known": "remotestatus trust dead-proxy one",
        "four: the inventory switches host key checking off": "take StrictHostKeyChecking out",
        "five, six are the same place: 127.0.0.1 port 7001 behind good-proxy": "ansible_port",
        "five, six share the virtual port 9": "remotestatus_forwarded_port",
        "the proxy dead-proxy: 127.0.0.1 refuses connections": "systemctl status ssh",
        "not-ours holds files that remotestatus did not write": "",
        "history.sqlite3": "",
        'no service "mailtoo://"; did you mean mailto?': "",
        "remotestatus_heartbeat is not set": "set its URL",
    }
    for words, cure in cures.items():
        assert cure in examined.cure_of(words), words
    assert "s3cr3t" not in json.dumps(examined.results)
    assert (lab.directory / "not-ours" / "thesis.txt").read_text() == "years of work"


def test_the_good_proxy_is_still_seen_beside_the_dead_one(lab: Lab, remotestatus: Command) -> None:
    """Each proxy is judged by itself, also one that only `ssh` knows; --offline connects to none of them."""
    good, dead, locked = lab.proxy("good"), lab.proxy("dead"), lab.proxy("locked")
    for proxy in (good, dead, locked):
        lab.remote(f"behind-{proxy.name}", proxy=proxy)
    dead.black_hole()
    locked.reject_key()
    # By another address than the inventory's it is another proxy.
    outside = f"{good.login.user}@localhost:{good.sshd.port}"
    lab.direct("behind-outside", variables={"ansible_ssh_common_args": f"-o ProxyJump={outside}"})
    inventory = lab.write_inventory()
    before = good.connections()
    offline = _examine(remotestatus, inventory, "--offline")
    assert offline.code == 0
    assert any("not connected to (--offline)" in said for said in offline.marked("skipped"))
    assert good.connections() == before

    examined = _examine(remotestatus, inventory)
    assert examined.code == 2
    assert any(said.startswith("the proxy good lets us in") for said in examined.marked("fine"))
    assert examined.cure_of("the proxy dead: No answer from 127.0.0.1")
    assert "authorized_keys" in examined.cure_of("the proxy locked: ")
    assert "remotestatus trust" in examined.cure_of(f"the proxy {outside}: ")

    limited = _examine(remotestatus, inventory, "--limit", "behind-good")
    assert limited.code == 0
    assert not [result for result in limited.results if "dead" in result["said"]]


def test_a_vault_without_its_password_is_named(lab: Lab, remotestatus: Command, tmp_path: Path) -> None:
    """Without the Vault password the doctor says which file and how to give it; with it, that all could be read."""
    lab.local("checker")
    inventory = lab.write_inventory()
    password = tmp_path / "vault-password"
    password.write_text("correct horse\n")
    vault = inventory / "group_vars" / "remotes.yml"
    vault.write_text(yaml.safe_dump({"remotestatus_location": "vaulted attic"}))
    encrypt = [
        shutil.which("ansible-vault") or "ansible-vault",
        "encrypt",
        "--vault-password-file",
        str(password),
        str(vault),
    ]
    subprocess.run(encrypt, check=True, capture_output=True, env=remotestatus.environment)
    examined = _examine(remotestatus, inventory, "--offline")
    assert examined.code == 2
    assert any("--vault-password-file FILE" in said for said in examined.marked("wrong"))
    assert any("inventory has to be readable first" in said for said in examined.marked("skipped"))
    opened = _examine(remotestatus, inventory, "--offline", "--vault-password-file", password)
    assert opened.code == 0
    assert any("1 file with vaulted values" in said for said in opened.marked("fine"))


def test_missing_programs_are_named(lab: Lab, remotestatus: Command, tmp_path: Path) -> None:
    """Without `ssh` and a working `timeout` on PATH each of them is said with the package that brings it."""
    lab.local("checker")
    inventory = lab.write_inventory()
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("sh", "env"):
        (programs / name).symlink_to(shutil.which(name) or "")
    (programs / "timeout").write_text("#!/bin/sh\nexit 3\n")
    (programs / "timeout").chmod(0o755)
    examined = _examine(remotestatus, inventory, environment={"PATH": str(programs)})
    assert examined.code == 2
    assert "openssh-client" in examined.cure_of("there is no program `ssh`")
    assert "coreutils" in examined.cure_of("`timeout` does not work")


def test_a_broken_ssh_configuration_of_ones_own_is_found(lab: Lab, remotestatus: Command) -> None:
    """A mistake in ~/.ssh/config, which every round reads too, is said in ssh's own words."""
    lab.proxy()
    lab.remote("one")
    inventory = lab.write_inventory()
    # OpenSSH looks in the home that the password database names, whatever HOME says.
    broken = lab.directory / "broken_config"
    broken.write_text("NoSuchOption yes\n")
    lab.variables["remotes"] = {"ansible_ssh_extra_args": f"-F {broken}"}
    lab.write_inventory()
    examined = _examine(remotestatus, inventory, "--offline")
    assert "~/.ssh/config" in examined.cure_of("ssh does not take its configuration")
    assert any("nosuchoption" in said.lower() for said in examined.marked("wrong"))


def test_no_inventory_is_said_and_the_machine_is_examined_all_the_same(remotestatus: Command, tmp_path: Path) -> None:
    """Without an inventory the doctor examines what it can, and names `remotestatus init`."""
    examined = _examine(remotestatus, tmp_path / "nowhere")
    assert examined.code == 2
    assert any("remotestatus init" in said for said in examined.marked("wrong"))
    assert any("is OpenSSH" in said for said in examined.marked("fine"))


def test_a_round_that_is_overdue_and_a_timer_that_sleeps_are_found(
    lab: Lab, remotestatus: Command, tmp_path: Path
) -> None:
    """An old last round, a timer that is not active, and one made for another frequency each have their cure."""
    lab.local("checker")
    inventory = lab.write_inventory(remotestatus_every="10m")
    ended = datetime.now(UTC) - timedelta(hours=3)
    with History.open(lab.directory / "history.sqlite3") as history:
        history.record(Round(0, ended - timedelta(minutes=20), ended, 1, ("The page could not be written.",)), [], [])
    units = {"XDG_CONFIG_HOME": str(tmp_path / "config")}
    examined = _examine(remotestatus, inventory, environment=units)
    assert "schedule --install" in examined.cure_of("the last round ended 3 h ago, and one is due every 10 min")
    assert "schedule --install" in examined.cure_of("no timer of `remotestatus schedule`")
    assert "remotestatus_every higher" in examined.cure_of("the last round took 20 min")
    assert "the last round: The page could not be written." in examined.marked("warning")
    folder = tmp_path / "config" / "systemd" / "user"
    done = remotestatus("schedule", "--user", "--write-to", folder, "-i", inventory, environment=units)
    assert done.returncode == 0, done.stderr
    examined = _examine(remotestatus, inventory, environment=units)
    assert "enable --now remotestatus.timer" in examined.cure_of("remotestatus.timer is not active")
    lab.write_inventory(remotestatus_every="5m")
    examined = _examine(remotestatus, inventory, environment=units)
    assert "schedule --install" in examined.cure_of("another frequency than remotestatus_every (5m)")


def test_people_read_ticks_and_cures(lab: Lab, remotestatus: Command) -> None:
    """On a terminal each thing is a line with its sign, its cure below it, the sum at the end; or ASCII."""
    lab.direct("one")
    inventory = lab.write_inventory()
    forget_key(lab, "one")
    with Terminal(remotestatus, "doctor", "-i", inventory, width=70) as terminal:
        code, shown = terminal.finish()
    assert code == 2
    assert "  ✔ the program `timeout` works" in shown
    assert "✖ the host key of one is not known" in shown
    assert "    -> remotestatus trust one" in shown
    assert "1 thing needs mending" in shown.splitlines()[-1]
    assert max(len(line) for line in shown.splitlines()) <= 70
    plain = remotestatus("doctor", "--offline", "-i", inventory, environment={"PYTHONIOENCODING": "ascii"})
    assert plain.stdout.isascii()
    assert "  x the host key of one is not known" in plain.stdout


@pytest.mark.parametrize(
    ("arguments", "encrypted"),
    [
        (["-t", "ed25519", "-N", ""], False),
        (["-t", "ed25519", "-N", "secret"], True),
        (["-t", "rsa", "-b", "2048", "-N", ""], False),
        (["-t", "rsa", "-b", "2048", "-m", "PEM", "-N", "secret"], True),
        (["-t", "rsa", "-b", "2048", "-m", "PEM", "-N", ""], False),
        (["-t", "rsa", "-b", "2048", "-m", "PKCS8", "-N", "secret"], True),
        (["-t", "ecdsa", "-m", "PKCS8", "-N", ""], False),
    ],
)
def test_a_passphrase_is_seen_in_every_format(tmp_path: Path, arguments: list[str], encrypted: bool) -> None:
    """Keys as ssh-keygen really writes them: in each of its formats a passphrase is found, and nothing else."""
    path = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", *arguments, "-f", path], check=True)
    findings = [result.finding for result in check_key(path, ["one"])]
    assert [" has a passphrase, and nobody" in finding for finding in findings] == [True] * encrypted


@pytest.mark.parametrize(("minutes", "on_time"), [(0, True), (10, True), (16, True), (17, False), (600, False)])
def test_a_round_is_overdue_after_one_and_a_half_intervals_and_a_minute(minutes: int, on_time: bool) -> None:
    """The same bound as the page's and `status`."""
    ended = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
    round_ = Round(1, ended - timedelta(seconds=4), ended, 3)
    assert (ended + timedelta(minutes=minutes) <= round_.overdue_at(timedelta(minutes=10))) is on_time


def test_a_key_in_an_agent_is_no_mistake_but_a_warning(lab: Lab, remotestatus: Command, tmp_path: Path) -> None:
    """A key with a passphrase that the agent holds works now; that a timer has no agent is said."""
    key = tmp_path / "agent_key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    socket = f"/tmp/rsagent{os.getpid()}"
    with subprocess.Popen(["ssh-agent", "-D", "-a", socket], stdout=subprocess.DEVNULL) as agent:
        try:
            environment = {**os.environ, "SSH_AUTH_SOCK": socket}
            while not Path(socket).exists():
                assert agent.poll() is None
            subprocess.run(["ssh-add", "-q", key], check=True, env=environment)
            subprocess.run(["ssh-keygen", "-q", "-p", "-P", "", "-N", "secret", "-f", key], check=True)
            lab.direct("one", variables={"ansible_ssh_private_key_file": str(key)})
            inventory = lab.write_inventory()
            examined = _examine(remotestatus, inventory, environment={"SSH_AUTH_SOCK": socket})
            assert examined.code == 0
            assert "key of their own" in examined.cure_of("your ssh-agent holds it")
            assert _examine(remotestatus, inventory).code == 2
        finally:
            agent.terminate()
            Path(socket).unlink(missing_ok=True)
