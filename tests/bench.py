"""
Compares one round with the peers: pdsh, clush and stock Ansible, each with ProxyJump, over the same real SSH remotes.

Run by `make bench`. Every contender runs the same command, our probe, at the same parallelism. Builds N remotes behind
one proxy on loopback, runs every contender in turn several times (so that a machine that drifts drifts for all), and
prints medians and ratios. Asserts nothing about time.
"""

import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import click
import psutil
from remotestatus_playbook.probe_script import Questions, compose

from tests.lab import Lab, Proxy

SCRIPTS = Path(sys.executable).parent
PARALLEL = 50
_SCRIPT = b64encode(compose("0123456789abcdef", Questions())).decode()
COMMAND = f"echo {_SCRIPT} | base64 -d | /bin/sh"
"""Our probe as a command line, for those who cannot send a script on standard input."""


@dataclass
class Figures:
    """What one contender took, run by run: seconds, failed remotes, connections at the proxy, and peak memory."""

    seconds: list[float] = field(default_factory=list)
    failed: list[int] = field(default_factory=list)
    connections: list[int] = field(default_factory=list)
    megabytes: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """The median of its seconds."""
        return statistics.median(self.seconds)


@click.command()
@click.option("-n", "--remotes", default=200, show_default=True, help="How many remotes.")
@click.option("-r", "--runs", default=3, show_default=True, help="Counted runs of each contender.")
def main(remotes: int, runs: int) -> None:
    """Measure, and print a table."""
    for program in ("pdsh", "clush"):
        if shutil.which(program) is None:
            raise click.ClickException(f"{program} is missing: apt-get install pdsh clustershell")
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, Lab(Path(folder) / "lab", lifetime=3000) as lab:
        proxy = lab.proxy("tunnel-proxy", sshd_config={"MaxStartups": "1000"})
        bulk = lab.bulk(remotes, proxy=proxy)
        if os.geteuid() == 0:
            # A process table of its own for each remote, as a real one has: this machine's holds the processes of all
            # contenders and of every connection.
            bulk[0].run_instead('exec unshare --pid --fork --mount-proc /bin/sh -c "$SSH_ORIGINAL_COMMAND"')
        inventory = lab.write_inventory(remotestatus_forks=PARALLEL)
        contenders = _contenders(lab, inventory)
        figures = {name: Figures() for name in contenders}
        warm = contenders["remotestatus, warm"]
        # What is kept would slow the others down: every probe lists the processes of this one machine.
        for _number in range(runs):
            for name, contender in contenders.items():
                if contender is not warm:
                    _measure(figures[name], contender, proxy)
        warm()
        for _number in range(runs):
            _measure(figures["remotestatus, warm"], warm, proxy)
        _print(figures, remotes)
        _print_costs(lab, inventory)


def _contenders(lab: Lab, inventory: Path) -> dict[str, Callable[[], int]]:
    """Each contender does one sweep over all remotes and returns how many failed."""
    names = list(lab.remotes)
    config = _stock_config(lab)
    warm = inventory.parent / "warm"
    shutil.copytree(inventory, warm / "inventory")
    variables = next((warm / "inventory" / "group_vars").iterdir())
    text = variables.read_text() + "remotestatus_keep_connections: true\n"
    variables.write_text(
        re.sub(r"^remotestatus_(known_hosts): (.*)$", rf"remotestatus_\1: {lab.known_hosts}", text, flags=re.MULTILINE)
    )
    environment = {**os.environ, "PATH": f"{SCRIPTS}:{os.environ['PATH']}", "ANSIBLE_HOST_KEY_CHECKING": "True"}

    def remotestatus(where: Path) -> Callable[[], int]:
        def sweep() -> int:
            done = _run([sys.executable, "-m", "remotestatus", "run", "-i", str(where)], environment)
            return done.stdout.count("✖ down")

        return sweep

    def pdsh() -> int:
        own = {**environment, "PDSH_SSH_ARGS_APPEND": f"-F {config}"}
        done = _run(["pdsh", "-R", "ssh", "-f", str(PARALLEL), "-w", ",".join(names), COMMAND], own)
        return done.stderr.count("exited with exit code")

    def clush() -> int:
        done = _run(["clush", "-f", str(PARALLEL), "-o", f"-F {config}", "-w", ",".join(names), COMMAND], environment)
        return done.stderr.count("exited with exit code")

    def stock_ansible() -> int:
        arguments = ["-f", str(PARALLEL), "-i", str(inventory), "all:!proxies", "-m", "raw", "-a", COMMAND]
        keyed = ["-e", "ansible_ssh_extra_args='-o HostKeyAlias={{ inventory_hostname }}'"]
        own = {**environment, "ANSIBLE_SSH_ARGS": f"-F {config}"}
        done = _run(["ansible", *arguments, *keyed], own)
        return done.stdout.count("UNREACHABLE")

    return {
        "remotestatus, cold": remotestatus(inventory),
        "remotestatus, warm": remotestatus(warm / "inventory"),
        "pdsh, ssh -J": pdsh,
        "clush, ssh -J": clush,
        "ansible -m raw, ssh -J": stock_ansible,
    }


