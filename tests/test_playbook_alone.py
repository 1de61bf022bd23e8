"""
The playbook without us: under `ansible-playbook`, under `ansible-runner run`, and laid out as AWX lays it out.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
import pytest

from tests.lab import Command, Lab, run_command
from tests.rounds import await_that, forget_key

ROOT = Path(__file__).resolve().parent.parent
PLAYBOOK = ROOT / "playbooks" / "check.yml"
CAPTURE = f"python manage.py capture_{uuid4().hex}.py"


def start(
    program: str, *arguments: str | Path, lab: Lab, remotestatus: Command, folder: Path = ROOT, **more: str
) -> subprocess.CompletedProcess[str]:
    """Run one of Ansible's own programs with a clean environment."""
    return run_command(
        [str(Path(sys.executable).with_name(program)), *map(str, arguments)],
        environment={**remotestatus.environment, "TMPDIR": str(lab.scratch), **more},
        timeout=120,
        folder=folder,
    )


def events(private: Path) -> Iterator[dict[str, Any]]:
    """What an ansible-runner left of its run, event by event."""
    for path in private.glob("artifacts/*/job_events/*.json"):
        yield json.loads(path.read_text())


def answers(private: Path) -> dict[str, dict[str, Any]]:
    """What the probe returned for each remote, as any later task or AWX's job log sees it."""
    return {
        event["event_data"]["host"]: event["event_data"]["res"]["remotestatus"]
        for event in events(private)
        if event["event"] in ("runner_on_ok", "runner_on_unreachable")
        if event["event_data"]["task_action"] == "remotestatus_answer"
    }


def test_ansible_playbook_reaches_every_remote_and_says_which_it_did_not(lab: Lab, remotestatus: Command) -> None:
    """`ansible-playbook playbooks/check.yml -i inventory`: ok or UNREACHABLE with the reason, and nothing is left."""
    lab.remote("capture-1", processes=[CAPTURE])
    lab.remote("capture-2").cut_tunnel()
    lab.proxy("strange")
    lab.remote("behind", proxy="strange")
    inventory = lab.write_inventory()
    forget_key(lab, "strange")

    done = start("ansible-playbook", "playbooks/check.yml", "-i", inventory, "-v", lab=lab, remotestatus=remotestatus)

    assert "ok: [capture-1] =>" in done.stdout, done.stdout + done.stderr
    assert "reached in " in done.stdout
    assert CAPTURE.rpartition(" ")[2] in done.stdout
    assert "[capture-2]: UNREACHABLE!" in done.stdout
    assert "Connection refused" in done.stdout
    assert "the proxy strange does not answer: No ED25519 host key is known for strange" in done.stdout
    # A remote that is down is what a probe may find, and no fault of the play.
    assert done.returncode == 0, done.stdout
    assert lab.proxies["tunnel-proxy"].logins() == 1
    assert list(lab.scratch.glob("rs-*")) == []


