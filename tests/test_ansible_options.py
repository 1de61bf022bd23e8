"""
What Ansible honours on its command line and in its configuration: who logs in, with what, and which inventory it is.
"""

import os
import subprocess
import sys
from pathlib import Path, PurePath

import pytest
from remotestatus_playbook.protocol import folder_of_inventory

from remotestatus.model.errors import ConfigurationError
from remotestatus.probe import AnsibleSource, TypedPasswords, read_configuration
from remotestatus.probe.ansible_configuration import ansible_environment
from remotestatus.probe.secret_channels import PasswordMemory
from remotestatus.shipped import playbooks
from tests.lab import Command, Lab, require_root
from tests.terminal import Terminal
from tests.test_connections import remotes, runs_as

SECRET = "typed by hand 0815"


@pytest.mark.parametrize(
    ("source", "folder"),
    [
        ("/srv/fleet/inventory", "/srv/fleet"),
        ("/srv/fleet/inventory/hosts.py", "/srv/fleet"),
        ("/srv/fleet/hosts.yml", "/srv/fleet"),
    ],
)
def test_what_is_made_lies_beside_the_inventory(source: str, folder: str) -> None:
    """Also when one file of the folder `inventory/` is named: Ansible reads every file there."""
    assert folder_of_inventory(PurePath(source)) == PurePath(folder)


def test_a_history_that_is_inside_already_goes_on_there(tmp_path: Path) -> None:
    """Nobody's history is lost by an upgrade."""
    script = tmp_path / "inventory" / "hosts.py"
    script.parent.mkdir()
    assert AnsibleSource((script,)).base == tmp_path
    (script.parent / "history.sqlite3").touch()
    assert AnsibleSource((script,)).base == script.parent


def test_a_limits_file_is_where_one_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`@file` is relative to the working directory; one that is not there is a sentence."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "names").write_text("box\n")
    source = AnsibleSource((Path("host,"),), limit="all, @names")
    assert source.absolute_limit == f"all,@{tmp_path}/names"
    assert (source.sources, source.option) == (["host,"], "-i host,")
    with pytest.raises(ConfigurationError, match="there is no file"):
        _ = AnsibleSource((Path("host,"),), limit="@others").absolute_limit


