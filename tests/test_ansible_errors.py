"""
What Ansible prints of a wrong inventory becomes sentences with a place and a cure, and nothing else of what it prints.
"""

import errno
from pathlib import Path

import pytest

from remotestatus.model.errors import ConfigurationProblem, RoundError, with_vault_cure
from remotestatus.probe import AnsibleSource, PlaybookRunner
from remotestatus.probe.ansible_errors import find_ansible_errors, find_own_fault, is_task_lost, last_words
from remotestatus.probe.variable_files import locate
from tests.lab import Command

PLAY = "\nPLAY [Check every remote] ******************************************************\n"
YAML_ERROR = "[ERROR]: YAML parsing failed: While parsing a flow sequence did not find expected ',' or ']'.\n"
WRONG_PASSWORD = "[ERROR]: Decryption failed (no vault secrets were found that could decrypt).\n"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a: 1\nb: [1, 2\nsecret: hunter2\n", "3:7"),
        ("a: 1\n  b: 2\n", "2:4"),
        ("a: 1\nb: {{ foo }}\n", "2:5"),
        ("a: 1\nb:\n- c: 1\n  c: 2\n", "4:3"),
        ("a: '\x00'\n", "1"),
    ],
)
def test_a_mistake_in_a_file_of_variables_has_its_file_and_line(tmp_path: Path, text: str, place: str) -> None:
    """Ansible says what is wrong and not where: the first file of variables that cannot be read is named."""
    folder = tmp_path / "inventory" / "group_vars" / "all"
    folder.mkdir(parents=True)
    (folder / "a.yml").write_text("fine: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n")
    (folder / "b.yml").write_text(text)
    (problem,) = locate(find_ansible_errors(f"{PLAY}{YAML_ERROR}"), [tmp_path / "inventory"])
    assert problem.where == f"{folder}/b.yml:{place}"
    assert problem.what.startswith("YAML parsing failed")
    assert "hunter2" not in str(problem)


def test_a_wrong_vault_password_is_called_wrong(tmp_path: Path) -> None:
    """A password that is missing is asked for, one that opens nothing is wrong; the vaulted file is named."""
    (tmp_path / "host_vars").mkdir()
    vault = tmp_path / "host_vars" / "box"
    vault.write_text("$ANSIBLE_VAULT;1.1;AES256\n3030\n")
    (problem,) = locate(find_ansible_errors(PLAY + WRONG_PASSWORD), [tmp_path / "hosts.ini"])
    assert problem.where == str(vault)
    assert "the Vault password is wrong" in problem.what
    assert "give the Vault password: " in with_vault_cure("Attempting to decrypt but no vault secrets found.")
    assert with_vault_cure("all is well") == "all is well"


def test_what_ansible_only_warns_of_is_no_error() -> None:
    """A group and a host of one name, as `bastion` in Kubespray's documentation, mean what they mean for Ansible."""
    assert find_ansible_errors("[WARNING]: Found both group and host with same name: bastion\n") == []


def test_a_script_that_cannot_be_run_is_said_to_be_one(tmp_path: Path) -> None:
    """Not executable, or without its interpreter: this is said, and not what Ansible took its text for."""
    script, other, fine = tmp_path / "hosts.py", tmp_path / "more", tmp_path / "fine.sh"
    script.write_text("#!/usr/bin/env python3\nprint()\n")
    other.write_text("#!/nowhere/interpreter -u\n")
    fine.write_text("#!/bin/sh\n")
    (tmp_path / "remotes.yml").write_text("#!no script\nall: {}\n")
    for path in (other, fine):
        path.chmod(0o755)
    taken = ConfigurationProblem(f"{script}:2", "Expected key=value host variable assignment")
    script_problem, other_problem = locate([taken], [tmp_path])
    assert str(script_problem) == f"{script}: this script is not executable; chmod +x {script}"
    assert other_problem.where == str(other)
    assert "needs /nowhere/interpreter, which is not on this machine" in other_problem.what


def test_a_script_that_fails_is_named_without_its_own_words(tmp_path: Path) -> None:
    """They may quote what it logs in with: the command that shows them is told."""
    script = tmp_path / "hosts.py"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    said = (
        "[WARNING]: Failed to parse inventory with 'script' plugin: Inventory script returned non-zero exit code 1.\n"
    )
    said += f"Origin: <inventory plugin 'script' with source '{script}'>\n\nStandard error from script:\nhunter2\n"
    said += f"[WARNING]: Completely failed to parse inventory source {script}\n"
    (problem,) = find_ansible_errors(said)
    assert problem.where == str(script)
    assert problem.what.endswith(f"exit code 1; `ansible-inventory -i {script} --list` shows its own words")


