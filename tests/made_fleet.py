"""
Makes up a fleet with ninety days of history, through the real evaluation and history, for tests and pictures.

A number of remotes and a few switches come in, a ReportInput goes out. The same arguments give the same fleet.
"""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from remotestatus_playbook.machine_facts import Disk, Facts
from remotestatus_playbook.protocol import CheckOutput, Outcome, Process, ProxyAnswer, RemoteAnswer

from remotestatus.evaluate.check_results import read_proxy, read_remote
from remotestatus.evaluate.state_machine import next_state
from remotestatus.evaluate.uptime import share_out_time
from remotestatus.history.database import History
from remotestatus.history.past import read_past
from remotestatus.model.acknowledgement import Acknowledgement
from remotestatus.model.causes import Cause
from remotestatus.model.check_result import CheckResult, Trouble
from remotestatus.model.days import DayShare
from remotestatus.model.fleet import Fleet, Proxy, Remote
from remotestatus.model.inventory_variables import FleetSettings, RemoteSettings
from remotestatus.model.messages import SentMessage
from remotestatus.model.notification import EventType
from remotestatus.model.period_report import LastingProblem, PeriodReport, RemoteUptime
from remotestatus.model.receiver_memory import FailingDestination
from remotestatus.model.report_input import ReportInput
from remotestatus.model.rounds import Round
from remotestatus.model.states import Kind, Policy, State, StateChange
from remotestatus.model.status_words import Status

PLACES = (
    ("hall-a", "Hall A", "north-camera", "North Camera", "Films the north entrance."),
    ("hall-a", "Hall A", "south-camera", "South Camera", "Films the south entrance and the car park behind it."),
    ("hall-b", "Hall B, mezzanine", "recorder", "Video Recorder", "This host is responsible for recording videos."),
    ("hall-b", "Hall B", "signage", "Signage", "Shows the programme in the foyer."),
    ("gates", "Gate 4, barrier house", "barrier", "Barrier", "Opens the barrier; reads number plates."),
    ("weather", "Roof of the mill", "weather", "Weather Station", "Wind, rain and temperature."),
    ("buses", "Line 12", "bus", "Bus Display", "Departures on board."),
)
NO_TUNNEL = "Stdio forwarding request failed: Session open refused by peer\nkex_exchange_identification: closed"
STALE = "Connection timed out during banner exchange\nConnection to UNKNOWN port 65535 timed out"
NO_SSHD = "kex_exchange_identification: Connection closed by remote host"
DENIED = "remote_user@127.0.0.1: Permission denied (publickey,password)."
PROXY_GONE = "ssh: connect to host proxy.example.com port 22: Connection timed out"


@dataclass(frozen=True)
class Made:
    """How the fleet is made up. `now` is the end of its last round."""

    remotes: int
    now: datetime
    dead_proxy: bool = False
    all_up: bool = False
    public: bool = False
    hostile: str = ""
    names: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    samples: int = 40
    seed: int = 12


def make_report_input(made: Made, database: Path) -> ReportInput:
    """Make the fleet, let ninety days pass, and read what the page is made of."""
    fleet = make_fleet(made)
    chance = random.Random(made.seed)
    start = made.now - timedelta(seconds=4.2)
    changes: list[StateChange] = []
    days: list[tuple[tuple[Kind, str], DayShare]] = []
    results: list[CheckResult] = []
    samples: list[CheckResult] = []
    for proxy in fleet.proxies:
        dead = made.dead_proxy and proxy.name == "tunnel-proxy"
        answer = ProxyAnswer(Outcome.ANSWERED, connect_ms=61)
        if dead:
            answer = ProxyAnswer(Outcome.SSH_FAILED, stderr=PROXY_GONE)
        result = read_proxy(proxy, answer, start)
        span = (made.now - timedelta(minutes=47), result.troubles) if dead else None
        _live(Kind.PROXY, proxy.name, [], span, result, made.now, Policy(), changes, days)
    for number, remote in enumerate(fleet.remotes):
        result, began = _last_result(made, remote, number, start, chance)
        policy = Policy(remote.settings.fail_after, remote.settings.recover_after)
        past = [] if made.all_up and made.remotes < 3 else list(_past(remote, number, made.now, chance))
        present = (made.now - began, result.troubles) if result.troubles else None
        _live(Kind.REMOTE, remote.name, past, present, result, made.now, policy, changes, days)
        results.append(result)
        if result.connect_ms is not None:
            samples += _samples(result, made, chance)
    changes.sort(key=lambda change: change.state.seen_at)
    trouble = ("The mail server mail.example.com did not answer; 2 messages wait.",) if made.dead_proxy else ()
    round_ = Round(0, start, made.now, len(fleet.remotes), trouble)
    with History.open(database) as history, history.transaction():
        history.record(round_, changes, samples, days)
        return _read_back(history, fleet, made, history.record(round_, [], results))


