"""
Measures rounds with workers: how long they take, and how much of the processor's time they take off the checker.

Run by `make bench-workers`. Builds N remotes behind proxies of 50 on loopback, and runs rounds with no worker and with
more and more of them. All of them share the processors of one machine, so the wall time says little once these are
used up: with `--share 0.15` the checker and each worker get 15 % of one processor, as if each were a slow machine of
its own (needs root). Asserts nothing about time.
"""

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import click

from tests.lab import Lab

SCRIPTS = Path(sys.executable).parent
BEHIND = 50
GROUP, PERIOD = "remotestatus-bench", 100_000


@click.command()
@click.option("-n", "--remotes", default=400, show_default=True, help="How many remotes.")
@click.option("-w", "--workers", default=4, show_default=True, help="How many workers at most.")
@click.option("--share", type=click.FloatRange(0.05, 1), help="The share of a processor that each place gets.")
def main(remotes: int, workers: int, share: float | None) -> None:
    """Measure, and print a table."""
    names = [f"worker-{number}" for number in range(1, workers + 1)]
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        _shares(["checker", *names], share) as groups,
        Lab(Path(folder) / "lab", lifetime=3000) as lab,
    ):
        for number in range(-(-remotes // BEHIND)):
            proxy = lab.proxy(f"proxy-{number}", sshd_config={"MaxStartups": "1000"})
            lab.bulk(min(BEHIND, remotes - number * BEHIND), proxy=proxy, prefix=f"site-{number}-")
        for name in names:
            server = lab.direct(name).sshd
            if name in groups:
                server.join_cgroup(groups[name])
        # The first round makes all pages, which later ones only renew.
        _measure(lab.write_inventory(), None)
        click.echo(
            "| workers | seconds | the checker's processor seconds | of these, a remote (ms) | looked at by workers |"
        )
        click.echo("|---|---|---|---|---|")
        for count in range(workers + 1):
            specs = [{"name": name, "program": str(SCRIPTS / "ansible-runner")} for name in names[:count]]
            seconds, processor = _measure(lab.write_inventory(remotestatus_workers=specs), groups.get("checker"))
            status = (lab.directory / "site" / "status.json").read_text()
            elsewhere = sum(status.count(f'"worker": "{name}"') for name in names)
            click.echo(
                f"| {count} | {seconds:.1f} | {processor:.1f} | {processor / remotes * 1000:.0f} | {elsewhere} |"
            )


@contextmanager
def _shares(names: list[str], share: float | None) -> Iterator[dict[str, Path]]:
    """A control group for each name, with a share of a processor; yields the file that takes a process into it."""
    if share is None:
        yield {}
        return
    root, old = Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/cpu")
    folder = (old if old.is_dir() else root) / GROUP
    folders = [folder, *(folder / name for name in names)]
    for one in folders:
        one.mkdir(exist_ok=True)
        if old.is_dir() and one is not folder:
            (one / "cpu.cfs_quota_us").write_text(str(round(share * PERIOD)))
        elif not old.is_dir():
            (one.parent / "cgroup.subtree_control").write_text("+cpu")
            (one / "cpu.max").write_text(f"{round(share * PERIOD)} {PERIOD}" if one is not folder else "max")
    try:
        yield {one.name: one / "cgroup.procs" for one in folders[1:]}
    finally:
        for one in reversed(folders):
            with suppress(OSError):
                one.rmdir()


def _measure(inventory: Path, group: Path | None) -> tuple[float, float]:
    """The wall time of one round, and the processor time of the checker's own processes; a worker's are sshd's."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    command = [sys.executable, "-m", "remotestatus", "run", "-i", str(inventory)]
    if group:
        command = ["/bin/sh", "-c", f'echo $$ >{group}; exec "$@"', "sh", *command]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800, check=False)
    if done.returncode != 0:
        raise click.ClickException(done.stdout + done.stderr)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.monotonic() - started, processor


if __name__ == "__main__":
    main()
