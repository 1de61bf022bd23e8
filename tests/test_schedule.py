"""The timer: units that systemd takes, lines that cron takes, and a command that says what it can't do."""

import itertools
import os
import pwd
import shlex
import subprocess
import tempfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cronsim import CronSim

from remotestatus.model.durations import write_duration
from remotestatus.model.errors import ConfigurationError
from remotestatus.setup.timer_units import (
    Schedule,
    add_cron_line,
    cron_line,
    cron_times,
    next_round,
    on_calendar,
    remove_cron_line,
    service_text,
    timer_text,
)
from tests.lab import Command

HOSTILE = '/srv/fleet of "Zoë\'s" 100% $HOME \\x20 `id` ;#é'
INTERVALS = [
    timedelta(seconds=s) for s in (1, 7, 30, 60, 90, 600, 2700, 3600, 7200, 18000, 36000, 86400, 172800, 604800)
]


def _schedule(
    every: timedelta = timedelta(minutes=10), folder: str = "/srv/fleet", user: str | None = None
) -> Schedule:
    return Schedule(
        name="remotestatus",
        command=("/bin/echo", "run", "-i", f"{folder}/inventory"),
        every=every,
        folder=folder,
        writable=(folder, "/var/lib/fleet"),
        environment={"ANSIBLE_VAULT_PASSWORD_FILE": f"{folder}/vault"},
        user=user,
    )


