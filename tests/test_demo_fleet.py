"""
The demo fleet as its users meet it: through OpenSSH's own client, from outside its process.

Every fleet here is real and lives in a temporary directory; nothing is mocked.
"""

import hashlib
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from remotestatus.demo.demo_fleet import DemoFleet, FleetError
from remotestatus.demo.members import MEMBERS, PROXY, Fault
from remotestatus.demo.message_receiver import ReceivedMessage
from tests.lab import Command

pytestmark = pytest.mark.xdist_group("demo")
"""One demo fleet at a time: its programs are this machine's, and another fleet's would be counted too."""

UP = "shop-1"
BY_PASSWORD = "upload-1"
LOST = "sensors-1"
LACKING = "kiosk-1"


@dataclass(frozen=True)
class Client:
    """OpenSSH's client, set up from the fleet's own inventory and nothing else."""

    fleet: DemoFleet
    config: Path

    def command(self, name: str, command: str) -> list[str]:
        """The argument list that runs `command` on `name`."""
        return ["ssh", "-F", str(self.config), name, command]

    def run(self, name: str, command: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """Runs `command` on `name`, logging in with a password where the inventory has one."""
        return subprocess.run(
            self.command(name, command), input=stdin, capture_output=True, timeout=30, env=self.environment()
        )

    def environment(self) -> dict[str, str]:
        """The environment in which ssh finds the password."""
        return {
            "PATH": os.environ["PATH"],
            "SSH_ASKPASS": str(self.config.with_name("askpass")),
            "SSH_ASKPASS_REQUIRE": "force",
        }


def read_hosts(fleet: DemoFleet) -> dict[str, dict[str, Any]]:
    """The inventory's hosts with the variables of their groups, as far as this inventory uses groups."""
    children = yaml.safe_load((fleet.inventory / "remotes.yml").read_text())["all"]["children"]
    hosts: dict[str, dict[str, Any]] = dict(children["proxies"]["hosts"])
    for group in children["remotes"]["children"].values():
        hosts |= {name: children["remotes"]["vars"] | variables for name, variables in group["hosts"].items()}
    return hosts


def make_client(fleet: DemoFleet, directory: Path) -> Client:
    """Writes an `ssh -F` file from the inventory."""
    lines = []
    hosts = read_hosts(fleet)
    for name, variables in hosts.items():
        lines += [
            f"Host {name}",
            f"  HostName {variables['ansible_host']}",
            f"  Port {variables['ansible_port']}",
            f"  User {variables['ansible_user']}",
            f"  HostKeyAlias {name}",
        ]
        if "ansible_password" in variables:
            lines.append("  PubkeyAuthentication no")
        else:
            lines += [f'  IdentityFile "{variables["ansible_ssh_private_key_file"]}"', "  BatchMode yes"]
        if "ansible_ssh_common_args" in variables:
            lines.append("  " + variables["ansible_ssh_common_args"].removeprefix("-o ").replace("=", " "))
    lines += [
        "Host *",
        f'  UserKnownHostsFile "{fleet.directory / "known_hosts"}"',
        "  GlobalKnownHostsFile /dev/null",
        "  StrictHostKeyChecking yes",
        "  IdentitiesOnly yes",
        "  NumberOfPasswordPrompts 1",
        "  ConnectTimeout 3",
        "  KexAlgorithms curve25519-sha256",
    ]
    config = directory / "ssh_config"
    config.write_text("\n".join(lines) + "\n")
    askpass = directory / "askpass"
    askpass.write_text(f"#!/bin/sh\necho '{hosts[BY_PASSWORD]['ansible_password']}'\n")
    askpass.chmod(0o700)
    return Client(fleet, config)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client of one fleet that all tests share; a test that breaks something mends it."""
    with DemoFleet.start(tmp_path_factory.mktemp("fleet")) as fleet:
        yield make_client(fleet, tmp_path_factory.mktemp("client"))


def running_programs(fleet: DemoFleet, name: str) -> list[str]:
    """Command lines of the processes that run in a remote's own directory."""
    home = str(fleet.directory / "homes" / name)
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE and process.cwd() == home:
                found.append(" ".join(process.cmdline()))
        except psutil.Error:
            continue
    return sorted(found)


def eventually(fact: Callable[[], bool], seconds: float = 5.0) -> bool:
    """Whether `fact` comes true in time."""
    end = time.monotonic() + seconds
    while not fact():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def family(pid: int) -> list[psutil.Process]:
    """A process and everything that it started."""
    leader = psutil.Process(pid)
    return [leader, *leader.children(recursive=True)]


def is_gone(process: psutil.Process) -> bool:
    """Whether it runs no more; one that waits to be reaped counts as gone."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.mark.parametrize("name", [member.name for member in MEMBERS if Fault.TUNNEL not in member.faults])
def test_every_remote_with_a_tunnel_is_reached(client: Client, name: str) -> None:
    """Through the proxy, with host keys checked under inventory names, by key or by password."""
    result = client.run(name, "exec /bin/sh -s", b"pwd; echo wrong >&2; exit 7\n")
    assert result.stdout.decode() == f"{client.fleet.directory / 'homes' / name}\n"
    assert result.stderr == b"wrong\n"
    assert result.returncode == 7


def test_the_proxy_runs_commands(client: Client) -> None:
    """The checker's account can be probed at the proxy itself."""
    assert client.run(PROXY, "echo here").stdout == b"here\n"


def test_a_long_script_and_a_long_output_arrive_whole(client: Client) -> None:
    """More than a window of input and of output pass unchanged."""
    script = b": " + b"x" * 200_000 + b"\nhead -c 1000000 /dev/zero | tr '\\0' y; echo end >&2\n"
    result = client.run(UP, "exec /bin/sh -s", script)
    assert (len(result.stdout), set(result.stdout), result.stderr) == (1_000_000, {ord("y")}, b"end\n")


def test_input_and_output_flow_at_the_same_time(client: Client) -> None:
    """A command that answers while it is still being asked does not stall."""
    sent = os.urandom(3_000_000)
    assert hashlib.sha256(client.run(UP, "cat", sent).stdout).digest() == hashlib.sha256(sent).digest()


def test_a_command_that_ignores_its_input_ends(client: Client) -> None:
    """Unread input keeps no session open."""
    assert client.run(UP, "exit 3", b"x" * 1_000_000).returncode == 3


def test_a_slow_reader_holds_the_command_back(client: Client) -> None:
    """Output that nobody reads stays in the command, not in the fleet's memory."""
    before = psutil.Process(client.fleet.pid).memory_info().rss
    with subprocess.Popen(
        client.command(UP, "exec cat /dev/zero"), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    ) as ssh:
        time.sleep(1.0)
        grown = psutil.Process(client.fleet.pid).memory_info().rss - before
        ssh.kill()
    assert grown < 50_000_000
    assert eventually(lambda: "cat /dev/zero" not in running_programs(client.fleet, UP))


def test_a_lost_client_takes_the_whole_command_along(client: Client) -> None:
    """When the channel closes, the command's whole process group is killed."""
    with subprocess.Popen(
        client.command(UP, "sleep 4321 & sleep 4321; true"), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    ) as ssh:
        assert eventually(lambda: running_programs(client.fleet, UP).count("sleep 4321") == 2)
        ssh.kill()
    assert eventually(lambda: "sleep 4321" not in running_programs(client.fleet, UP))


def test_a_command_that_left_something_behind_leaves_nothing(client: Client) -> None:
    """What a command put in the background ends with its session."""
    client.run(UP, "sleep 4322 >/dev/null 2>&1 </dev/null & true")
    assert eventually(lambda: "sleep 4322" not in running_programs(client.fleet, UP))


def test_the_lost_tunnel_reads_as_with_a_real_sshd(client: Client) -> None:
    """The client says what OpenSSH's own sshd would make it say."""
    result = client.run(LOST, "true")
    assert result.returncode == 255
    assert b"open failed: connect failed: Connection refused\r\nstdio forwarding failed\r\n" in result.stderr


def test_a_wrong_login_is_refused(client: Client) -> None:
    """Neither another user's name nor another host's key nor a wrong password opens a remote."""
    other_key = client.config.with_name("other_key")
    other_key.write_text(client.config.read_text().replace("/keys/remotes", "/keys/proxy"))
    for config, name, user in (
        (client.config, UP, "nobody"),
        (client.config, PROXY, "tunnel"),
        (other_key, UP, "shop"),
    ):
        refused = subprocess.run(["ssh", "-F", str(config), "-l", user, name, "true"], capture_output=True, timeout=30)
        assert (refused.returncode, b"Permission denied" in refused.stderr) == (255, True), (name, user)
    wrong = {**client.environment(), "SSH_ASKPASS": "/bin/echo"}
    refused = subprocess.run(client.command(BY_PASSWORD, "true"), capture_output=True, timeout=30, env=wrong)
    assert (refused.returncode, b"Permission denied" in refused.stderr) == (255, True)


def test_the_proxy_leads_nowhere_else(client: Client) -> None:
    """The checker's account can jump to loopback only, and cannot listen."""
    beyond = subprocess.run(
        ["ssh", "-F", str(client.config), "-W", "192.0.2.1:22", PROXY], capture_output=True, timeout=30
    )
    assert b"administratively prohibited" in beyond.stderr
    listening = subprocess.run(
        [
            *("ssh", "-F", str(client.config), "-o", "ExitOnForwardFailure=yes"),
            *("-N", "-R", "127.0.0.1:0:127.0.0.1:9", PROXY),
        ],
        capture_output=True,
        timeout=30,
    )
    assert b"remote port forwarding failed" in listening.stderr


@pytest.mark.parametrize("member", MEMBERS, ids=lambda member: member.name)
def test_the_programs_really_run(client: Client, member: Any) -> None:
    """Each configured program is a process with just these arguments, but for the one that is missing."""
    missing = member.programs[-1:] if Fault.PROCESS in member.faults else ()
    expected = [program.words for program in member.programs for _ in range(program.count) if program not in missing]
    assert running_programs(client.fleet, member.name) == sorted(expected)
    assert bool(missing) == (member.name == LACKING)


def test_ps_on_a_remote_shows_its_programs(client: Client) -> None:
    """A probe sees the arguments as the inventory names them."""
    shown = client.run("capture-1", "ps -ww -e -o args").stdout.decode().splitlines()
    assert "python manage.py capture_videos.py" in shown


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        (Fault.TUNNEL, b"connect failed: Connection refused"),
        (Fault.SSHD, b"kex_exchange_identification: Connection closed by remote host"),
        (Fault.STALE, b"Connection timed out during banner exchange"),
    ],
)
def test_what_is_broken_reads_so_and_can_be_mended(client: Client, fault: Fault, text: bytes) -> None:
    """Each fault has the text that OpenSSH gives to the real one, and mending brings the remote back."""
    for _ in range(2):
        client.fleet.break_down(UP, fault)
    result = client.run(UP, "true")
    assert result.returncode == 255
    assert text in result.stderr
    for _ in range(2):
        client.fleet.mend(UP)
    assert client.run(UP, "echo back").stdout == b"back\n"


