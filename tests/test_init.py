"""`remotestatus init`: a first inventory from flags, from answers in a terminal, and from an SSH configuration."""

import json
import re
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pexpect
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from remotestatus.setup.inventory_writer import (
    REMOTES_FILE,
    VARIABLES_FILE,
    VAULT_FILE,
    write_inventory,
    write_value,
)
from remotestatus.setup.new_fleet import NewFleet, NewHost, name_host, read_target
from remotestatus.setup.ssh_hosts import fleet_from_ssh, list_ssh_hosts
from tests.lab import Command

SCRIPTS = Path(sysconfig.get_path("scripts"))


def list_inventory(folder: Path, *options: str) -> dict[str, Any]:
    """Every host's variables, as `ansible-inventory` says; fails on any warning."""
    done = subprocess.run(
        [SCRIPTS / "ansible-inventory", "-i", folder / "inventory", "--list", *options],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={
            "PATH": f"{SCRIPTS}:/usr/bin:/bin",
            "HOME": str(folder),
            "LANG": "C.UTF-8",
            "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "True",
            "ANSIBLE_DUPLICATE_YAML_DICT_KEY": "error",
        },
    )
    assert (done.returncode, done.stderr) == (0, "")
    hosts: dict[str, Any] = json.loads(done.stdout)["_meta"]["hostvars"]
    return hosts


class _Unsafe(yaml.SafeLoader):
    """YAML as Ansible reads it, as far as `!unsafe` goes."""


_Unsafe.add_constructor("!unsafe", lambda _loader, node: str(node.value))


def _load(text: str) -> Any:
    return yaml.load(text, Loader=_Unsafe)


# -- texts


@given(st.text())
def test_any_text_comes_back_from_yaml(text: str) -> None:
    """Whatever is typed, one line of YAML holds it, and reading gives the same text, never a number or a date."""
    line = write_value(text)
    assert "\n" not in line
    assert _load(f"a: {line}")["a"] == text


@given(st.recursive(st.text() | st.booleans(), lambda part: st.lists(part) | st.dictionaries(st.text(), part)))
def test_any_value_comes_back_from_yaml(value: object) -> None:
    """Lists and mappings, one in the other, as well."""
    assert _load(write_value(value)) == value


@pytest.mark.parametrize(
    "text",
    ["yes", "null", "~", "1e3", "0x1f", "12:30", "2026-01-31", "- x", "a: b", "#", "a #b", "*x", "&x", "!x", "{a", "'",
     '"', "\\", "", " a", "a ", "é", "日本", "😀", "a\nb", "\u2028", "\x7f", "<<", "=", "010", "~/.ssh/key", "1.2.3.4"],
)  # fmt: skip
def test_texts_that_yaml_takes_for_something_else_are_quoted(text: str) -> None:
    """The well-known traps of YAML 1.1."""
    assert _load(f"a: {write_value(text)}") == {"a": text}


@pytest.mark.parametrize("text", ["{{ 1 }}", "{% if %}", "{# x #}", 'a "{{ lookup("pipe", "id") }}"'])
def test_what_looks_like_a_template_is_marked(text: str) -> None:
    """Ansible would run a template in a nickname; `!unsafe` makes it text."""
    assert write_value(text).startswith("!unsafe ")


@given(st.lists(st.text(max_size=30), max_size=8))
def test_names_are_safe_unique_and_stable(wanted: list[str]) -> None:
    """Any nickname makes a host name without YAML, range or shell meaning; a later remote renames no earlier one."""
    names: list[str] = []
    for nickname in wanted:
        names.append(name_host(nickname, names, "8001"))
    assert len({name.casefold() for name in names}) == len(names)
    assert all(re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", name) for name in names)
    assert not {"all", "ungrouped", "proxies", "localhost"} & set(names)


@pytest.mark.parametrize(
    ("nickname", "name"),
    [
        ("North Camera", "north-camera"),
        ("Büro Süd", "buro-sud"),
        ("cam.1", "cam.1"),
        ("all", "all-8001"),
        ("日本", "remote-8001"),
    ],
)
def test_a_name_is_made_from_the_nickname(nickname: str, name: str) -> None:
    """Readable where the alphabet allows it; else the port tells."""
    assert name_host(nickname, (), "8001") == name


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("8001", (None, None, 8001)),
        ("camera@8001", ("camera", None, 8001)),
        ("proxy.example.com", (None, "proxy.example.com", None)),
        ("me@proxy:2222", ("me", "proxy", 2222)),
        ("ssh://me@proxy:2222", ("me", "proxy", 2222)),
        ("me@[2001:db8::1]:22", ("me", "2001:db8::1", 22)),
        ("2001:db8::1", (None, "2001:db8::1", None)),
    ],
)
def test_an_address_is_read_as_people_write_it(text: str, target: tuple[object, ...]) -> None:
    """User, address and port, each where ssh has it."""
    found = read_target(text)
    assert (found.user, found.address, found.port) == target


