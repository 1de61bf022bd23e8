"""
Does what the README says: runs its marked blocks, word for word, against the demo fleet or in an empty folder, and
tries its authorized_keys lines on real SSH servers.

A block is marked by a comment that readers of the page don't see: `<!-- runs: demo -->` in the folder of a running demo
fleet, `<!-- runs: anew -->` in an empty folder.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from remotestatus.demo.demo_fleet import Fleet
from remotestatus.model.statuses import Cause
from tests.lab import Command, Lab, run_command
from tests.lab.host import CHECKER, TUNNELS
from tests.rounds import run_round

pytestmark = pytest.mark.xdist_group("demo")
"""One demo fleet at a time: its programs are this machine's, and another fleet's would be counted too."""

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Block:
    """One marked block: where it runs, under which heading it stands, and its text."""

    place: str
    heading: str
    text: str

    def __str__(self) -> str:
        return f"{self.heading}: {self.text.strip().splitlines()[0][:50]}"


def blocks(place: str) -> list[Block]:
    """All blocks that run in this place, in the README's order."""
    found = []
    for match in re.finditer(r"^( *)<!-- runs: (\w+) -->\n\1```sh\n(.*?)^\1```$", README, re.MULTILINE | re.DOTALL):
        indent, where, text = match.groups()
        heading = re.findall(r"^## (.+)$", README[: match.start()], re.MULTILINE)[-1]
        lines = (line.removeprefix(indent) for line in text.splitlines(keepends=True))
        found.append(Block(where, heading, "".join(lines)))
    return [block for block in found if block.place == place]


def run_block(block: Block, folder: Path, home: Path, timeout: float = 240) -> subprocess.CompletedProcess[str]:
    """Run a block as a careful shell would: it ends at the first line that fails."""
    home.mkdir(exist_ok=True)
    programs = home / "bin"
    programs.mkdir(exist_ok=True)
    for name in ("remotestatus", "ansible-playbook", "ansible-runner"):
        if not (programs / name).exists():
            (programs / name).symlink_to(Path(sys.executable).with_name(name))
    return run_command(
        ["sh", "-eu", "-c", block.text],
        environment={
            "PATH": f"{programs}:/usr/local/bin:/usr/bin:/bin",
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "TZ": "UTC",
            "GIT_CONFIG_GLOBAL": str(home / "gitconfig"),
        },
        timeout=timeout,
        folder=folder,
    )


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a running demo fleet after its first round, with what the README takes for granted in it."""
    folder = tmp_path_factory.mktemp("readme") / "fleet"
    with Fleet.start(folder) as running:
        (folder / "playbooks").symlink_to(ROOT / "playbooks")
        _clone_of_pages(folder)
        first = run_block(Block("demo", "", "remotestatus run --quiet"), folder, folder.parent / "home")
        assert first.returncode == 0, first.stderr
        assert running.directory == folder
        yield folder


def _clone_of_pages(folder: Path) -> None:
    """An own Git server's repository, and a clone of it with one commit, as a reader has it by then."""
    home = folder.parent / "home"
    home.mkdir()
    (home / "gitconfig").write_text("[user]\nname = Sam\nemail = sam@example.com\n[init]\ndefaultBranch = main\n")
    served, clone = folder.parent / "served.git", folder / "pages"
    script = (
        f"git init -q --bare {served} && git clone -q {served} {clone} 2>&1 && cd {clone} && "
        "git commit -q --allow-empty -m first && git push -q origin HEAD"
    )
    done = run_block(Block("demo", "", script), folder, home)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("block", blocks("demo"), ids=str)
def test_what_the_readme_does_with_a_fleet_works(block: Block, fleet: Path) -> None:
    """Each block that is marked so runs to its end beside a fleet as it stands there, and no traceback is seen."""
    done = run_block(block, fleet, fleet.parent / "home")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize("block", blocks("anew"), ids=str)