def test_a_program_can_be_stopped_and_started(client: Client) -> None:
    """Breaking `process` ends the last program's processes, all of them; mending starts as many."""
    before = running_programs(client.fleet, BY_PASSWORD)
    client.fleet.break_down(BY_PASSWORD, Fault.PROCESS)
    assert running_programs(client.fleet, BY_PASSWORD) == []
    client.fleet.mend(BY_PASSWORD, Fault.PROCESS)
    assert running_programs(client.fleet, BY_PASSWORD) == before


def test_the_proxy_can_be_stopped_and_started(client: Client) -> None:
    """Without the proxy nothing is reached; with it every tunnel comes back, but for the lost one."""
    client.fleet.break_down(PROXY, Fault.PROXY)
    assert b"Connection refused" in client.run(PROXY, "true").stderr
    assert client.run(UP, "true").returncode == 255
    client.fleet.mend(PROXY)
    for name in (UP, LACKING, BY_PASSWORD):
        assert client.run(name, "true").returncode == 0
    assert b"connect failed: Connection refused" in client.run(LOST, "true").stderr


def test_orders_that_make_no_sense_are_refused(client: Client) -> None:
    """An unknown name, a fault of another kind and a wrong token each give a sentence."""
    with pytest.raises(FleetError, match=r"the fleet has no shop-9; it has tunnel-proxy, capture-1"):
        client.fleet.mend("shop-9")
    with pytest.raises(FleetError, match="nothing of that kind"):
        client.fleet.break_down(UP, Fault.PROXY)
    stranger = DemoFleet(client.fleet.directory, client.fleet.pid, client.fleet._control, "guess")
    with pytest.raises(FleetError, match="not the token"):
        stranger.mend(UP)