def _read_back(history: History, fleet: Fleet, made: Made, round_: Round) -> ReportInput:
    states = history.states()
    wrong = [name for (kind, name), state in states.items() if kind is Kind.REMOTE and state.troubles]
    known = wrong[1:2] if len(wrong) > 3 else []
    sent_at = made.now - timedelta(minutes=7)
    found = read_past(history, fleet, round_, states, history.check_results(), history.check_results(), made.now)
    # Read now: the history is closed when the pages are made.
    samples = {remote.name: found.samples(remote.name) for remote in fleet.remotes}
    ranges = {remote.name: found.ranges(remote.name) for remote in fleet.remotes}
    return replace(
        found,
        samples=lambda name: samples.get(name, ()),
        ranges=lambda name: ranges.get(name, {}),
        measured=lambda name: found.check_results.get(name),
        acknowledgements={
            (Kind.REMOTE, name): Acknowledgement(made.now - timedelta(minutes=5), note="Spare part is on its way.")
            for name in known
        },
        maintenance={remote.name: "firmware update, until 14:00 UTC" for remote in fleet.remotes[5:6]}
        if not made.all_up
        else {},
        messages={
            (Kind.REMOTE, name): [SentMessage(sent_at, "on call", f"{name} is not up", EventType.PROBLEM, sent_at)]
            for name in wrong[:20]
        },
        failing=[FailingDestination("id pager", "pager", made.now - timedelta(hours=3), "HTTP 503")]
        if made.dead_proxy
        else [],
        regular=_regular(made.now, fleet, wrong),
    )


def _regular(now: datetime, fleet: Fleet, wrong: list[str]) -> PeriodReport:
    """The last regular report: of the first remotes, and what is wrong with them."""
    names = [remote.name for remote in fleet.remotes[:3]]
    return PeriodReport(
        now - timedelta(days=8),
        now - timedelta(days=1),
        len(fleet.remotes),
        99.7,
        100.0,
        least=tuple(RemoteUptime(name, 97.5, 99.0) for name in names),
        incidents=((Cause.TUNNEL_DOWN, 3), (Cause.PROCESS_MISSING, 1)),
        flapped=tuple(names[:1]),
        lasting=tuple(LastingProblem(name, Status.DOWN, now - timedelta(days=2), "It is away.") for name in wrong[:3]),
    )