def test_the_inventory_of_ansible_cfg_and_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment wins; relative paths of the file start at its folder. What asks is known before it asks."""
    for name in [name for name in os.environ if name.startswith("ANSIBLE_")]:
        monkeypatch.delenv(name, raising=False)
    tmp_path.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ansible.cfg").write_text(
        "[defaults]\ninventory = a, /b  ; both\nask_pass = yes\nvault_identity_list = x@prompt, y@file\n"
        "[privilege_escalation]\nbecome_ask_pass = True\n[ssh_connection]\nretries = 3\npipelining = True\n"
    )
    found = read_configuration()
    assert found.inventory == (f"{tmp_path}/a", "/b")
    assert (found.ask_connection_password, found.ask_become_password, found.ask_vault_password) == (True, True, False)
    assert found.vault_ids == ("x@prompt", "y@file")
    assert found.without_effect == ("retries of [ssh_connection]",)
    assert ansible_environment(tmp_path, tmp_path, tmp_path)["ANSIBLE_INVENTORY_ENABLED"].split(",")[2].endswith("yaml")
    with Path("ansible.cfg").open("a") as file:
        file.write("[inventory]\nenable_plugins = host_list, auto\n")
    assert "ANSIBLE_INVENTORY_ENABLED" not in ansible_environment(tmp_path, tmp_path, tmp_path)
    monkeypatch.setenv("ANSIBLE_INVENTORY", "one,two,")
    assert read_configuration().inventory == ("one,two,",)


def test_typed_passwords_are_in_memory_that_others_cannot_open() -> None:
    """They can be read as often as Ansible starts, and are gone when they are forgotten."""
    memory = PasswordMemory(TypedPasswords("for log-ins", "for sudo", (("prod", SECRET),)))
    place = memory.vault_ids[0].removeprefix("prod@")
    for _ in range(2):
        assert Path(place).read_text() == SECRET
        assert Path(memory.log_ins).read_text() == '{"connection": "for log-ins", "become": "for sudo"}'
    assert Path(place).stat().st_mode & 0o777 == 0o600
    memory.close()
    assert not Path(place).exists()


@pytest.mark.parametrize("options", [["-k"], ["-K"], ["-J"], ["--vault-id", "prod@prompt"]])
def test_nobody_at_a_terminal_is_a_sentence_and_no_hang(
    options: list[str], remotestatus: Command, tmp_path: Path
) -> None:
    """What would be asked is refused, before anything is started."""
    done = remotestatus("run", "-i", "box,", *options, timeout=20, folder=tmp_path)
    assert done.returncode == 2
    assert "nobody is at a terminal" in done.stderr


def test_passwords_that_are_typed_log_in_and_change_the_user(lab: Lab, remotestatus: Command) -> None:
    """`-k -K -b -u` and a Vault's password, all at a real terminal; none of them is shown."""
    require_root("accounts and rules for sudo")
    box = lab.remote("box", password=SECRET, variables={"remotestatus_checks": runs_as("root")})
    lab.allow_sudo(box, "ALL=(root) ALL")
    inventory = lab.write_inventory(remotestatus_attempts=1, remotestatus_nickname="{{ vaulted }}")
    text = (inventory / "remotes.yml").read_text()
    kept = [line for line in text.splitlines(keepends=True) if "ansible_password" not in line]
    (inventory / "remotes.yml").write_text(
        "".join(line.replace(f"ansible_user: {box.login.user}", "") for line in kept)
    )
    (lab.directory / "word").write_text("vault-word")
    (inventory / "group_vars" / "remotes.yml").write_text("vaulted: Opened\n")
    vault = [str(Path(sys.executable).with_name("ansible-vault")), "encrypt", "--vault-id"]
    vault += [f"prod@{lab.directory}/word", str(inventory / "group_vars" / "remotes.yml")]
    subprocess.run(vault, check=True, capture_output=True, env=remotestatus.environment)

    options = ["-k", "-K", "-b", "-u", box.login.user, "--vault-id", "prod@prompt"]
    with Terminal(remotestatus, "run", "-i", inventory, *options, width=200) as terminal:
        terminal.wait_for("Vault password")
        terminal.type("vault-word")
        terminal.wait_for("password of log-ins")
        terminal.type(SECRET)
        terminal.wait_for("change of user")
        terminal.type(SECRET)
        code, shown = terminal.finish()

    assert code == 0, shown
    assert (remotes(lab)["box"]["status"], remotes(lab)["box"]["nickname"]) == ("up", "Opened"), shown
    assert SECRET not in shown
    assert lab.proxies["tunnel-proxy"].logins() == 1


def test_after_sudo_nothing_is_read_where_one_may_not_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One stands in a folder of somebody else's, and HOME is still theirs: as for Ansible, there is no ansible.cfg."""
    require_root("to become another user")
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    for name in ("ansible.cfg", ".ansible.cfg"):
        (closed / name).write_text("[defaults]\ninventory = a\n")
    monkeypatch.chdir(closed)
    monkeypatch.setenv("HOME", str(closed))
    for name in ("ANSIBLE_CONFIG", "ANSIBLE_INVENTORY"):
        monkeypatch.delenv(name, raising=False)
    assert read_configuration().inventory
    if (child := os.fork()) == 0:
        found = 1
        try:
            os.setuid(65534)
            found = len(read_configuration().inventory)
        finally:
            os._exit(found)
    assert os.waitpid(child, 0)[1] == 0


def test_a_yaml_inventory_is_read_as_ansible_reads_it(tmp_path: Path) -> None:
    """By the plugin that takes the place of Ansible's: anchors, templates, and groups in groups."""
    inventory = tmp_path / "hosts.yml"
    inventory.write_text(
        "all:\n  vars: {a: &both [1, {b: '{{ c }}'}], c: !unsafe '{{ d }}'}\n  children:\n    sites:\n"
        "      children:\n        one: {hosts: {box-1: {a: *both, e: yes}, 'box-[2:4]': null}, vars: {c: [*both]}}\n"
    )
    command = [str(Path(sys.executable).with_name("ansible-inventory")), "-i", str(inventory), "--list", "--export"]
    plugins = str(playbooks() / "inventory_plugins")
    said = [
        subprocess.run(
            command,
            env={**os.environ, "ANSIBLE_INVENTORY_ENABLED": name, "ANSIBLE_INVENTORY_PLUGINS": plugins},
            capture_output=True,
            check=True,
        ).stdout
        for name in ("yaml", "remotestatus_yaml")
    ]
    assert said[0] == said[1]
    assert b"box-4" in said[1]