def _verify(schedule: Schedule, folder: Path, scope: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    units = [folder / "remotestatus.service", folder / "remotestatus.timer"]
    for path, text in zip(units, (service_text(schedule), timer_text(schedule)), strict=True):
        path.write_text(text, encoding="utf-8")
    done = subprocess.run(
        ["systemd-analyze", scope, "verify", *units],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "XDG_RUNTIME_DIR": str(folder)},
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("every", INTERVALS, ids=write_duration)
@pytest.mark.parametrize("user", ["root", "daemon", None])
def test_systemd_takes_the_units(every: timedelta, user: str | None, tmp_path: Path) -> None:
    """`systemd-analyze verify` has nothing to say about units of the system or of a user, whatever the frequency."""
    _verify(_schedule(every, user=user), tmp_path, "--system" if user else "--user")


@pytest.mark.parametrize("user", ["root", None])
def test_systemd_takes_units_with_hostile_paths(user: str | None, tmp_path: Path) -> None:
    """Spaces, quotes, %, $, backslashes and letters beyond ASCII in paths need no care of the administrator's."""
    _verify(_schedule(folder=HOSTILE, user=user), tmp_path, "--system" if user else "--user")


def test_the_system_unit_is_confined() -> None:
    """systemd's own measure calls the exposure of the system unit low; shell access would need more than this."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "remotestatus.service")
        path.write_text(service_text(_schedule(user="daemon")), encoding="utf-8")
        done = subprocess.run(
            ["systemd-analyze", "security", "--offline=true", "--threshold=45", "--no-pager", path],
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stdout[-300:]


def test_the_sandbox_leaves_what_ssh_and_ansible_need() -> None:
    """Keys are readable, the folders writable, and a folder below /tmp is not hidden."""
    text = service_text(_schedule(user="daemon"))
    assert "ProtectHome=read-only" in text
    assert 'ReadWritePaths="-/srv/fleet"' in text
    assert "PrivateTmp=yes" in text
    assert "PrivateTmp=yes" not in service_text(_schedule(folder="/tmp/fleet", user="daemon"))
    # In a user namespace ssh calls the owner of its system-wide configuration wrong.
    assert "PrivateUsers" not in text + service_text(_schedule())
    assert "ProtectSystem" not in service_text(_schedule())


@pytest.mark.parametrize("user", ["root", None])
def test_kept_connections_outlive_the_round(user: str | None, tmp_path: Path) -> None:
    """Ending a round ends all that it started, unless connections are kept; their folder then is no private one."""
    assert "KillMode=control-group" in service_text(_schedule(user=user))
    schedule = replace(_schedule(user=user), keeps_connections=True)
    assert "KillMode=process" in service_text(schedule)
    assert ("XDG_RUNTIME_DIR=%t/remotestatus" in service_text(schedule)) == (user is not None)
    _verify(schedule, tmp_path, "--system" if user else "--user")


@pytest.mark.parametrize("every", [every for every in INTERVALS if on_calendar(every)], ids=write_duration)
def test_the_calendar_means_the_frequency(every: timedelta) -> None:
    """systemd itself, asked for the next moments of our calendar expression, counts in our steps and from our start."""
    done = subprocess.run(
        [
            "systemd-analyze",
            "calendar",
            "--iterations=3",
            "--base-time=2026-03-28 22:13:07 UTC",
            str(on_calendar(every)),
        ],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "TZ": "UTC", "LC_ALL": "C"},
    )
    lines = [line.partition(": ")[2].strip() for line in done.stdout.splitlines() if ": " in line]
    moments = [
        datetime.strptime(line, "%a %Y-%m-%d %H:%M:%S UTC").replace(tzinfo=UTC)
        for line in lines
        if line.endswith("UTC")
        and line[:3] in ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
        and line[4:8] == "2026"
    ]
    assert moments[0] == next_round(every, datetime(2026, 3, 28, 22, 13, 7, tzinfo=UTC))
    assert {second - first for first, second in itertools.pairwise(moments)} == {every}


def test_an_odd_frequency_goes_from_round_to_round() -> None:
    """45 minutes divide no day: the timer counts from the last round, and no clock time is promised."""
    assert on_calendar(timedelta(minutes=45)) is None
    assert "OnUnitActiveSec=2700s" in timer_text(_schedule(timedelta(minutes=45)))
    assert next_round(timedelta(minutes=45), datetime(2026, 1, 1, tzinfo=UTC)) is None


@pytest.mark.parametrize("minutes", [1, 2, 5, 10, 15, 30, 60, 120, 360, 720, 1440, 10080])
def test_cron_runs_so_often(minutes: int) -> None:
    """A parser that is not ours, asked for the next moments of the line, counts in our steps, across midnight too."""
    every = timedelta(minutes=minutes)
    fields = " ".join(cron_line(_schedule(every)).split()[:5])
    moments = list(itertools.islice(CronSim(fields, datetime(2026, 1, 31, 20, 3, tzinfo=UTC)), 40))
    assert {second - first for first, second in itertools.pairwise(moments)} == {every}


@pytest.mark.parametrize(
    ("every", "near"),
    [
        ("45m", "30m and 1h"),
        ("7m", "6m and 10m"),
        ("30s", "1m"),
        ("90s", "1m and 2m"),
        ("5h", "4h and 6h"),
        ("2d", "1d and 1w"),
        ("2w", "1w"),
    ],
)
def test_what_cron_cannot_express_is_said(every: str, near: str) -> None:
    """Instead of a line that runs at other times than it seems, cron's nearest frequencies are named."""
    from remotestatus.model.durations import parse_duration

    with pytest.raises(ConfigurationError, match=f"the nearest that it can are {near}:"):
        cron_times(parse_duration(every))


def test_a_cron_line_is_one_command_whatever_the_path(tmp_path: Path) -> None:
    """After cron has taken its backslashes from %, a real shell gives the program exactly our words."""
    folder = tmp_path / HOSTILE.removeprefix("/")
    folder.mkdir(parents=True)
    schedule = Schedule("r", ("/usr/bin/printf", r"%s\n", "100%", str(folder)), timedelta(minutes=5), str(folder))
    command = cron_line(schedule).split(" ", 5)[5]
    assert "%" not in command.replace(r"\%", "")
    done = subprocess.run(["/bin/sh", "-c", command.replace(r"\%", "%")], capture_output=True, text=True, check=True)
    assert done.stdout == f"100%\n{folder}\n"


@pytest.mark.parametrize("path", ["/srv/a\nb", "/srv/a\x00", "/srv/tab\t", "/srv/end\\", "/srv/end "])
def test_a_path_that_would_break_out_is_refused(path: str) -> None:
    """A line break in a path would be a line of its own in a unit or crontab: the path is refused, with the cure."""
    with pytest.raises(ConfigurationError, match="rename it"):
        _schedule(folder=path)


def test_our_cron_line_is_replaced_and_removed_alone() -> None:
    """Another's lines in the crontab stay byte for byte, with and without a line end; ours is there once."""
    before = "MAILTO=me\n# mine\n*/5 * * * * true"
    once = add_cron_line(before, _schedule())
    twice = add_cron_line(once, _schedule(timedelta(minutes=30)))
    assert once.startswith(before + "\n")
    assert twice.count("/bin/echo run") == 1
    assert "*/30 * * * *" in twice
    assert remove_cron_line(twice, "remotestatus") == before + "\n"
    assert remove_cron_line(before, "remotestatus") == before


# -- the command


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    """A folder with a small inventory, in a path with a space and a percent sign."""
    folder = tmp_path / "my 100% fleet"
    (folder / "inventory").mkdir(parents=True)
    (folder / "inventory" / "remotes.yml").write_text(
        "all:\n  hosts:\n    box: {ansible_host: 127.0.0.1}\n  vars: {remotestatus_every: 15m}\n", encoding="utf-8"
    )
    return folder


def test_the_command_prints_and_installs_nothing(remotestatus: Command, fleet: Path) -> None:
    """By itself it prints both units, says when a round would be, and writes no file."""
    done = remotestatus("schedule", "--user", folder=fleet)
    assert done.returncode == 0, done.stderr
    assert "OnCalendar=*-*-* *:00/15:00" in done.stdout
    assert "The next round would be at" in done.stderr
    assert not list(remotestatus.home.rglob("*.timer"))


@pytest.mark.parametrize("scope", ["--user", "--system"])
def test_the_written_units_pass_verification(scope: str, remotestatus: Command, fleet: Path, tmp_path: Path) -> None:
    """What the command writes for a real inventory passes `systemd-analyze verify`, program and paths included."""
    units = tmp_path / "units"
    done = remotestatus("schedule", scope, "--write-to", units, folder=fleet)
    assert done.returncode == 0, done.stderr
    checked = subprocess.run(
        ["systemd-analyze", scope, "verify", units / "remotestatus.service", units / "remotestatus.timer"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)},
    )
    assert (checked.returncode, checked.stderr) == (0, "")
    service = (units / "remotestatus.service").read_text(encoding="utf-8")
    if scope == "--system":
        assert f"User={pwd.getpwuid(fleet.stat().st_uid).pw_name}" in service