def make_fleet(made: Made) -> Fleet:
    """The inventory: remotes behind two proxies, every thirtieth reached directly."""
    proxies = (
        Proxy("tunnel-proxy", "tunnel-proxy", "proxy.example.com", 22, "proxy-user"),
        Proxy("south-proxy", "south-proxy", "198.51.100.20", 2222, "gate"),
    )
    remotes = []
    for number in range(made.remotes):
        group, place, name, nickname, description = PLACES[number % len(PLACES)]
        serial = number // len(PLACES) + 1
        direct = number % 30 == 29
        hostile = made.hostile if number == 0 else ""
        if number < len(made.names):
            name, nickname = made.names[number], ""
        else:
            name, nickname = f"{name}-{serial}", f"{nickname} {serial}" if number % 3 else ""
        settings = RemoteSettings.model_validate(
            {
                "nickname": hostile or nickname,
                "description": hostile or description,
                "location": hostile or (place if number % 5 else ""),
                "forwarded_port": None if direct else 1001 + number,
                "processes": [] if number % 11 == 10 else _processes(number, hostile),
                "limits": {"disk": "90%", "memory": 95} if number % 2 == 0 else {},
                "checks": [{"name": "camera", "command": "/usr/lib/check_camera"}] if number % 7 < 2 else [],
                "fail_after": 3 if number % 4 == 3 else 1,
            }
        )
        remotes.append(
            Remote(
                name=name,
                groups=(group,) if number % 2 else (group, "monitored"),
                settings=settings,
                address=f"192.0.2.{number % 250 + 1}" if direct else "127.0.0.1",
                port=22 if direct else 8001 + number,
                user="remote_user",
                path=() if direct else ("south-proxy",) if number % 7 in (4, 5) else ("tunnel-proxy",),
            )
        )
    used = {proxy for remote in remotes for proxy in remote.path}
    settings_ = FleetSettings.model_validate({"title": "Harbour boxes", "public": made.public, **made.settings})
    return Fleet(tuple(remotes), tuple(proxy for proxy in proxies if proxy.name in used), settings_)


def _processes(number: int, hostile: str) -> list[object]:
    wanted: list[object] = ["python manage.py capture_videos.py"]
    if number % 2:
        wanted.append({"name": "tunnel", "command": "ssh", "user": "tunnel"})
    if number % 3 == 2:
        wanted.append({"name": hostile or "encoder", "regex": "ffmpeg .*-f (mp4|mkv)", "min": 2, "max": 4})
    return wanted


