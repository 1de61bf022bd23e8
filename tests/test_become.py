"""
The change of user after the log-in, as Ansible means it: by a real sudo with real rules.
"""

import json
from typing import Any

import pytest

from tests.lab import Command, Lab, require_root
from tests.test_connections import remotes, runs_as

SECRET = "correct horse battery staple"


@pytest.fixture(autouse=True)
def _as_root() -> None:
    require_root("accounts and rules for sudo")


def test_sudo_with_and_without_a_password_and_what_it_refuses(lab: Lab, remotestatus: Command) -> None:
    """Checks run as root where sudo allows it; where not, the cause has sudo's words and the rule that is missing."""
    become: dict[str, Any] = {"ansible_become": True, "remotestatus_checks": runs_as("root")}
    free = lab.remote("free", password=SECRET, variables=become)
    asked = lab.remote("asked", password=SECRET, variables={**become, "ansible_become_password": SECRET})
    wrong = lab.remote("wrong", password=SECRET, variables={**become, "ansible_become_password": "wrong-0815"})
    refused = lab.remote("refused", password=SECRET, variables=become)
    lab.allow_sudo(free, "ALL=(root) NOPASSWD: /bin/sh")
    for remote in (asked, wrong):
        lab.allow_sudo(remote, "ALL=(root) ALL")
    own = [{"name": "sudo", "regex": "^sudo .*BECOME", "min": 0, "max": 0}]
    inventory = lab.write_inventory(remotestatus_attempts=1, remotestatus_forks=1, remotestatus_processes=own)

    done = remotestatus("run", "-i", inventory)

    assert done.returncode == 0, done.stdout + done.stderr
    found = remotes(lab)
    causes = {name: remote["cause"] and remote["cause"]["code"] for name, remote in found.items()}
    assert causes == {"free": None, "asked": None, "wrong": "become-failed", "refused": "become-failed"}
    assert found["wrong"]["cause"]["detail"].startswith("Incorrect sudo password")
    cause = found["refused"]["cause"]
    assert "sudo: a password is required" in cause["detail"]
    assert f"`{refused.login.user} ALL=(root) NOPASSWD: /bin/sh`" in cause["hint"]
    assert found["refused"]["status"] == "degraded"
    assert [process["running"] for process in found["refused"]["processes"]] == [None]
    # The same shared connection for all, and nothing of a password anywhere.
    assert lab.proxies["tunnel-proxy"].logins() == 1
    assert [remote.logins() for remote in (free, asked, wrong, refused)] == [1, 1, 1, 1]
    everything = done.stdout + done.stderr + json.dumps(found)
    assert SECRET not in everything
    assert "wrong-0815" not in everything
