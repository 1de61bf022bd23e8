"""
Measures rounds with workers: how long they take, and how much of the processor's time they take off the checker.

Run by `make bench-workers`. Builds N remotes behind eight proxies on loopback, and runs rounds with no worker and with
more and more of them. All of them share the processors of one machine, so the wall time says little once these are
used up; the checker's own processor time does. Asserts nothing about time.
"""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click

from tests.lab import Lab

SCRIPTS = Path(sys.executable).parent
PROXIES = 8


@click.command()
@click.option("-n", "--remotes", default=400, show_default=True, help="How many remotes.")
@click.option("-w", "--workers", default=4, show_default=True, help="How many workers at most.")
def main(remotes: int, workers: int) -> None:
    """Measure, and print a table."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, Lab(Path(folder) / "lab", lifetime=3000) as lab:
        for number in range(PROXIES):
            proxy = lab.proxy(f"proxy-{number}", sshd_config={"MaxStartups": "1000"})
            lab.bulk(remotes // PROXIES, proxy=proxy, prefix=f"site-{number}-")
        names = [f"worker-{number}" for number in range(1, workers + 1)]
        for name in names:
            lab.direct(name)
        click.echo(
            "| workers | seconds | the checker's processor seconds | of these, a remote (ms) | looked at by workers |"
        )
        click.echo("|---|---|---|---|---|")
        for count in range(workers + 1):
            specs = [{"name": name, "program": str(SCRIPTS / "ansible-runner")} for name in names[:count]]
            inventory = lab.write_inventory(remotestatus_workers=specs)
            seconds, processor = _measure(inventory)
            status = (lab.directory / "site" / "status.json").read_text()
            elsewhere = sum(status.count(f'"worker": "{name}"') for name in names)
            click.echo(
                f"| {count} | {seconds:.1f} | {processor:.1f} | {processor / remotes * 1000:.0f} | {elsewhere} |"
            )


def _measure(inventory: Path) -> tuple[float, float]:
    """The wall time of one round, and the processor time of the checker's own processes; a worker's are sshd's."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    command = [sys.executable, "-m", "remotestatus", "run", "-i", str(inventory)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    if done.returncode != 0:
        raise click.ClickException(done.stdout + done.stderr)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.monotonic() - started, processor


if __name__ == "__main__":
    main()
