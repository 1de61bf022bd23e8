"""
The Ansible collection, as `make collection` builds it: the playbook runs from the tarball alone.
"""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from tests.lab import Command, run_command

ROOT = Path(__file__).resolve().parent.parent
PROGRAMS = Path(sys.executable).parent


def test_the_playbook_runs_from_the_tarball(remotestatus: Command, tmp_path: Path) -> None:
    """`remotestatus.checks.check` needs nothing of the checkout, and ansible-doc documents its tasks."""
    source = tmp_path / "checkout"
    shutil.copytree(ROOT / "playbooks", source / "playbooks", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Makefile", "CHANGELOG.md"):
        shutil.copy(ROOT / name, source)
    # The environment is there already: its stamps say so.
    (source / ".venv").mkdir()
    (source / ".venv" / "bin").symlink_to(PROGRAMS)
    make = ["make", "--directory", str(source), "--assume-old=.venv/.dev", "--assume-old=.venv/.demo", "collection"]
    for stamp in (".dev", ".demo"):
        (source / ".venv" / stamp).touch()
    (source / "pyproject.toml").touch()
    subprocess.run(make, check=True, capture_output=True)
    (tarball,) = (source / "dist").glob("remotestatus-checks-*.tar.gz")
    environment = {**remotestatus.environment, "ANSIBLE_COLLECTIONS_PATH": str(tmp_path), "TMPDIR": str(tmp_path)}

    def ansible(program: str, *words: str) -> str:
        argv = [str(PROGRAMS / program), *words]
        done = run_command(argv, environment=environment, timeout=60, folder=tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    ansible("ansible-galaxy", "collection", "install", "-p", str(tmp_path), str(tarball))
    shutil.rmtree(source)
    (tmp_path / "hosts.yml").write_text("all: {hosts: {here: {ansible_connection: local}}}\n")
    assert "ok: [here]" in ansible("ansible-playbook", "-i", "hosts.yml", "remotestatus.checks.check")
    for name in ("check", "probe", "answer"):
        assert "OPTIONS" in ansible("ansible-doc", f"remotestatus.checks.remotestatus_{name}")


def test_the_collection_has_the_version_of_the_package() -> None:
    """And the execution environment takes that very tarball."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert yaml.safe_load((ROOT / "playbooks" / "collection" / "galaxy.yml").read_text())["version"] == version
    environment = (ROOT / "playbooks" / "collection" / "execution-environment.yml").read_text()
    named = re.findall(r"remotestatus-checks-(\S+?)\.tar", environment)
    assert set(named) == {version}


@pytest.mark.parametrize(
    "path", sorted((ROOT / "playbooks" / "collection" / "tests" / "sanity").glob("*.txt")), ids=lambda path: path.stem
)
def test_sanity_exceptions_are_about_files_that_exist(path: Path) -> None:
    """`ansible-test sanity` refuses an exception for a file that is not there."""
    folders = {"modules": "library", "action": "action_plugins", "inventory": "inventory_plugins"}
    for line in path.read_text().splitlines():
        _, folder, name = line.split()[0].split("/")
        assert (ROOT / "playbooks" / folders.get(folder, folder) / name).is_file(), line