def test_the_files_are_as_ssh_and_ansible_want_them(client: Client) -> None:
    """Secrets are for their owner only, known_hosts has a line per host, and `inventory/` holds nothing else."""
    directory = client.fleet.directory
    files = {path.relative_to(directory).as_posix() for path in client.fleet.inventory.rglob("*") if path.is_file()}
    assert files == {"inventory/remotes.yml", "inventory/group_vars/all.yml"}
    for secret in ("keys/proxy", "keys/remotes", "inventory/remotes.yml", "inventory/group_vars/all.yml", "fleet.json"):
        assert stat.S_IMODE((directory / secret).stat().st_mode) == 0o600, secret
    named = [line.split()[0] for line in (directory / "known_hosts").read_text().splitlines()]
    assert named == [PROXY, *(member.name for member in MEMBERS)]


@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")  # Apprise's own import
def test_messages_are_kept_as_they_were_sent(client: Client) -> None:
    """What Apprise posts is found again, title, body and type; anything else is refused."""
    import apprise

    settings = yaml.safe_load((client.fleet.inventory / "group_vars" / "all.yml").read_text())
    url = settings["remotestatus_apprise"][0]["url"]
    sender = apprise.Apprise()
    assert sender.add(url)
    sender.notify(title="Ünreachable", body="one\ntwo", notify_type=apprise.NotifyType.WARNING)
    assert client.fleet.messages[-1] == ReceivedMessage("Ünreachable", "one\ntwo", "warning")
    count = len(client.fleet.messages)
    with pytest.raises(urllib.error.HTTPError, match="400") as refused:
        urllib.request.urlopen(url.replace("json://", "http://"), data=b"[1]", timeout=5)
    refused.value.close()
    assert len(client.fleet.messages) == count