@pytest.mark.parametrize(
    "text", ["", "a b", "@x", "x:", "x:0", "x:70000", "x:ssh", "-oProxyCommand=x", "a,b", "x;id", "[::1"]
)
def test_a_wrong_address_says_how_to_write_one(text: str) -> None:
    """Also what ssh would take for an option."""
    with pytest.raises(ValueError, match="write"):
        read_target(text)


def test_hostile_answers_make_a_valid_inventory(tmp_path: Path) -> None:
    """Line breaks, quotes, templates and YAML in every field: Ansible reads back exactly what was typed."""
    nasty = "x\"'\n- a: {{ 1/0 }} # \u2028 é !!python/object ${HOME}\ttab"
    answers = NewFleet(
        proxies=(NewHost("p", "proxy.example.com", 22, nasty, nasty, gaps=(nasty,)),),
        remotes=(
            NewHost("r", "127.0.0.1", 8001, nasty, nasty, password=nasty, via=("p",), gaps=(nasty,),
                      variables={"remotestatus_nickname": nasty, "remotestatus_processes": (nasty, "b")}),
        ),
        title=nasty,
        gaps=(nasty,),
    )  # fmt: skip
    for name, text in write_inventory(answers, vaulted=True).items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    host = list_inventory(tmp_path)["r"]
    unsafe = {"__ansible_unsafe": nasty}
    assert [host[name] for name in ("ansible_user", "remotestatus_nickname", "remotestatus_title", "vault_r")] == [
        unsafe
    ] * 4
    assert host["remotestatus_processes"] == [unsafe, "b"]
    assert host["ansible_password"] == "{{ vault_r }}"


def test_every_written_line_is_short_enough_to_read() -> None:
    """Comments are wrapped, and the inventory reads top to bottom: proxies, then what is behind them."""
    answers = NewFleet((NewHost("p", "h"),), (NewHost("r", "127.0.0.1", 8001, via=("p",)),))
    files = write_inventory(answers)
    assert max(len(line) for text in files.values() for line in text.splitlines()) <= 120
    assert files[REMOTES_FILE].index("proxies:") < files[REMOTES_FILE].index("ProxyJump=p")
    assert "remotestatus_every: 10m" in files[VARIABLES_FILE]
    assert VAULT_FILE not in files


@pytest.mark.parametrize("proxies", [(), (NewHost("p", "proxy.example.com"),)])
def test_an_inventory_without_remotes_shows_how_to_add_one(proxies: tuple[NewHost, ...]) -> None:
    """It is valid YAML, and holds a commented example."""
    text = write_inventory(NewFleet(proxies))[REMOTES_FILE]
    assert set(_load(text)["all"]["children"]) == ({"proxies"} if proxies else set())
    assert "#     capture-1:" in text


# -- the SSH configuration


def test_host_names_are_found_through_includes(tmp_path: Path) -> None:
    """Patterns are no hosts; quotes, `=` and capitals are as ssh_config(5) has them; an endless Include ends."""
    more = tmp_path / "more"
    config = tmp_path / "config"
    config.write_text(f'HOST a "b c" *.x !y\n# Host no\n#Host no\nhost=d\nInclude {more}\n  Host e?\n', "utf-8")
    more.write_text(f"Host more\nInclude {more}\n", "utf-8")
    assert list_ssh_hosts(config, []) == ("a", "b c", "d", "more")


def test_a_chain_of_jumps_becomes_a_chain_of_proxies() -> None:
    """`ProxyJump a,b` is b behind a, and the remote behind b, so that each can be looked at by itself."""
    entries = {
        "cam": {"hostname": "10.0.0.1", "port": "22", "proxyjump": "a,me@b:2222"},
        "a": {"hostname": "a.example.com", "port": "22", "user": "x"},
    }
    proxies, remotes, notes = fleet_from_ssh(entries, None)
    assert [(proxy.name, proxy.address, proxy.port, proxy.via) for proxy in proxies] == [
        ("a", "a.example.com", 22, ()),
        ("b", "b", 2222, ("a",)),
    ]
    assert [(remote.name, remote.via) for remote in remotes] == [("cam", ("b",))]
    assert notes == ()


# -- the command