def test_what_the_readme_begins_with_works(block: Block, tmp_path: Path) -> None:
    """Each block that is marked so runs to its end in an empty folder."""
    done = run_block(block, tmp_path, tmp_path / "home")
    assert done.returncode == 0, done.stdout + done.stderr


def test_init_writes_what_the_readme_draws(tmp_path: Path) -> None:
    """The files of the drawing that are there from the start are those that `init` writes, and no others."""
    (init,) = (block for block in blocks("anew") if "remotestatus init" in block.text)
    assert run_block(init, tmp_path, tmp_path / "home").returncode == 0
    written = {str(path.relative_to(tmp_path)) for path in (tmp_path / "fleet").rglob("*") if path.is_file()}
    drawn = set(re.findall(r"^ +(inventory/\S+)  ", README, re.MULTILINE))
    assert written == {f"fleet/{path}" for path in drawn}


def test_the_published_repository_holds_one_commit_with_the_page(fleet: Path) -> None:
    """After two publications as the README writes them, the served repository has the page, in one commit."""
    (publication,) = (block for block in blocks("demo") if "git -C pages" in block.text)
    for _ in range(2):
        assert run_block(publication, fleet, fleet.parent / "home").returncode == 0
    served = fleet.parent / "served.git"
    git = ["git", "-C", str(served)]
    count = subprocess.run([*git, "rev-list", "--count", "HEAD"], capture_output=True, text=True, check=True)
    files = subprocess.run([*git, "ls-tree", "-r", "--name-only", "HEAD"], capture_output=True, text=True, check=True)
    assert count.stdout.strip() == "1"
    assert {"index.html", "status.json", ".nojekyll", "remotes/kiosk-1.html"} <= set(files.stdout.splitlines())


def test_the_readme_shows_what_jq_says(fleet: Path) -> None:
    """The output that stands under the jq example is what status.json of the demo fleet gives."""
    shown = README.partition("$ jq ")[2].partition("```")[0].splitlines()[1:]
    document = json.loads((fleet / "site" / "status.json").read_text())
    wrong = {f"{r['name']} {r['cause']['code']}" for r in document["remotes"] if r["status"] != "up"}
    assert set(shown) == wrong


# -- security ----------------------------------------------------------------------------------------------------------


def authorized(place: str) -> list[str]:
    """The authorized_keys lines that the README gives for a remote or a proxy."""
    block = README.partition(f"<!-- authorized: {place} -->\n```\n")[2].partition("```")[0]
    return block.splitlines()


def test_the_restricted_keys_of_the_readme_are_enough(lab: Lab, remotestatus: Command) -> None:
    """
    With `restrict` on the remote, and only its port and one direction allowed on the proxy, it is up; another port is
    forbidden.
    """
    proxy = lab.proxy()
    remote = lab.remote("north-camera", processes=["python manage.py restricted.py"])
    lab.remote("south-camera")
    (on_remote,) = authorized("remote")
    on_proxy = [line for line in authorized("proxy") if "8001" in line]
    for host, lines in ((proxy, zip(on_proxy, (CHECKER, TUNNELS), strict=True)), (remote, [(on_remote, CHECKER)])):
        text = "".join(
            line.replace("8001", str(remote.port)).replace("ssh-ed25519 AAAA...", lab.keys[key].public) + "\n"
            for line, key in lines
        )
        if host is remote:
            # Logs the tunnel in anew, under the proxy's new lines, and forgets what was changed on the remote.
            proxy.sshd.change(AllowTcpForwarding="remote")
            remote.cut_tunnel()
            remote.restore()
            proxy.sshd.change(AllowTcpForwarding="local")
        (host.sshd.folder / "authorized_keys").write_text(text)

    recorded = run_round(lab, remotestatus, lab.write_inventory())

    assert recorded.causes == {"north-camera": None, "south-camera": Cause.AUTHENTICATION_FAILED}
    assert "does not allow forwarding to port" in recorded.words("south-camera")
    assert lab.ssh(proxy, "echo a shell").stdout == ""
