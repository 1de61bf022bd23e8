"""
Every way in that Ansible has: remotes that no ssh leads to, each with its own connection plugin, beside those by ssh.
"""

import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
import pytest
import yaml

from tests.lab import Command, Lab, require_root

DATA = Path(__file__).resolve().parent / "data"
PLUGINS = DATA / "connection_plugins"
WORK = f"work_{uuid4().hex}.py"


def runs_as(user: str) -> list[dict[str, str]]:
    """A check that fails unless it is run by this user."""
    return [{"name": "who", "command": f'id -un && [ "$(id -un)" = {user} ] || exit 2'}]


def add_hosts(lab: Lab, hosts: dict[str, dict[str, Any]]) -> None:
    """Add hosts that need no server to the inventory, and tell Ansible where their plugin is."""
    (lab.inventory / "others.yml").write_text(yaml.safe_dump({"others": {"hosts": hosts}}))
    (lab.directory / "ansible.cfg").write_text(
        f"[defaults]\nconnection_plugins = {PLUGINS}\ncollections_path = {DATA}\n"
    )


def remotes(lab: Lab) -> dict[str, dict[str, Any]]:
    document = json.loads((lab.directory / "site" / "status.json").read_text())
    return {remote["name"]: remote for remote in document["remotes"]}


def test_one_round_probes_every_kind_of_connection(lab: Lab, remotestatus: Command) -> None:
    """ssh, this machine, another user, a plugin of one's own, Windows, and mistakes: each is told as it is."""
    require_root("a change of user by su")
    wanted_by_people = {"ansible_ssh_extra_args": "-tt -o RequestTTY=force"}
    lab.remote("capture-1", processes=[f"python {WORK}"], variables=wanted_by_people)
    lab.local("here")
    inventory = lab.write_inventory()
    napping = f"sleep 9{uuid4().int % 10**8}"
    su = {"ansible_become": True, "ansible_become_method": "su", "ansible_become_user": "nobody"}
    su |= {"ansible_become_flags": "-s /bin/sh", "remotestatus_checks": runs_as("nobody")}
    own = {"ansible_connection": "pipe", "remotestatus_processes": [f"python {WORK}", "pipe-is-not-there"]}
    add_hosts(
        lab,
        {
            "a-broken": {"ansible_host": "{{ nowhere }}", "ansible_remote_tmp": "{{ nowhere }}"},
            "nobody": {"ansible_connection": "local", **su},
            "change": {"ansible_connection": "local", **su, "ansible_become_method": "lab.own.change"},
            "own": own,
            "own-nobody": {"ansible_connection": "pipe", **su},
            "no-stdin": {"ansible_connection": "pipe", "ansible_pipe_pipelining": False}
            | {"remotestatus_checks": runs_as("root")},
            "gone": {"ansible_connection": "pipe", "ansible_pipe_words": "/no/such/box"},
            "stopped": {"ansible_connection": "pipe", "ansible_pipe_words": "/bin/sh -c 'echo it rests >&2; exit 1' x"},
            "stopped-nobody": {"ansible_connection": "pipe", "ansible_pipe_words": "/bin/sh -c 'exit 1' x", **su},
            "slow": {"ansible_connection": "pipe", "ansible_pipe_words": f"/bin/sh -c '{napping}' x"}
            | {"remotestatus_timeout": 5, "remotestatus_attempts": 1},
            "windows": {"ansible_connection": "winrm"},
            "mistyped": {"ansible_connection": "dokcer"},
            "unready": {"ansible_connection": "pipe", "ansible_pipe_words": ""},
            "unbecoming": {"ansible_connection": "pipe", **su, "ansible_become_pass": "{{ nowhere }}"},
            "unread": {},
            "hasty": {"ansible_timeout": "soon"},
        },
    )

    (inventory / "host_vars").mkdir(exist_ok=True)
    (inventory / "host_vars" / "unread.yml").write_text("fine: yes\nlist: [1\n")

    done = remotestatus("run", "-i", inventory)

    assert done.returncode == 0, done.stdout + done.stderr
    found = remotes(lab)
    causes = {name: remote["cause"] and remote["cause"]["code"] for name, remote in found.items()}
    assert causes == {
        **dict.fromkeys(("capture-1", "here", "nobody", "change", "own-nobody", "no-stdin")),
        "a-broken": "checker-error",
        "own": "process-missing",
        "gone": "connection-lost",
        "stopped": "connection-lost",
        "stopped-nobody": "connection-lost",
        "slow": "probe-timeout",
        "windows": "unsupported",
        "mistyped": "checker-error",
        "unready": "checker-error",
        "hasty": "checker-error",
        "unbecoming": "checker-error",
        "unread": "checker-error",
    }
    assert "ansible_host: 'nowhere' is undefined" in found["a-broken"]["cause"]["message"]
    assert "ansible_connection: Ansible has no connection plugin 'dokcer'" in found["mistyped"]["cause"]["message"]
    assert "Ansible's connection pipe could not be used for unready" in found["unready"]["cause"]["message"]
    assert "ansible_timeout: 'soon' is not a number" in found["hasty"]["cause"]["message"]
    assert "ansible_become_pass: 'nowhere' is undefined" in found["unbecoming"]["cause"]["message"]
    assert f"{inventory}/host_vars/unread.yml:3:1: YAML parsing failed" in found["unread"]["cause"]["message"]
    assert found["gone"]["cause"]["detail"] == "there is no box /no/such/box"
    assert found["stopped"]["cause"]["detail"] == "it rests"
    assert [found[name]["status"] for name in ("a-broken", "windows", "gone")] == ["unknown", "unknown", "down"]
    assert [process["running"] for process in found["own"]["processes"]] == [True, False]
    assert lab.proxies["tunnel-proxy"].logins() == 1
    assert not [one for one in psutil.process_iter(["cmdline"]) if napping in " ".join(one.info["cmdline"] or ())]
    assert list(lab.scratch.glob("rs-*")) == []


def test_processes_of_the_checker_are_its_own_by_any_connection(
    lab: Lab, remotestatus: Command, request: pytest.FixtureRequest
) -> None:
    """Neither the shell, nor su, nor Ansible itself counts as a process of the remote."""
    require_root("a change of user by su")
    lab.write_inventory(remotestatus_forks=1)  # what one probe starts is a process of the remote for another
    user: dict[str, Any] = {"ansible_become": True, "ansible_become_method": "su", "ansible_become_user": "nobody"}
    # A shell of its own tells what su starts here from what other tests start. Nobody may enter a test's own folder.
    own = Path(f"/tmp/shell-{uuid4().hex}")
    own.symlink_to("/bin/sh")
    request.addfinalizer(own.unlink)
    user |= {"ansible_become_flags": f"-s {own}"}
    nothing = [{"name": "ansible", "contains": str(lab.directory), "min": 0, "max": 0}]
    nothing += [{"name": "become", "contains": str(own), "min": 0, "max": 0}]
    hosts: dict[str, dict[str, Any]] = {
        "plugin": {"ansible_connection": "pipe"},
        "plugin-user": {"ansible_connection": "pipe", **user},
        "local-user": {"ansible_connection": "local", **user},
    }
    add_hosts(lab, {name: {**host, "remotestatus_processes": nothing} for name, host in hosts.items()})

    done = remotestatus("run", "-i", lab.inventory)

    assert done.returncode == 0, done.stdout + done.stderr
    found = remotes(lab)
    assert {name: one["status"] for name, one in found.items()} == dict.fromkeys(hosts, "up"), found
