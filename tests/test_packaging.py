"""
Builds the wheel and the source distribution, installs the wheel into an empty environment, and uses it from there.
"""

import email
import email.message
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.lab import run_command

pytestmark = pytest.mark.xdist_group("demo")  # one demo fleet at a time, see test_demo_fleet.py
ROOT = Path(__file__).resolve().parent.parent
MOMENT = "1767225600"
"""SOURCE_DATE_EPOCH: the moment that archives are dated with, whenever they are built."""

NOT_SOURCE = shutil.ignore_patterns(".git", ".venv", ".*_cache", ".hypothesis", "__pycache__", "dist", "demo-fleet")
PYTHONS = ("3.11", "3.12", "3.13")
"""The Pythons we promise; the workflow in `.github/` runs all tests on each."""


def build(source: Path, target: Path) -> dict[str, Path]:
    """Build both distributions of a copy of the sources; returns their paths by kind."""
    done = run_command(
        [sys.executable, "-m", "build", "--quiet", "--outdir", str(target), str(source)],
        environment={**os.environ, "SOURCE_DATE_EPOCH": MOMENT},
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,), (sdist,) = target.glob("*.whl"), target.glob("*.tar.gz")
    return {"wheel": wheel, "sdist": sdist}


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sources as they are now, so that nothing changes them between two builds."""
    folder = tmp_path_factory.mktemp("sources") / "checkout"
    shutil.copytree(ROOT, folder, ignore=NOT_SOURCE, symlinks=True)
    return folder


@pytest.fixture(scope="module")
def built(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The two distributions."""
    return build(sources, tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def metadata(built: Mapping[str, Path]) -> email.message.Message:
    """The wheel's METADATA."""
    with zipfile.ZipFile(built["wheel"]) as wheel:
        (name,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
        return email.message_from_bytes(wheel.read(name))


def names_in_wheel(path: Path) -> set[str]:
    """The files of a wheel."""
    with zipfile.ZipFile(path) as wheel:
        return set(wheel.namelist())


def test_both_distributions_build_reproducibly(sources: Path, built: Mapping[str, Path], tmp_path: Path) -> None:
    """From another folder, with all files dated anew, both distributions come out the same byte for byte."""
    other = tmp_path / "elsewhere"
    shutil.copytree(sources, other, symlinks=True, copy_function=shutil.copy)
    again = build(other, tmp_path / "dist")
    for kind in ("wheel", "sdist"):
        assert built[kind].read_bytes() == again[kind].read_bytes(), kind


@pytest.mark.parametrize(
    ("folder", "inside"),
    [
        ("remotestatus", "remotestatus"),
        ("playbooks", "remotestatus/_shipped/playbooks"),
        ("report_templates", "remotestatus/_shipped/report_templates"),
    ],
)
def test_the_wheel_holds_everything_that_is_needed(
    folder: str, inside: str, sources: Path, built: Mapping[str, Path]
) -> None:
    """Each file of the package, the playbooks and the templates is in the wheel, and so `py.typed`."""
    wanted = {
        f"{inside}/{path.relative_to(sources / folder)}" for path in (sources / folder).rglob("*") if path.is_file()
    }
    assert wanted - names_in_wheel(built["wheel"]) == set()
    assert "remotestatus/py.typed" in names_in_wheel(built["wheel"])


def test_the_wheel_holds_nothing_else(built: Mapping[str, Path]) -> None:
    """No tests, no example inventory and nothing outside our own package gets into anybody's site-packages."""
    tops = {name.partition("/")[0] for name in names_in_wheel(built["wheel"])}
    assert tops == {"remotestatus", "remotestatus-0.1.0.dist-info"}


def test_the_shell_scripts_are_executable_in_the_wheel(built: Mapping[str, Path]) -> None:
    """What is started as a program keeps its mode."""
    with zipfile.ZipFile(built["wheel"]) as wheel:
        modes = {
            info.filename.rpartition("/")[2]: info.external_attr >> 16 & 0o111
            for info in wheel.infolist()
            if info.filename.endswith("/playbooks/files/askpass")
        }
    assert modes == {"askpass": 0o111}


def test_the_source_distribution_holds_what_a_packager_needs(built: Mapping[str, Path]) -> None:
    """Sources, tests, documents, licence and the example inventory are in it; caches and environments are not."""
    with tarfile.open(built["sdist"]) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    wanted = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "Makefile", "pyproject.toml"]
    wanted += ["inventory/remotes.yml", "tests/test_packaging.py", "playbooks/files/probe.sh"]
    assert set(wanted) - names == set()
    assert not [name for name in names if "__pycache__" in name or name.startswith((".venv", ".git/"))]


def test_the_wheel_of_the_source_distribution_is_the_wheel(built: Mapping[str, Path], tmp_path: Path) -> None:
    """Whoever builds from the source distribution gets the very same wheel."""
    with tarfile.open(built["sdist"]) as sdist:
        if hasattr(tarfile, "data_filter"):  # since 3.11.4
            sdist.extraction_filter = tarfile.data_filter
        sdist.extractall(tmp_path)
    (source,) = tmp_path.iterdir()
    assert build(source, tmp_path / "dist")["wheel"].read_bytes() == built["wheel"].read_bytes()


def test_the_metadata_is_complete(metadata: email.message.Message) -> None:
    """Name, version, licence, Pythons, type hints and the README are said as package indexes read them."""
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert metadata["Name"] == "remotestatus"
    assert metadata["Version"] == project["version"]
    assert metadata["License-Expression"] == "MIT"
    assert metadata.get_all("License-File") == ["LICENSE"]
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert str(metadata.get_payload()).startswith("# remotestatus")
    assert metadata.get_all("Provides-Extra") == ["demo"]
    classifiers = set(metadata.get_all("Classifier") or ())
    assert {f"Programming Language :: Python :: {version}" for version in PYTHONS} <= classifiers
    assert {"Typing :: Typed", "Operating System :: POSIX :: Linux", "Environment :: Console"} <= classifiers


def test_the_version_is_said_the_same_everywhere() -> None:
    """pyproject.toml, the package and the changelog's newest entry agree."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f'__version__ = "{version}"' in (ROOT / "remotestatus" / "__init__.py").read_text()
    newest = re.search(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest
    assert newest[1] == version


# -- installed ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Installed:
    """An empty environment with our wheel in it, and a home and a working directory that have nothing to do with it."""

    environment: Path
    home: Path

    def read_only(self, arguments: Sequence[str], timeout: float) -> subprocess.CompletedProcess[str]:
        """Run one of its programs while nothing can be written to the environment, and see that nothing was."""
        command = [str(self.environment / "bin" / arguments[0]), *arguments[1:]]
        before = self._listing()
        done = run_command(
            [*self._mounted_read_only(), *command],
            environment={"PATH": "/usr/bin:/bin", "HOME": str(self.home), "LANG": "C.UTF-8"},
            timeout=timeout,
            folder=self.home,
        )
        assert self._listing() == before
        return done

    def _mounted_read_only(self) -> list[str]:
        """Root may write to what nobody may write to, but not to what is mounted read-only."""
        if subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode != 0:
            return []
        mount = 'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && ! touch "$1/written" 2>&- && shift'
        return ["unshare", "--mount", "sh", "-c", f'{mount} && exec "$@"', "sh", str(self.environment)]

    def _listing(self) -> dict[Path, int]:
        return {path: path.lstat().st_mtime_ns for path in self.environment.rglob("*")}


@pytest.fixture(scope="module")
def installed(built: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The wheel with its demo extra in an empty environment of this Python, through pip as anybody would."""
    folder = tmp_path_factory.mktemp("installed")
    environment, home = folder / "environment", folder / "home"
    home.mkdir()
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    for command in (
        [sys.executable, "-m", "venv", str(environment)],
        [str(environment / "bin" / "pip"), "install", "--quiet", f"{built['wheel']}[demo]"],
        [str(environment / "bin" / "pip"), "check"],
    ):
        done = run_command(command, environment=variables, timeout=600)
        assert done.returncode == 0, done.stdout + done.stderr
    for path in environment.rglob("*"):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode & ~0o222)
    return Installed(environment, home)


