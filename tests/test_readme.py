"""
Does what the README and the guide say: runs their marked blocks, word for word, against the demo fleet or in an empty
folder, and tries their authorized_keys lines, their tunnel and their sshd_config on real SSH servers.

A block is marked by a comment: `<!-- runs: demo -->` in the folder of a running demo fleet, `<!-- runs: anew -->` in an
empty folder.
"""

import json
import re
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from remotestatus.demo.demo_fleet import DemoFleet
from remotestatus.model.causes import Cause
from tests.documents import BLOCKS, README, ROOT, Block, fenced, marked
from tests.lab import Command, Lab, run_command
from tests.lab.host import CHECKER, TUNNELS
from tests.lab.requirements import program
from tests.rounds import await_that, run_round

pytestmark = pytest.mark.xdist_group("demo")
"""One demo fleet at a time: its programs are this machine's, and another fleet's would be counted too."""


def run_script(text: str, folder: Path, home: Path, timeout: float = 240) -> subprocess.CompletedProcess[str]:
    """Run a block as a careful shell would: it ends at the first line that fails."""
    (home / ".ssh").mkdir(parents=True, exist_ok=True)
    for key in ("proxy", "remotes"):
        (home / ".ssh" / key).touch()
    programs = home / "bin"
    programs.mkdir(exist_ok=True)
    for name in ("remotestatus", "ansible-playbook", "ansible-runner"):
        if not (programs / name).exists():
            (programs / name).symlink_to(Path(sys.executable).with_name(name))
    return run_command(
        ["sh", "-eu", "-c", text],
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
    """The folder of a running demo fleet after its first round, with what the guide takes for granted in it."""
    folder = tmp_path_factory.mktemp("readme") / "fleet"
    with DemoFleet.start(folder) as running:
        (folder / "playbooks").symlink_to(ROOT / "playbooks")
        _clone_of_pages(folder)
        first = run_script("remotestatus run --quiet", folder, folder.parent / "home")
        assert first.returncode == 0, first.stderr
        assert running.directory == folder
        yield folder


def _clone_of_pages(folder: Path) -> None:
    """An own Git server's repository, and a clone of it with one commit, as a reader has it by then."""
    home = folder.parent / "home"
    home.mkdir(exist_ok=True)
    (home / "gitconfig").write_text("[user]\nname = Sam\nemail = sam@example.com\n[init]\ndefaultBranch = main\n")
    served, clone = folder.parent / "served.git", folder / "pages"
    script = (
        f"git init -q --bare {served} && git clone -q {served} {clone} 2>&1 && cd {clone} && "
        "git commit -q --allow-empty -m first && git push -q origin HEAD"
    )
    done = run_script(script, folder, home)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("block", marked("runs: demo"), ids=str)
def test_what_the_guide_does_with_a_fleet_works(block: Block, fleet: Path) -> None:
    """Each block that is marked so runs to its end beside a fleet as it stands there, and no traceback is seen."""
    done = run_script(block.text, fleet, fleet.parent / "home")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize("block", marked("runs: anew"), ids=str)
def test_what_the_guide_begins_with_works(block: Block, tmp_path: Path) -> None:
    """Each block that is marked so runs to its end in an empty folder."""
    done = run_script(block.text, tmp_path, tmp_path / "home")
    assert done.returncode == 0, done.stdout + done.stderr


def test_init_writes_what_the_readme_draws(tmp_path: Path) -> None:
    """The files of the drawing that are there from the start are those that `init` writes, and no others."""
    (init,) = (block for block in marked("runs: anew") if "remotestatus init" in block.text)
    assert run_script(init.text, tmp_path, tmp_path / "home").returncode == 0
    written = {str(path.relative_to(tmp_path)) for path in (tmp_path / "fleet").rglob("*") if path.is_file()}
    drawn = set(re.findall(r"^ +(inventory/\S+)  ", README, re.MULTILINE))
    assert written == {f"fleet/{path}" for path in drawn}


def test_the_published_repository_holds_one_commit_with_the_page(fleet: Path) -> None:
    """After two publications as the guide writes them, the served repository has the page, in one commit."""
    (publication,) = (block for block in marked("runs: demo") if "git -C pages" in block.text)
    for _ in range(2):
        assert run_script(publication.text, fleet, fleet.parent / "home").returncode == 0
    served = fleet.parent / "served.git"
    git = ["git", "-C", str(served)]
    count = subprocess.run([*git, "rev-list", "--count", "HEAD"], capture_output=True, text=True, check=True)
    files = subprocess.run([*git, "ls-tree", "-r", "--name-only", "HEAD"], capture_output=True, text=True, check=True)
    assert count.stdout.strip() == "1"
    assert {"index.html", "status.json", ".nojekyll", "remotes/kiosk-1.html"} <= set(files.stdout.splitlines())


def test_the_guide_shows_what_jq_says(fleet: Path) -> None:
    """The output that stands under the jq example is what status.json of the demo fleet gives."""
    (example,) = (block for block in BLOCKS if block.text.startswith("$ jq ") and ".cause.code" in block.text)
    document = json.loads((fleet / "site" / "status.json").read_text())
    wrong = {f"{r['name']} {r['cause']['code']}" for r in document["remotes"] if r["status"] != "up"}
    assert set(example.text.splitlines()[1:]) == wrong


# -- the tunnel and its accounts ---------------------------------------------------------------------------------------


def test_the_restricted_keys_of_the_guide_are_enough(lab: Lab, remotestatus: Command) -> None:
    """
    With `restrict` on the remote, and only its port and one direction allowed on the proxy, it is up; another port is
    forbidden.
    """
    proxy = lab.proxy()
    remote = lab.remote("north-camera", processes=["python manage.py restricted.py"])
    lab.remote("south-camera")
    (of_remote,), (of_proxy,) = marked("authorized: remote"), marked("authorized: proxy")
    (on_remote,) = of_remote.text.splitlines()
    on_proxy = [line for line in of_proxy.text.splitlines() if "8001" in line]
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


def test_the_tunnel_of_the_guide_leads_to_the_box(lab: Lab, remotestatus: Command, tmp_path: Path) -> None:
    """The command of the systemd unit binds the remote port, and the box is up through it."""
    proxy, remote = lab.proxy(), lab.remote("north-camera")
    remote.cut_tunnel()
    key = lab.keys[TUNNELS].path
    options = f"-F none -i {key} -p {proxy.sshd.port} -l {proxy.login.user} -o StrictHostKeyChecking=no"
    unit = marked("unit: ssh")[0].text.replace("\\\n", " ")
    line = re.search(r"^ExecStart=/usr/bin/ssh (.+)$", unit, re.MULTILINE)
    assert line
    words = line[1].replace("127.0.0.1:8001:127.0.0.1:22", f"127.0.0.1:{remote.port}:127.0.0.1:{remote.sshd.port}")
    words = words.replace("tunnels@proxy.example.com", "127.0.0.1")
    with subprocess.Popen(
        [program("ssh"), *shlex.split(options), "-o", f"UserKnownHostsFile={tmp_path / 'known'}", *shlex.split(words)],
        stdin=subprocess.DEVNULL,
    ) as tunnel:
        try:
            await_that(lambda: _answers(remote.port))
            assert run_round(lab, remotestatus, lab.write_inventory()).causes == {"north-camera": None}
        finally:
            tunnel.terminate()


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_systemd_takes_the_tunnels_unit(tmp_path: Path) -> None:
    """`systemd-analyze verify` has nothing to say about it; the unit for autossh differs only in the program."""
    (unit,), (other,) = marked("unit: ssh"), marked("unit: autossh")
    path = tmp_path / "tunnel.service"
    path.write_text(unit.text)
    done = subprocess.run(["systemd-analyze", "verify", str(path)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    same = other.text.replace("Environment=AUTOSSH_GATETIME=0\n", "").replace("autossh -M 0", "ssh")
    assert same == unit.text.replace("# Never give up.\n", "")


def test_sshd_takes_the_guides_lines(tmp_path: Path) -> None:
    """Each block for sshd_config is accepted by the installed server."""
    key = tmp_path / "key"
    subprocess.run([program("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    blocks = fenced("sshd-config")
    assert len(blocks) == 2
    for block in blocks:
        (tmp_path / "sshd_config").write_text(f"HostKey {key}\n{block.text}")
        command = [program("sshd"), "-t", "-f", str(tmp_path / "sshd_config")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