def test_flags_are_enough_without_a_terminal(remotestatus: Command, tmp_path: Path) -> None:
    """From one command line to an inventory that every other command takes; what the doctor finds says what is next."""
    done = remotestatus(
        "init", "fleet", "--proxy", "tunnels@proxy.example.com:2222", "--title", "Halls: A & B", "--every", "5m",
        "--remote", "North Camera=camera@8001", "--remote", "direct=me@10.0.0.7:22", folder=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "It is a valid inventory with 2 remotes." in done.stdout
    steps = done.stdout.partition("Next, as `remotestatus doctor` finds it:\n")[2].splitlines()
    assert steps[0] == "  cd fleet"
    cures = [line.strip().removeprefix("-> ") for line in steps if line.strip().startswith("-> remotestatus ")]
    assert cures == [
        "remotestatus trust",
        "remotestatus run",
        "remotestatus schedule --install, or let `remotestatus watch` run",
    ]
    hosts = list_inventory(tmp_path / "fleet")
    camera = hosts["north-camera"]
    assert camera["ansible_ssh_common_args"] == "-o ProxyJump=tunnel-proxy"
    assert (camera["ansible_host"], camera["ansible_port"], camera["ansible_user"]) == ("127.0.0.1", 8001, "camera")
    assert (camera["remotestatus_nickname"], camera["remotestatus_title"]) == ("North Camera", "Halls: A & B")
    assert hosts["tunnel-proxy"]["ansible_port"] == 2222


def test_nothing_that_exists_is_overwritten(remotestatus: Command, tmp_path: Path) -> None:
    """All files that are there are named at once, nothing is written; --force overwrites."""
    arguments = ("init", "--remote", "a=8001")
    assert remotestatus(*arguments, folder=tmp_path).returncode == 0
    (tmp_path / REMOTES_FILE).write_text("mine", encoding="utf-8")
    done = remotestatus(*arguments, folder=tmp_path)
    assert done.returncode == 2
    assert done.stderr.count("--force overwrites it") == 2
    assert (tmp_path / REMOTES_FILE).read_text(encoding="utf-8") == "mine"
    assert remotestatus(*arguments, "--force", folder=tmp_path).returncode == 0


def test_a_file_that_ansible_would_silently_ignore_is_refused(remotestatus: Command, tmp_path: Path) -> None:
    """Beside a folder group_vars/all/, Ansible no longer looks at group_vars/all.yml: that is said."""
    old = tmp_path / "inventory" / "group_vars" / "all.yml"
    old.parent.mkdir(parents=True)
    old.write_text("a: 1\n", encoding="utf-8")
    done = remotestatus("init", "--remote", "a=8001", folder=tmp_path)
    assert done.returncode == 2
    assert "Ansible would ignore it" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "cure"),
    [
        ((), "say it by flags"),
        (("--remote", "a"), "write NAME=USER@PORT"),
        (("--remote", "a=x:99999"), "between 1 and 65535"),
        (("--remote", "a=1", "--proxy", "22"), "has no host"),
        (("--remote", "a=1", "--every", "ten"), "10m or 1h30m"),
        (("--from-ssh-config",), "can't be read"),
        (("--from-ssh-config", "--remote", "a=1"), "not both"),
    ],
)
def test_wrong_usage_answers_with_its_cure(
    arguments: tuple[str, ...], cure: str, remotestatus: Command, tmp_path: Path
) -> None:
    """Exit code 2, one sentence, no traceback, no file."""
    done = remotestatus("init", "fleet", *arguments, folder=tmp_path)
    assert done.returncode == 2
    assert cure in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "fleet").exists()


def test_all_that_is_wrong_with_the_options_is_said_at_once(remotestatus: Command, tmp_path: Path) -> None:
    """A key that is not there, one remote port for two remotes and a wrong frequency each have their line and cure."""
    done = remotestatus(
        "init", "fleet", "--proxy", "t@p.example.com", "--proxy-key", "no-proxy-key", "--key", "~/no-key",
        "--every", "x", "--remote", "a=camera@8001", "--remote", "b=other@8001", "--remote", "c=10.0.0.7:8001",
        folder=tmp_path,
    )  # fmt: skip
    assert done.returncode == 2
    assert [line.split(":")[0] for line in done.stderr.splitlines()[1:]] == [
        "  --every",
        "  --key",
        "  --proxy-key",
        "  --remote",
    ]
    assert "ssh-keygen -t ed25519 -f ~/no-key" in done.stderr
    assert "'b=other@8001' leads to port 8001 as a does; give each remote a remote port of its own" in done.stderr
    assert not (tmp_path / "fleet").exists()