def test_the_installed_demo_does_a_whole_round(installed: Installed, tmp_path: Path) -> None:
    """From a read-only installation and a foreign working directory: inventory, proxy, probe, page and one message."""
    fleet = tmp_path / "fleet"

    done = installed.read_only(["remotestatus", "demo", str(fleet)], timeout=180)

    assert done.returncode == 0, done.stdout + done.stderr
    status = json.loads((fleet / "site" / "status.json").read_text())
    assert {remote["name"]: remote["status"] for remote in status["remotes"]} == {
        "capture-1": "up",
        "upload-1": "up",
        "shop-1": "up",
        "kiosk-1": "degraded",
        "sensors-1": "down",
    }
    assert "Entrance Kiosk" in (fleet / "site" / "index.html").read_text()
    assert len((fleet / "messages.jsonl").read_text().splitlines()) == 1
    assert "Traceback" not in done.stdout + done.stderr


def test_the_installed_command_teaches(installed: Installed) -> None:
    """`remotestatus --help`, `--version` and `python -m remotestatus` work in the environment as it is."""
    listed = installed.read_only(["remotestatus", "--help"], timeout=60)
    assert listed.returncode == 0, listed.stderr
    assert {"run", "status", "demo", "init"} <= set(re.findall(r"^  ([a-z-]+)  ", listed.stdout, re.MULTILINE))
    assert installed.read_only(["python", "-m", "remotestatus", "--help"], timeout=60).stdout == listed.stdout
    assert installed.read_only(["remotestatus", "--version"], timeout=60).stdout == "remotestatus, version 0.1.0\n"
