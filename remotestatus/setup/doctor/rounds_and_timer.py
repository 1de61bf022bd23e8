"""Examines whether rounds are run, and on time."""

import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from remotestatus.history import History
from remotestatus.model.durations import say_duration, write_duration
from remotestatus.setup.doctor.examined import Examined, Result, fine, warning, wrong
from remotestatus.setup.doctor.machine import SET_CLOCK, run
from remotestatus.setup.timer_units import CRON_MARK, MARK, unit_folder

_AHEAD = timedelta(minutes=2)
_INSTALL_TIMER = "remotestatus schedule --install, or let `remotestatus watch` run"


def check_rounds(examined: Examined) -> Iterator[Result]:
    """Check that the last round is recent and had no errors."""
    last = examined.ask_history(History.last_round)
    every, now = examined.inventory.fleet.settings.every, examined.now
    if last is None:
        yield warning("no round was run yet", "remotestatus run")
        return
    age = now - last.finished_at
    if age < -_AHEAD:
        yield wrong(f"the last round ended {say_duration(-age)} in the future: the clock was set back", SET_CLOCK)
    elif now <= last.overdue_at(every):
        yield fine(f"the last round ended {say_duration(age)} ago; one is due every {say_duration(every)}")
    else:
        yield wrong(
            f"the last round ended {say_duration(age)} ago, and one is due every {say_duration(every)}", _INSTALL_TIMER
        )
    for trouble in last.troubles:
        yield warning(f"the last round: {trouble}")
    if last.finished_at - last.started_at > every:
        took = say_duration(last.finished_at - last.started_at)
        yield warning(
            f"the last round took {took}, longer than the {say_duration(every)} from one to the next",
            "set remotestatus_every higher, or remotestatus_timeout lower",
        )


def check_timer(examined: Examined) -> Iterator[Result]:
    """Check for a systemd timer or a crontab line that runs rounds; others can't be seen."""
    base = str(examined.inventory.base)
    every = write_duration(examined.inventory.fleet.settings.every)
    found = False
    for folder, scope in ((unit_folder(whole=False), "--user"), (unit_folder(whole=True), "")):
        for path in sorted(folder.glob("*.timer")):
            try:
                first, _, rest = path.read_text("utf-8", "replace").partition("\n")
            except OSError:
                continue
            if first != MARK + base:
                continue
            found = True
            yield _examine_timer(path, scope, rest, every)
    if shutil.which("crontab"):
        code, text = run("crontab", "-l")
        lines = text.splitlines() if code == 0 else []
        marks = [number for number, line in enumerate(lines) if line.startswith(CRON_MARK)]
        if any(base in line for number in marks for line in lines[number + 1 : number + 2]):
            found = True
            yield fine("your crontab runs rounds")
    if found:
        return
    finding = "no timer of `remotestatus schedule` runs rounds of this inventory"
    if examined.ask_history(History.last_round):
        yield warning(f"{finding}; if something else does (watch, cron, CI), that is fine", _INSTALL_TIMER)
    else:
        yield warning(finding, _INSTALL_TIMER)


def _examine_timer(path: Path, scope: str, text: str, every: str) -> Result:
    command = ["systemctl", *([scope] if scope else [])]
    if f"every {every}\n" not in text:
        return warning(
            f"{path} was made for another frequency than remotestatus_every ({every})",
            "remotestatus schedule --install",
        )
    _, state = run(*command, "is-active", path.name)
    if state.strip() != "active":
        return wrong(f"the timer {path} is not active", f"{' '.join(command)} enable --now {path.name}")
    service = path.with_suffix(".service").name
    _, outcome = run(*command, "show", service, "--property=Result", "--value")
    if outcome.strip() not in ("success", ""):
        journal = f"journalctl {f'{scope} ' if scope else ''}--unit {service}"
        return wrong(f"the timer {path.name} is active, but its last round failed ({outcome.strip()})", journal)
    return fine(f"the timer {path} is active, every {every}")