def test_keys_are_found_from_the_inventorys_folder_too(remotestatus: Command, tmp_path: Path) -> None:
    """A path below the inventory's folder stays as typed; one below the current folder is written whole."""
    (tmp_path / "fleet" / "keys").mkdir(parents=True)
    for path in ("fleet/keys/remotes", "gate"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / path], check=True)
    done = remotestatus(
        "init", "fleet", "--proxy", "t@p.example.com", "--proxy-key", "gate", "--key", "keys/remotes",
        "--remote", "a=camera@8001", folder=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    hosts = list_inventory(tmp_path / "fleet")
    assert hosts["a"]["ansible_ssh_private_key_file"] == "keys/remotes"
    assert hosts["tunnel-proxy"]["ansible_ssh_private_key_file"] == str(tmp_path / "gate")
    assert "private key" not in done.stdout, "the doctor has nothing to say about keys that can be used"


def test_a_missing_password_is_a_marked_gap(remotestatus: Command, tmp_path: Path) -> None:
    """Without a way to encrypt, no password is asked for or written; the place for it says how."""
    done = remotestatus("init", "--remote", "a=me@8001", "--password-login", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "no password was written" in done.stdout
    text = (tmp_path / REMOTES_FILE).read_text(encoding="utf-8")
    assert "# GAP: its password." in text
    assert "ansible_password" not in list_inventory(tmp_path)["a"]


def test_a_flat_ssh_configuration_is_read_by_ssh_itself(remotestatus: Command, tmp_path: Path) -> None:
    """Port, user, key and jump are those that ssh would use; hosts without a jump are left out unless chosen."""
    key = tmp_path / "key"
    key.touch()
    config = tmp_path / "config"
    config.write_text(
        "Host gate\n  HostName gate.example.com\n  Port 2222\nHost cam-1 cam-2\n  HostName 127.0.0.1\n"
        f"  Port 8001\n  ProxyJump gate\n  IdentityFile {key}\nHost cam-2\n  Port 8002\nHost web\n"
        "Host *\n  User everybody\n",
        encoding="utf-8",
    )
    done = remotestatus("init", "fleet", "--from-ssh-config", "--ssh-config", config, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    hosts = list_inventory(tmp_path / "fleet")
    assert set(hosts) == {"gate", "cam-1", "cam-2"}
    assert hosts["cam-1"]["ansible_ssh_common_args"] == "-o ProxyJump=gate"
    assert (hosts["cam-1"]["ansible_port"], hosts["cam-1"]["ansible_user"]) == (8001, "everybody")
    assert hosts["cam-1"]["ansible_ssh_private_key_file"] == str(key)
    assert hosts["gate"]["ansible_host"] == "gate.example.com"
    assert "ansible_ssh_private_key_file" not in hosts["gate"]
    done = remotestatus("init", "web", "--ssh-config", config, "--only", "w*", folder=tmp_path)
    assert set(list_inventory(tmp_path / "web")) == {"web"}


def test_questions_in_a_terminal(remotestatus: Command, tmp_path: Path) -> None:
    """A wrong answer is asked again with its cure; passwords are not echoed, and end in a file that Vault opens."""
    vault = tmp_path / "vault-password"
    vault.write_text("long and secret\n", encoding="utf-8")
    child = pexpect.spawn(
        sys.executable, ["-m", "remotestatus", "init", "fleet"], cwd=str(tmp_path), timeout=60, encoding="utf-8",
        env=remotestatus.environment,
    )  # fmt: skip
    asked = [
        ("Title of the page", "Hall A"),
        ("How often", "ten"),
        ("write for example 10m", "15m"),
        ("Proxy, as user@host:port", "tunnels@proxy.example.com"),
        ("private key", "no-such-key"),
        ("there is no file no-such-key", ""),
        ("Remote", "camera 8001"),
        ("write NAME=USER@PORT", "north=camera@8001"),
        ("Remote", "south=camera@8001"),
        ("as north does", ""),
        ("want passwords", "y"),
        ("Vault password file", "nowhere"),
        ("there is no file nowhere", str(vault)),
        ("Password of north", "correct {{ horse }}"),
    ]
    for question, answer in asked:
        child.expect_exact(question)
        child.expect(": |: $")
        child.sendline(answer)
    child.expect(pexpect.EOF)
    child.close()
    shown = str(child.before)
    assert child.exitstatus == 0, shown
    assert "correct" not in shown
    assert "It is a valid inventory with 1 remote." in shown
    fleet = tmp_path / "fleet"
    stored = (fleet / VAULT_FILE).read_text(encoding="utf-8")
    assert stored.startswith("$ANSIBLE_VAULT;1.1;AES256")
    assert (fleet / VAULT_FILE).stat().st_mode & 0o777 == 0o600
    # ansible.cfg beside the inventory says where the password is: nothing has to be given.
    host = list_inventory(fleet)["north"]
    assert host["vault_north"] == {"__ansible_unsafe": "correct {{ horse }}"}
    assert host["remotestatus_every"] == "15m"
    assert not any("horse" in path.read_text(encoding="utf-8") for path in fleet.rglob("*") if path.is_file())
