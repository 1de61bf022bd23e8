"""
Passwords go to the host that they belong to, and to no other: whatever way leads there, a jump host never sees one.

The jump host is a server that refuses everybody and writes down what it was offered.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import Command, Lab, RecordingBastion

SECRET = "correct horse battery staple"
PROXY_SECRET = "the proxy's own"


@pytest.fixture
def bastion() -> Iterator[RecordingBastion]:
    with RecordingBastion() as bastion:
        yield bastion


def write_fleet(folder: Path, bastion: RecordingBastion, *, proxies: str = "", **variables: str) -> Path:
    """An inventory with one remote that wants a password, and all that is known of the bastion."""
    inventory = folder / "inventory"
    inventory.mkdir()
    lines = "".join(f"          {name}: {value}\n" for name, value in variables.items())
    (inventory / "remotes.yml").write_text(
        "all:\n  vars:\n    remotestatus_known_hosts: known_hosts\n    remotestatus_timeout: 10\n  children:\n"
        f"    proxies:\n      hosts:\n{proxies or '        {}'}\n"
        "    remotes:\n      hosts:\n        box:\n          ansible_host: 127.0.0.1\n          ansible_port: 9\n"
        f"          ansible_user: remote_user\n          ansible_password: {SECRET}\n{lines}"
    )
    names = ("jump", f"[127.0.0.1]:{bastion.port}", "tunnel-proxy")
    (folder / "known_hosts").write_text("".join(f"{name} {bastion.public_key}\n" for name in names))
    return inventory


def ssh_config(folder: Path, bastion: RecordingBastion, jump: str) -> Path:
    """A configuration of the user's own that leads to the remote over the bastion."""
    config = folder / "ssh_config"
    config.write_text(
        f"Host jump\n  HostName 127.0.0.1\n  Port {bastion.port}\n  User proxy_user\n  HostKeyAlias jump\n"
        f"  UserKnownHostsFile {folder}/known_hosts\n"
        f"Host 127.0.0.1\n  {jump}\n"
    )
    return config


def known_to_ssh(folder: Path, bastion: RecordingBastion) -> str:
    """The options with which an `ssh` of the user's own knows the bastion."""
    return f"-o UserKnownHostsFile={folder}/known_hosts -p {bastion.port} proxy_user@127.0.0.1"