def test_the_timer_of_another_inventory_is_left_alone(remotestatus: Command, fleet: Path, tmp_path: Path) -> None:
    """A second fleet needs a second name; the first one's units, and anybody else's, are not overwritten."""
    units = tmp_path / "units"
    assert remotestatus("schedule", "--user", "--write-to", units, folder=fleet).returncode == 0
    assert remotestatus("schedule", "--user", "--write-to", units, folder=fleet).returncode == 0
    other = tmp_path / "other"
    (other / "inventory").mkdir(parents=True)
    (other / "inventory" / "hosts.yml").write_text("all: {hosts: {box: {}}}\n", encoding="utf-8")
    refused = remotestatus("schedule", "--user", "--write-to", units, folder=other)
    assert refused.returncode == 2
    assert "choose another --name" in refused.stderr
    (units / "strange.timer").write_text("[Timer]\n", encoding="utf-8")
    strange = remotestatus("schedule", "--user", "--write-to", units, "--name", "strange", folder=other)
    assert (strange.returncode, (units / "strange.timer").read_text(encoding="utf-8")) == (2, "[Timer]\n")


@pytest.mark.skipif(Path("/run/systemd/system").is_dir(), reason="systemd runs this machine")
def test_without_systemd_the_alternatives_are_named(remotestatus: Command, fleet: Path) -> None:
    """In a container --install says in one sentence what to do instead, and leaves nothing behind."""
    done = remotestatus("schedule", "--user", "--install", folder=fleet)
    assert done.returncode == 2
    assert "schedule --cron" in done.stderr
    assert "remotestatus watch" in done.stderr
    assert not list(remotestatus.home.rglob("*.timer"))


def test_the_cron_line_is_installed_and_removed(remotestatus: Command, fleet: Path, tmp_path: Path) -> None:
    """--cron --install adds the line to the crontab that `crontab` keeps, and --uninstall takes it out again."""
    table = tmp_path / "table"
    # Not every machine has cron; this one keeps its table in a file, by crontab's own rules.
    program = tmp_path / "bin" / "crontab"
    program.parent.mkdir()
    program.write_text(
        f"#!/bin/sh\nt={shlex.quote(str(table))}\n"
        '[ "$1" = - ] && exec cat > "$t"\n[ -f "$t" ] && exec cat "$t"\necho "no crontab for me" >&2\nexit 1\n',
        encoding="utf-8",
    )
    program.chmod(0o755)
    path = {"PATH": f"{program.parent}:{remotestatus.environment['PATH']}"}
    done = remotestatus("schedule", "--cron", "--install", folder=fleet, environment=path)
    assert done.returncode == 0, done.stderr
    text = table.read_text(encoding="utf-8")
    assert "*/15 * * * * cd " in text
    assert r"100\% fleet" in text
    done = remotestatus("schedule", "--cron", "--uninstall", folder=fleet, environment=path)
    assert (done.returncode, table.read_text(encoding="utf-8")) == (0, "")
    assert remotestatus("schedule", "--cron", "--uninstall", folder=fleet, environment=path).returncode == 2


def test_uninstalling_what_is_not_there_says_so(remotestatus: Command, fleet: Path) -> None:
    """There is no silent success of --uninstall: it says where it looked."""
    done = remotestatus("schedule", "--user", "--uninstall", folder=fleet)
    assert done.returncode == 2
    assert "there is no timer remotestatus in" in done.stderr