def test_headings_of_plays_are_in_no_message() -> None:
    """What is told of a failed run is a sentence of Ansible's, or the end of what it printed, without its headings."""
    failed = 'fatal: [box]: FAILED! => {"changed": false, "msg": "the key \\"x\\" is wrong"}\n'
    (problem,) = find_ansible_errors(f"{PLAY}\nTASK [Open one connection] ****\n{failed}{PLAY}")
    assert problem == ConfigurationProblem("box", 'the key "x" is wrong')
    assert find_ansible_errors(f"[ERROR]: broken{PLAY}") == [ConfigurationProblem("Ansible", "broken")]
    assert last_words(f"{PLAY}something odd\n\nTASK [x] *****\nok: [box]\n") == "something odd"


def test_the_place_of_a_mistake_reaches_people(remotestatus: Command, tmp_path: Path) -> None:
    """A real Ansible over a broken file of variables: exit code 2, file and line, and nothing of what stands there."""
    (tmp_path / "inventory" / "group_vars").mkdir(parents=True)
    (tmp_path / "inventory" / "hosts.yml").write_text("all:\n  hosts:\n    box: {ansible_connection: local}\n")
    (tmp_path / "inventory" / "group_vars" / "all.yml").write_text("b: [1, 2\nsecret: hunter2\n")
    done = remotestatus("run", "-i", tmp_path / "inventory")
    assert done.returncode == 2
    assert f"{tmp_path}/inventory/group_vars/all.yml:2:7: YAML parsing failed" in done.stderr
    assert "hunter2" not in done.stderr
    assert "PLAY" not in done.stderr


def test_the_reader_that_a_file_is_meant_for_is_believed(remotestatus: Command, tmp_path: Path) -> None:
    """A real Ansible over a file that is no inventory, and one for a plugin that is not there; another plugin works."""
    folder = tmp_path / "inventory"
    folder.mkdir()
    (folder / "1.yml").write_text("all: {hosts: {box: {ansible_connection: local, kind: kiosk}}}\n")
    plugin = "plugin: ansible.builtin.constructed\nkeyed_groups: [{key: kind, prefix: is}]\n"
    (folder / "2.yml").write_text(plugin)
    assert remotestatus("run", "-i", folder, "--limit", "is_kiosk").returncode == 0
    for text, why in (
        ("- box\n", "YAML inventory has invalid structure"),
        ("plugin: no.such.one\n", "inventory config"),
    ):
        (folder / "3.yml").write_text(text)
        done = remotestatus("run", "-i", folder)
        assert (done.returncode, f"{folder}/3.yml: {why}" in done.stderr) == (2, True), done.stderr


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("[Errno 5] Input/output error: '/tmp/rs-1/remotes/a.part' -> '/tmp/rs-1/remotes/a.json'", errno.EIO),
        ("OSError: [Errno 24] Too many open files", errno.EMFILE),
        ("[Errno 28] No space left on device", errno.ENOSPC),
        ("[Errno 5] Input/output error: '/srv/inventory/hosts.yml'", None),
        ("[Errno 13] Permission denied: '/tmp/rs-1/x'", None),
        ("[Errno 99999999999]", None),
    ],
)
def test_a_fault_of_our_own_place_is_not_the_inventorys(said: str, code: int | None) -> None:
    """What the system says of the round's own directory is told from what it says of the inventory's files."""
    assert find_own_fault(f"[ERROR]: Task failed: {said}\n", Path("/tmp/rs-1")) == code


LOST = """\
[ERROR]: Task failed: 'remotestatus_round' is undefined
Task failed.
Origin: /srv/playbooks/check.yml:57:7

fatal: [here]: FAILED! => {"changed": false, "msg": "Task failed: 'remotestatus_round' is undefined"}
"""
"""Of a run on a full disk: Ansible dropped the first task, and went on with the second."""


def test_a_task_that_ansible_dropped_is_no_mistake_of_the_inventory(tmp_path: Path) -> None:
    """The round cannot be done, and a sentence says what may be missing; a wrong variable stays the inventory's."""
    (tmp_path / "hosts.yml").write_text("all: {hosts: {here: {ansible_connection: local}}}")
    with PlaybookRunner(AnsibleSource((tmp_path / "hosts.yml",))) as runner:
        with pytest.raises(RoundError, match=r"could not start a task.* nothing can be written to .*No space left"):
            runner.blame_no_room(LOST)
        runner.blame_no_room('fatal: [here]: FAILED! => {"msg": "\'remotestatus_title\' is undefined"}')
    assert not is_task_lost("'remotestatus_title' is undefined")