WAYS = {
    "ProxyJump user@host:port": lambda folder, bastion: {
        "ansible_ssh_common_args": f"-o ProxyJump=proxy_user@127.0.0.1:{bastion.port}"
    },
    "-J": lambda folder, bastion: {"ansible_ssh_common_args": f"-J proxy_user@127.0.0.1:{bastion.port}"},
    "ProxyCommand in common_args": lambda folder, bastion: {
        "ansible_ssh_common_args": f"""'-o ProxyCommand="ssh -W %h:%p {known_to_ssh(folder, bastion)}"'"""
    },
    "ProxyCommand in extra_args": lambda folder, bastion: {
        "ansible_ssh_extra_args": f"""'-o ProxyCommand="ssh -W %h:%p {known_to_ssh(folder, bastion)}"'"""
    },
    "ProxyJump by alias in a file": lambda folder, bastion: {
        "ansible_ssh_common_args": f"-F {ssh_config(folder, bastion, 'ProxyJump jump')}"
    },
    "ProxyJump by address in a file": lambda folder, bastion: {
        "ansible_ssh_common_args": f"-F {ssh_config(folder, bastion, f'ProxyJump proxy_user@localhost:{bastion.port}')}"
    },
    "ProxyCommand in a file": lambda folder, bastion: {
        "ansible_ssh_common_args": "-F "
        + str(ssh_config(folder, bastion, f"ProxyCommand ssh -F {folder}/ssh_config -W %h:%p jump"))
    },
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("command", ["run", "run with kept connections", "match"])
def test_a_jump_host_never_sees_a_remotes_password(
    tmp_path: Path, remotestatus: Command, bastion: RecordingBastion, way: str, command: str
) -> None:
    """However the jump is written, and whoever connects: a bastion that asks for passwords gets none."""
    inventory = write_fleet(tmp_path, bastion, **WAYS[way](tmp_path, bastion))
    kept = {"remotestatus_keep_connections": "true"} if "kept" in command else {}
    for name, value in kept.items():
        with (inventory / "remotes.yml").open("a") as file:
            file.write(f"          {name}: {value}\n")
    words: list[str | Path] = ["match", "box", "-i", inventory] if command == "match" else ["run", "-i", inventory]

    done = remotestatus(*words)

    assert bastion.connections > 0, done.stdout + done.stderr
    assert bastion.passwords == set()
    assert SECRET not in done.stdout + done.stderr


def test_nor_does_the_second_of_a_chain_or_one_behind_another_program(
    lab: Lab, remotestatus: Command, bastion: RecordingBastion
) -> None:
    """Behind a proxy that lets us in, and behind a ProxyCommand that only its own ssh understands, it is the same."""
    proxy, key = lab.proxy(), lab.keys["checker"].path
    outer = f"ssh -i {key} -p {proxy.sshd.port} -W %%h:%%p {proxy.login.user}@127.0.0.1"
    inner = f"-p {bastion.port} -o UserKnownHostsFile={lab.known_hosts} proxy_user@127.0.0.1"
    ways = {
        "jumps": f"-J tunnel-proxy,proxy_user@127.0.0.1:{bastion.port}",
        "commands": f"""-o 'ProxyCommand=ssh -o ProxyCommand="{outer}" -W %h:%p {inner}'""",
        "netcat": f"-o 'ProxyCommand=ssh {inner} nc %h %p'",
        "netcat-become": f"-o 'ProxyCommand=ssh {inner} nc %h %p'",
    }
    become = {"ansible_become": True, "ansible_become_password": SECRET}  # by Ansible's own connection
    for name, arguments in ways.items():
        variables = {"ansible_password": SECRET, "ansible_ssh_common_args": arguments}
        remote = lab.remote(name, variables=variables | (become if name == "netcat-become" else {}))
        remote.variables["ansible_user"] = "remote_user"
    inventory = lab.write_inventory(remotestatus_timeout=10, remotestatus_attempts=1)
    with lab.known_hosts.open("a") as file:
        file.write(f"[127.0.0.1]:{bastion.port} {bastion.public_key}\n")

    done = remotestatus("run", "-i", inventory)

    assert bastion.connections >= len(ways), done.stdout + done.stderr
    assert bastion.passwords == set()
    assert proxy.logins() > 0
    assert "password" not in proxy.sshd.log.read_text()


@pytest.mark.parametrize("setting", ["ANSIBLE_SSH_COMMON_ARGS", "ANSIBLE_SSH_ARGS"])
def test_nor_by_a_jump_that_the_environment_names(
    tmp_path: Path, remotestatus: Command, bastion: RecordingBastion, setting: str
) -> None:
    """What Ansible reads from its environment is a way like the others."""
    inventory = write_fleet(tmp_path, bastion)
    jump = f'-o ProxyCommand="ssh -W %h:%p {known_to_ssh(tmp_path, bastion)}"'

    remotestatus("run", "-i", inventory, environment={setting: jump})

    assert bastion.connections > 0
    assert bastion.passwords == set()


def test_a_proxys_own_password_goes_to_the_proxy_and_only_once(
    tmp_path: Path, remotestatus: Command, bastion: RecordingBastion
) -> None:
    """A proxy with a password of its own is offered that one, once; a wrong one locks nobody out."""
    proxy = (
        "        tunnel-proxy:\n          ansible_host: 127.0.0.1\n"
        f"          ansible_port: {bastion.port}\n          ansible_user: proxy_user\n"
        f'          ansible_password: "{PROXY_SECRET}"\n'
    )
    inventory = write_fleet(tmp_path, bastion, proxies=proxy, ansible_ssh_common_args="-o ProxyJump=tunnel-proxy")

    remotestatus("run", "-i", inventory)

    assert [password for _, _, password in bastion.offered if password] == [PROXY_SECRET]


def test_a_proxys_lookup_that_fails_is_told_as_that(
    tmp_path: Path, remotestatus: Command, bastion: RecordingBastion
) -> None:
    """It is looked up once, when the proxy asks for it; the proxy is not called down for it, and is not tried again."""
    lookup = f"{{{{ lookup('pipe', 'echo asked >> {tmp_path}/asked; exit 3') }}}}"
    proxy = (
        "        tunnel-proxy:\n          ansible_host: 127.0.0.1\n"
        f"          ansible_port: {bastion.port}\n          ansible_user: proxy_user\n"
        f'          ansible_password: "{lookup}"\n'
    )
    inventory = write_fleet(tmp_path, bastion, proxies=proxy, ansible_ssh_common_args="-o ProxyJump=tunnel-proxy")

    done = remotestatus("run", "-i", inventory)

    said = " ".join(done.stdout.split())
    assert "ansible_password: the lookup 'pipe' failed" in said
    assert "down" not in said
    assert (tmp_path / "asked").read_text() == "asked\n"
    assert bastion.connections == 1


@pytest.mark.parametrize("from_file", [False, True])
def test_a_remotes_password_goes_to_the_remote_once(
    tmp_path: Path, remotestatus: Command, bastion: RecordingBastion, from_file: bool
) -> None:
    """
    A remote that refuses the password is offered it once, whatever methods of authentication it has.

    A file that Ansible's environment names by a relative path is found where one stands, as Ansible finds it.
    """
    inventory = write_fleet(tmp_path, bastion)
    text = (inventory / "remotes.yml").read_text().replace("ansible_port: 9", f"ansible_port: {bastion.port}")
    own = f"          ansible_password: {SECRET}\n"
    (inventory / "remotes.yml").write_text(text.replace(own, "") if from_file else text)
    (tmp_path / "typed").write_text(f"{SECRET}\n")
    with (tmp_path / "known_hosts").open("a") as file:
        file.write(f"box {bastion.public_key}\n")
    environment = {"ANSIBLE_CONNECTION_PASSWORD_FILE": "typed"} if from_file else {}

    remotestatus("run", "-i", inventory, folder=tmp_path, environment=environment)

    assert [password for _, _, password in bastion.offered if password] == [SECRET]


def test_the_first_hosts_password_is_for_nobody_else(
    tmp_path: Path, remotestatus: Command, bastion: RecordingBastion
) -> None:
    """A task that runs once has the keywords of the play's first host; that host's password goes to no other."""
    inventory = tmp_path / "inventory"
    inventory.mkdir()
    (inventory / "remotes.yml").write_text(
        "all:\n  vars: {ansible_host: 127.0.0.1, ansible_user: me, remotestatus_attempts: 1}\n"
        f"  hosts:\n    a-first: {{ansible_port: 9, ansible_password: {SECRET}, ansible_become_password: {SECRET}}}\n"
        f"    box: {{ansible_port: {bastion.port}}}\n"
    )
    (tmp_path / "known_hosts").write_text(f"box {bastion.public_key}\n")

    done = remotestatus("run", "-i", inventory)

    assert bastion.connections > 0, done.stdout + done.stderr
    assert bastion.passwords == set()