def test_an_interrupted_run_leaves_nothing_behind(lab: Lab, remotestatus: Command) -> None:
    """Ctrl-C at a terminal: no connection, no process and no directory is left."""
    lab.remote("capture-1").hang_shell()
    inventory = lab.write_inventory()
    environment = {**remotestatus.environment, "TMPDIR": str(lab.scratch), "XDG_RUNTIME_DIR": str(lab.scratch)}
    program = Path(sys.executable).with_name("ansible-playbook")
    with subprocess.Popen(
        [program, PLAYBOOK, "-i", inventory],
        env=environment,
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as ansible:
        await_that(lambda: lab.remotes["capture-1"].logins() == 1)
        os.killpg(ansible.pid, signal.SIGINT)
        ansible.communicate(timeout=30)

    await_that(lambda: not list(lab.scratch.glob("rs-*")))
    sign = f"{lab.scratch}/rs-"
    assert not [one for one in psutil.process_iter(["cmdline"]) if sign in " ".join(one.info["cmdline"] or ())]


def test_limit_and_tags_mean_what_they_mean_in_ansible(lab: Lab, remotestatus: Command) -> None:
    """`--limit` probes those remotes only; `--tags proxies` connects to the proxies, and to no remote."""
    lab.remote("capture-1")
    lab.remote("capture-2")
    inventory = lab.write_inventory()

    limited = start(
        "ansible-playbook", PLAYBOOK, "-i", inventory, "-l", "capture-2", lab=lab, remotestatus=remotestatus
    )
    proxies = start("ansible-playbook", PLAYBOOK, "-i", inventory, "-t", "proxies", lab=lab, remotestatus=remotestatus)

    assert limited.returncode == 0, limited.stdout + limited.stderr
    assert "capture-1" not in limited.stdout
    assert proxies.returncode == 0, proxies.stdout + proxies.stderr
    assert "TASK [Say what each remote answered]" not in proxies.stdout
    assert (lab.remotes["capture-1"].logins(), lab.remotes["capture-2"].logins()) == (0, 1)
    assert lab.proxies["tunnel-proxy"].logins() == 2


def test_ansible_runner_brings_back_what_the_probe_read(lab: Lab, remotestatus: Command, tmp_path: Path) -> None:
    """`ansible-runner run`: each remote's event holds the whole answer, processes too, and why one was not reached."""
    lab.remote("capture-1", processes=[CAPTURE])
    lab.remote("capture-2").cut_tunnel()
    inventory = lab.write_inventory()
    private = tmp_path / "private"
    private.mkdir()

    done = start(
        *("ansible-runner", "run", private, "-p", PLAYBOOK, "--inventory", inventory),
        lab=lab,
        remotestatus=remotestatus,
        folder=tmp_path,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    found = answers(private)
    assert {name: answer["outcome"] for name, answer in found.items()} == {
        "capture-1": "answered",
        "capture-2": "ssh-failed",
    }
    running = {" ".join(process["argv"]) for process in found["capture-1"]["processes"]}
    assert any(line.endswith(CAPTURE.rpartition(" ")[2]) for line in running)
    assert "Connection refused" in found["capture-2"]["stderr"]


def test_host_keys_stay_strict_although_ansible_runner_turns_them_off(
    lab: Lab, remotestatus: Command, tmp_path: Path
) -> None:
    """ansible-runner sets ANSIBLE_HOST_KEY_CHECKING=False; a remote with an unknown key is not logged in to anyway."""
    remote = lab.remote("capture-1")
    inventory = lab.write_inventory()
    forget_key(lab, "capture-1")
    private = tmp_path / "private"
    private.mkdir()

    done = start(
        *("ansible-runner", "run", private, "-p", PLAYBOOK, "--inventory", inventory),
        lab=lab,
        remotestatus=remotestatus,
        ANSIBLE_HOST_KEY_CHECKING="False",
    )

    assert "host key" in answers(private)["capture-1"]["stderr"], done.stdout + done.stderr
    assert remote.logins() == 0


def test_a_project_of_awx_needs_only_the_playbooks_folder(lab: Lab, remotestatus: Command, tmp_path: Path) -> None:
    """The folder `playbooks/` as a runner's project, beside an inventory of its own: nothing of ours is installed."""
    lab.remote("capture-1")
    inventory = lab.write_inventory()
    private = tmp_path / "private"
    shutil.copytree(PLAYBOOK.parent, private / "project" / "playbooks")
    shutil.copytree(inventory, private / "inventory")
    shutil.copy(lab.known_hosts, private / "known_hosts")

    done = start(
        *("ansible-runner", "run", private, "-p", "playbooks/check.yml"),
        lab=lab,
        remotestatus=remotestatus,
        folder=tmp_path,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert answers(private)["capture-1"]["outcome"] == "answered"


@pytest.mark.parametrize(
    "variable",
    [
        'remotestatus_timeout: "{{ nowhere }}"',
        "ansible_ssh_common_args: -o 'User=unbalanced",
        "ansible_ssh_common_args: -o ProxyJump=one,,two",
        "ansible_ssh_common_args: -o ProxyJump=broken-1",
    ],
)
def test_a_wrong_variable_fails_its_host_with_a_sentence(
    variable: str, lab: Lab, remotestatus: Command, tmp_path: Path
) -> None:
    """What is wrong in the inventory is `failed`, as the words of its variable, and not `unreachable`."""
    inventory = tmp_path / "hosts.yml"
    inventory.write_text(f"all:\n  hosts:\n    broken-1:\n      {variable}\n")

    done = start("ansible-playbook", PLAYBOOK, "-i", inventory, lab=lab, remotestatus=remotestatus)

    assert done.returncode == 2, done.stdout + done.stderr
    assert "fatal: [broken-1]: FAILED! => " in done.stdout, done.stdout + done.stderr
    assert f"Action failed: {variable.partition(':')[0]}: " in done.stdout
    assert "TASK [Close the connections]" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_a_run_that_waits_for_an_order_connects_to_nothing_and_ends_with_whoever_was_to_give_it(
    lab: Lab, remotestatus: Command
) -> None:
    """remotestatus reads the inventory first; killed meanwhile, it leaves no Ansible behind, and nobody was asked."""
    lab.remote("capture-1")
    inventory = lab.write_inventory()
    workdir = lab.scratch / "round"
    workdir.mkdir(mode=0o700)
    with (
        subprocess.Popen(["sleep", "100"]) as remotestatus_itself,
        subprocess.Popen(
            [Path(sys.executable).with_name("ansible-playbook"), PLAYBOOK, "-i", inventory],
            env={
                **remotestatus.environment,
                "REMOTESTATUS_WORKDIR": str(workdir),
                "REMOTESTATUS_ORDER": str(workdir / "order.json"),
                "REMOTESTATUS_ROOT": str(remotestatus_itself.pid),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as ansible,
    ):
        await_that((workdir / "ssh_config").exists)
        with pytest.raises(subprocess.TimeoutExpired):
            ansible.wait(1)
        remotestatus_itself.kill()
        remotestatus_itself.wait()
        said, _ = ansible.communicate(timeout=30)

    assert ansible.returncode != 0
    assert "remotestatus has ended" in said
    assert lab.proxies["tunnel-proxy"].connections() == 0