def _stock_config(lab: Lab) -> Path:
    """The laboratory's SSH configuration with OpenSSH's own choice of key exchange, as a user would have it."""
    text = lab.ssh_config().read_text()
    path = lab.directory / "stock_ssh_config"
    path.write_text("\n".join(line for line in text.splitlines() if "KexAlgorithms" not in line) + "\n")
    return path


def _run(command: list[str], environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)


def _measure(figures: Figures, contender: Callable[[], int], proxy: Proxy) -> None:
    before = proxy.logins()
    started = time.monotonic()
    failed = contender()
    seconds = time.monotonic() - started
    figures.seconds.append(seconds)
    figures.failed.append(failed)
    figures.connections.append(proxy.logins() - before)


def _print(figures: Mapping[str, Figures], remotes: int) -> None:
    peers = {name: one for name, one in figures.items() if not name.startswith("remotestatus")}
    fastest = min(peers, key=lambda name: peers[name].median)
    click.echo(
        f"{remotes} remotes behind one proxy, {PARALLEL} at a time, {psutil.cpu_count()} processors, all on one machine"
    )
    click.echo(f"{'':26}{'median s':>10}{'min':>8}{'max':>8}{'ratio':>8}{'failed':>8}{'connections at the proxy':>26}")
    for name, one in figures.items():
        click.echo(
            f"{name:26}{one.median:10.1f}{min(one.seconds):8.1f}{max(one.seconds):8.1f}"
            f"{one.median / peers[fastest].median:8.2f}{max(one.failed):8}{max(one.connections):26}"
        )
    click.echo(f"ratio: to the fastest peer, {fastest}")


def _print_costs(lab: Lab, inventory: Path) -> None:
    """What a round costs besides time: execs at the remotes, memory, and the share outside the playbook."""
    execs = sum(remote.logins() for remote in list(lab.remotes.values())[:1])
    with subprocess.Popen(
        [sys.executable, "-m", "remotestatus", "run", "-i", str(inventory)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        peak, outside = 0, 0.0
        family = psutil.Process(process.pid)
        started = last = time.monotonic()
        while process.poll() is None:
            used, in_playbook = 0, False
            for member in (family, *family.children(recursive=True)):
                try:
                    in_playbook |= any(word.endswith("/ansible-playbook") for word in member.cmdline()[:2])
                    used += member.memory_full_info().uss
                except psutil.Error:
                    continue
            peak = max(peak, used)
            time.sleep(0.1)
            # Asking so many processes takes its time too.
            before, last = last, time.monotonic()
            outside += 0 if in_playbook else last - before
    click.echo(f"share of a cold round outside its playbook: {100 * outside / (last - started):.0f} %")
    click.echo(f"peak memory of a cold round: {peak / 2**20:.0f} MiB, unshared, of all its processes")
    click.echo(f"log-ins at the remotes' sshd so far: {execs} (one exec each)")


if __name__ == "__main__":
    main()