def test_two_fleets_share_no_port(client: Client, tmp_path: Path) -> None:
    """A second fleet on the same machine moves aside, even from the port of a lost tunnel."""
    with DemoFleet.start(tmp_path) as second:
        ports = [{host["ansible_port"] for host in read_hosts(fleet).values()} for fleet in (client.fleet, second)]
        assert not ports[0] & ports[1]


def test_stopping_leaves_nothing_running(tmp_path: Path) -> None:
    """After stop() every process of the fleet is gone, with sessions under way, and a new fleet can start there."""
    with DemoFleet.start(tmp_path / "a fleet") as fleet:
        client = make_client(fleet, tmp_path)
        ssh = subprocess.Popen(client.command(UP, "sleep 4323"), stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        assert eventually(lambda: "sleep 4323" in running_programs(fleet, UP))
        everything = family(fleet.pid)
    assert ssh.wait(timeout=10) == 255
    assert len(everything) > 8
    assert all(map(is_gone, everything))
    assert not (fleet.directory / "fleet.json").exists()
    assert (fleet.directory / "fleet.log").read_text() == ""
    fleet.stop()
    with DemoFleet.start(tmp_path / "a fleet") as again:
        assert make_client(again, tmp_path).run(UP, "true").returncode == 0


def test_a_killed_fleet_leaves_nothing_running(tmp_path: Path) -> None:
    """Even SIGKILL leaves no program behind, and no file that keeps the next fleet from starting."""
    fleet = DemoFleet.start(tmp_path)
    everything = family(fleet.pid)
    os.kill(fleet.pid, signal.SIGKILL)
    assert eventually(lambda: all(map(is_gone, everything)))
    assert not fleet.answers()
    with pytest.raises(FleetError, match="does not answer"):
        fleet.mend(UP)
    fleet._process.communicate()  # type: ignore[union-attr]  # reaped here, and not by stop(), which would tidy up
    DemoFleet.start(tmp_path).stop()


def test_a_fleet_ends_with_its_caller(tmp_path: Path) -> None:
    """A caller that is killed takes its fleet along."""
    code = (
        "import sys, time, pathlib; from remotestatus.demo.demo_fleet import DemoFleet;"
        "print(DemoFleet.start(pathlib.Path(sys.argv[1])).pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True) as caller:
        assert caller.stdout is not None
        everything = family(int(caller.stdout.readline()))
        caller.kill()
    assert eventually(lambda: all(map(is_gone, everything)))


def test_a_kept_fleet_is_found_broken_and_mended_from_elsewhere(tmp_path: Path) -> None:
    """A kept fleet outlives its caller; other processes give it orders, and stop it."""

    def order(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "remotestatus", "demo", words[0], str(tmp_path), *words[1:]]
        return subprocess.run(command, capture_output=True, text=True, timeout=30, cwd="/")

    code = (
        "import sys, pathlib; from remotestatus.demo.demo_fleet import DemoFleet;"
        "DemoFleet.start(pathlib.Path(sys.argv[1]), keep=True)"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code, str(tmp_path)], check=True, timeout=30)
    fleet = DemoFleet.find(tmp_path)
    try:
        everything = family(fleet.pid)
        with pytest.raises(FleetError, match="already"):
            DemoFleet.start(tmp_path)
        assert order("break", UP, "process").returncode == 0
        assert running_programs(fleet, UP) == ["python manage.py take_orders.py"]
        assert order("mend", UP).returncode == 0
        assert len(running_programs(fleet, UP)) == 2
        refused = order("break", "shop-9", "tunnel")
        assert (refused.returncode, refused.stderr.splitlines()[0][:36]) == (3, "remotestatus: the fleet has no shop-")
        assert order("stop").returncode == 0
    finally:
        fleet.stop()
    assert eventually(lambda: all(map(is_gone, everything)))
    with pytest.raises(FleetError, match="no demo fleet runs"):
        DemoFleet.find(tmp_path)


def test_a_kept_demo_prints_commands_that_work_from_anywhere(remotestatus: Command, tmp_path: Path) -> None:
    """
    Each line that `demo --keep` shows, run by a shell in another folder, does what it says; the last one ends it.

    An encoding that lacks our signs is no error.
    """
    place = tmp_path / "my fleet"
    done = remotestatus("demo", place.name, "--keep", folder=tmp_path, environment={"PYTHONIOENCODING": "ascii"})
    try:
        assert done.returncode == 0, done.stdout + done.stderr
        assert "Demo fleet - checked" in done.stdout
        shown = done.stdout.partition("Now try:")[2].splitlines()
        lines = [line.strip() for line in shown if line.strip() and not line.strip().startswith("#")]
        assert [line.split("demo ")[-1].split()[0] for line in lines if " demo " in line] == [
            "break",
            "break",
            "mend",
            "stop",
        ]
        for line in lines:
            ran = subprocess.run(
                ["/bin/sh", "-c", line],
                cwd="/",
                env=remotestatus.environment,
                capture_output=True,
                text=True,
                timeout=60,
            )
            # `status` speaks the codes of Nagios plugins: there is something to say.
            assert ran.returncode == (2 if " status " in line else 0), (line, ran.stdout, ran.stderr)
        with pytest.raises(FleetError, match="no demo fleet runs"):
            DemoFleet.find(place)
    finally:
        if (place / "fleet.json").exists():
            DemoFleet.find(place).stop()


def test_a_directory_with_other_files_is_left_alone(tmp_path: Path) -> None:
    """A demo never writes over somebody's inventory."""
    (tmp_path / "inventory").mkdir()
    with pytest.raises(FleetError, match="not a demo's"):
        DemoFleet.start(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["inventory"]


def test_without_asyncssh_the_cure_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error is one sentence with the command that helps."""
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.delitem(sys.modules, "asyncssh", raising=False)
    with pytest.raises(FleetError, match="install the extra `demo`"):
        DemoFleet.start(tmp_path)


def test_a_fleet_that_cannot_start_says_why(tmp_path: Path) -> None:
    """The last line of the fleet's own log is in the error."""
    with DemoFleet.start(tmp_path) as fleet:
        pass
    shutil.rmtree(fleet.inventory)
    fleet.inventory.write_text("in the way")
    with pytest.raises(FleetError, match=r"did not start: .*inventory"):
        DemoFleet.start(tmp_path)
    assert json.dumps(fleet.messages) == "[]"


def test_orders_with_rubbish_do_not_hurt(client: Client) -> None:
    """Whatever is sent to the control port, the fleet goes on."""
    for rubbish in (b"", b"\n", b"[]\n", b"{}\n", b"\xff\n", b"x" * 100_000 + b"\n"):
        with socket.create_connection(("127.0.0.1", client.fleet._control), timeout=5) as control:
            control.sendall(rubbish)
            control.shutdown(socket.SHUT_WR)
            assert b"not an order" in control.recv(1000) or len(rubbish) > 65_536
    assert client.fleet.answers()