def _last_result(
    made: Made, remote: Remote, number: int, at: datetime, chance: random.Random
) -> tuple[CheckResult, timedelta]:
    """What the last round found, and for how long it has been so."""
    if made.dead_proxy and remote.proxy == "tunnel-proxy":
        return read_remote(remote, RemoteAnswer(Outcome.PROXY_DOWN, proxy="tunnel-proxy"), at), timedelta(minutes=47)
    if made.hostile and number == 1:
        said = RemoteAnswer(Outcome.SSH_FAILED, stderr=f"{made.hostile}: Permission denied (publickey).")
        return read_remote(remote, said, at), timedelta(minutes=9)
    kind = "" if made.all_up else {3: "tunnel", 8: "process", 12: "disk"}.get(number % 157, "")
    if kind == "tunnel":
        text = (NO_TUNNEL, STALE, NO_SSHD, DENIED)[number // 157 % 4]
        began = timedelta(hours=3, minutes=12, seconds=number)
        return read_remote(remote, RemoteAnswer(Outcome.SSH_FAILED, stderr=text), at), began
    answer = _answer(made, remote, number, at, chance, missing=kind == "process", full=kind == "disk")
    return read_remote(remote, answer, at), timedelta(minutes=10 + number)


def _answer(
    made: Made, remote: Remote, number: int, at: datetime, chance: random.Random, *, missing: bool, full: bool
) -> RemoteAnswer:
    now = at.timestamp()
    boot = now - 86400 * (3 + number % 50)
    lines = [
        ("remote_user", ["/usr/bin/python3", "/usr/bin/python", "/srv/app/manage.py", "capture_videos.py", "--fps=25"]),
        ("tunnel", ["/usr/bin/ssh", "-N", "-R", f"{remote.port}:localhost:22", "gate@proxy.example.com"]),
        ("remote_user", ["ffmpeg", "-i", "/dev/video0", "-f", "mp4", "/srv/out/0.mp4"]),
        ("remote_user", ["ffmpeg", "-i", "/dev/video1", "-f", "mkv", "/srv/out/1.mkv"]),
    ]
    if made.hostile:
        lines[0] = ("remote_user", ["python", "manage.py", "capture_videos.py", made.hostile])
    if missing:
        lines[0] = ("root", ["/usr/bin/python", "/srv/app/manage.py", "migrate", "capture_videos.py"])
    disks = [Disk("/", size_kb=30_100_000, used_kb=11_900_000, percent=40.0)]
    if full:
        disks.append(Disk("/srv", size_kb=244_000_000, used_kb=239_000_000, percent=98.0))
    processes = (
        Process(
            400 + place, 1, user, "S", int(boot) + 60 * place, 40_000 + 9_000 * place, tuple(argv), True, False, False
        )
        for place, (user, argv) in enumerate(lines)
    )
    return RemoteAnswer(
        Outcome.ANSWERED,
        connect_ms=60 + number % 90 + chance.randrange(30),
        facts=Facts(
            uptime_seconds=now - boot,
            load=(0.31, 0.42, 0.4),
            cpus=4,
            memory_total_kb=3_884_000,
            memory_available_kb=2_310_000 - number,
            swap_total_kb=0,
            swap_free_kb=0,
            disks=tuple(disks),
            clock_offset_seconds=0.0,
        ),
        processes=tuple(processes),
        checks=tuple(
            CheckOutput(check.name, 0, "OK: 25 frames a second | fps=25;20;15 drops=0")
            for check in remote.settings.checks
        ),
    )


def _past(
    remote: Remote, number: int, now: datetime, chance: random.Random
) -> Iterator[tuple[datetime, datetime, tuple[Trouble, ...]]]:
    """Outages that are over, oldest first."""
    at = now - timedelta(days=chance.randrange(3, 88), minutes=chance.randrange(1400))
    for turn in range(chance.choice((0, 0, 0, 1, 1, 2, 5 if number % 40 == 0 else 1))):
        lasted = timedelta(minutes=chance.choice((10, 10, 20, 40, 190, 1500)))
        if at + lasted > now - timedelta(days=1):
            return
        text = chance.choice((NO_TUNNEL, STALE, NO_SSHD))
        yield at, at + lasted, read_remote(remote, RemoteAnswer(Outcome.SSH_FAILED, stderr=text), at).troubles
        at += lasted + timedelta(days=chance.randrange(1, 20), minutes=37 * turn)


def _live(
    kind: Kind,
    name: str,
    past: list[tuple[datetime, datetime, tuple[Trouble, ...]]],
    present: tuple[datetime, tuple[Trouble, ...]] | None,
    result: CheckResult,
    now: datetime,
    policy: Policy,
    changes: list[StateChange],
    days: list[tuple[tuple[Kind, str], DayShare]],
) -> None:
    """Evaluate a subject at each moment at which something changed, and share out the time between."""
    born = now - timedelta(days=89, hours=now.hour)
    checks: list[tuple[datetime, tuple[Trouble, ...]]] = [(born, ())]
    for began, ended, troubles in past:
        checks += [(began, troubles), (ended, ())]
    if present:
        checks.append(present)
    checks.append((now, result.troubles))
    state: State | None = None
    for at, troubles in checks:
        if state:
            every = max(timedelta(minutes=10), (at - state.seen_at) / 2)
            shares = share_out_time(state.seen_at, at, state.status, maintenance=False, every=every)
            days.extend(((kind, name), share) for share in shares)
        change = next_state(kind, name, state, troubles, policy, at)
        state = change.state
        changes.append(change)


def _samples(result: CheckResult, made: Made, chance: random.Random) -> Iterator[CheckResult]:
    assert result.connect_ms is not None
    for back in range(made.samples, 0, -1):
        slow = 400 if chance.random() < 0.02 else 0
        yield CheckResult(
            result.name,
            result.at - timedelta(minutes=10 * back),
            connect_ms=result.connect_ms + chance.randrange(-9, 25) + slow,
        )
