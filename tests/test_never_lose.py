"""Nothing that had to be sent is lost: any check results, outages, kills and clock jumps, on real files and sinks."""

import json
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from remotestatus.evaluate.maintenance_windows import window_of
from remotestatus.history import acks_windows_notes, outbox
from remotestatus.history.database import History
from remotestatus.model.fleet import Fleet
from remotestatus.model.inventory_variables import FleetSettings
from remotestatus.model.states import Kind, State, Subject
from remotestatus.model.status_words import Status
from remotestatus.notify.deliver import Sending
from remotestatus.notify.destinations import load_destinations
from remotestatus.round import send_due
from tests.lab import HttpSink
from tests.stories import START, TEMPLATES, make_fleet, record_round

# Apprise's mail plugin imports a module that Python 3.11 and 3.12 call deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")

FLEET = make_fleet({"r1": {"fail_after": 2}, "r2": {"recover_after": 2}})
SUBJECTS: tuple[Subject, ...] = ((Kind.PROXY, "jump"), (Kind.REMOTE, "r1"), (Kind.REMOTE, "r2"))


@dataclass(frozen=True)
class Step:
    """One round: what is found, how long after the last, which sinks are away, and where the process is killed."""

    jump: str
    r1: str
    r2: str
    after: timedelta
    away: tuple[bool, bool]
    killed: str
    maintained: bool


steps = st.builds(
    Step,
    jump=st.sampled_from("uuux"),
    r1=st.sampled_from("udg"),
    r2=st.sampled_from("uud"),
    after=st.sampled_from([timedelta(minutes=10)] * 5 + [timedelta(days=7), timedelta(0), timedelta(days=-1)]),
    away=st.tuples(st.booleans(), st.sampled_from([False, False, True])),
    killed=st.sampled_from(["", "", "", "before sending", "before marking"]),
    maintained=st.sampled_from([False, False, False, True]),
)


@dataclass
class Expectation:
    """What one destination has to be notified of about one subject, by the rules as an administrator would say them."""

    events: list[str] = field(default_factory=list)
    known: Status = Status.UP
    unstable: bool = False

    def see(self, state: State, *, maintained: bool) -> None:
        """Take the state after a round."""
        truth = state.confirmed
        held = maintained and truth is not Status.UP
        if state.flapping:
            if not self.unstable and not maintained:
                self.events.append("unstable")
                self.unstable = True
        elif state.status is truth and not held and self.unstable:
            self.events.append(truth.value)
            self.known, self.unstable = truth, False
        elif state.status is truth and not held and truth is not self.known:
            self.events.append(truth.value)
            self.known = truth


def words_about(subject: Subject, body: str) -> list[str]:
    """What a message says of a subject, in its order: statuses, and `unstable`."""
    name = f"The proxy {subject[1]}" if subject[0] is Kind.PROXY else subject[1]
    found = re.finditer(
        rf"^(?:- )?{name} (?:(keeps changing)|(?:is|was \w+ and is|no longer changes: it is) (\w+)|(answers again))",
        body,
        re.MULTILINE,
    )
    return ["unstable" if one[1] else "up" if one[3] else one[2] for one in found]


def check(expected: list[str], deliveries: list[list[str]], *, killed: bool) -> None:
    """Every delivery continues or repeats what came before, in order, and at the end all of it came."""
    reached = 0
    for events in deliveries:
        if not events:
            continue
        places = [at for at in range(reached + 1) if expected[at : at + len(events)] == events]
        assert places, f"{events} is out of order or too much: after {expected[:reached]} of {expected}"
        reached = max(reached, places[-1] + len(events))
        if not killed:
            assert places[-1] + len(events) == reached
    assert reached == len(expected), f"lost: {expected[reached:]}"


@pytest.fixture(scope="module")
def sinks() -> Iterator[tuple[HttpSink, HttpSink]]:
    """Two hooks."""
    with HttpSink() as one, HttpSink() as other:
        yield one, other


def record(
    history: History, fleet: Fleet, found: dict[str, str], keys: list[str], now: datetime
) -> dict[Subject, State]:
    """Record a round with its messages, and return the states after it."""
    destinations = load_destinations(FleetSettings.model_validate({"apprise": keys}).apprise, Path("/"))
    return record_round(history, fleet, found, destinations, now)


def send(path: Path, urls: list[str], now: datetime) -> None:
    """Send what is due, as a process of its own would."""
    destinations = load_destinations(FleetSettings.model_validate({"apprise": urls}).apprise, Path("/"))
    with History.open(path) as history:
        send_due(history, destinations, Sending(FLEET.settings, TEMPLATES, now))


def send_and_gather(
    path: Path, now: datetime, sinks: tuple[HttpSink, HttpSink], taken: tuple[list[str], list[str]]
) -> None:
    """Send what is due and gather the bodies that each sink did not refuse."""
    for sink in sinks:
        sink.requests.clear()
    send(path, [sink.apprise_url for sink in sinks], now)
    for sink, bodies in zip(sinks, taken, strict=True):
        bodies += [json.loads(request.body)["message"] for request in sink.requests if sink.status == 200]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(story=st.lists(steps, min_size=1, max_size=12))
def test_whatever_happens_each_transition_is_sent_in_order_and_nothing_that_was_held(
    sinks: tuple[HttpSink, HttpSink], story: list[Step]
) -> None:
    """For any check results, outages, kills, windows and clock jumps each sink gets all it has to, in order."""
    expectations = {subject: Expectation() for subject in SUBJECTS}
    urls = [sink.apprise_url for sink in sinks]
    taken: tuple[list[str], list[str]] = ([], [])
    now = START
    with tempfile.TemporaryDirectory() as folder:
        path, kept = Path(folder) / "history.sqlite3", Path(folder) / "kept"
        for step in story:
            now += step.after
            with History.open(path) as history:
                if step.maintained:
                    acks_windows_notes.open_window(history, "all", now, now + timedelta(minutes=15))
                windows = acks_windows_notes.command_windows(history, now)
                found = {"jump": step.jump, "r1": step.r1, "r2": step.r2}
                states = record(history, FLEET, found, urls, now)
                history.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            for (kind, name), expectation in expectations.items():
                window = window_of((kind, name), FLEET, windows, now)
                expectation.see(states[kind, name], maintained=window is not None)
            for sink, away in zip(sinks, step.away, strict=True):
                sink.status = 503 if away else 200
            if step.killed == "before sending":
                continue
            shutil.copy(path, kept)
            send_and_gather(path, now, sinks, taken)
            if step.killed == "before marking":
                # The service has it, and the mark never reached the disk.
                for leftover in path.parent.glob("history.sqlite3*"):
                    leftover.unlink()
                shutil.copy(kept, path)
        for sink in sinks:
            sink.status = 200
        send_and_gather(path, now + timedelta(hours=2), sinks, taken)
        with History.open(path) as history:
            assert outbox.count_waiting(history) == 0
    killed = any(step.killed == "before marking" for step in story)
    for bodies in taken:
        for subject, expectation in expectations.items():
            check(expectation.events, [words_about(subject, body) for body in bodies], killed=killed)


SCRIPT = textwrap.dedent(
    """
    import sys, time
    from pathlib import Path
    from remotestatus.history import History
    from tests.stories import START, TEMPLATES, record_round
    from tests.test_never_lose import FLEET, record, send
    path, url, step = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    with History.open(path) as history:
        if step == "inside the transaction":
            with history.transaction():
                record(history, FLEET, {"r2": "d"}, [url], START)
                print("now", flush=True)
                time.sleep(60)
        record(history, FLEET, {"r2": "d"}, [url], START)
    if step == "before sending":
        print("now", flush=True)
        time.sleep(60)
    print("now", flush=True)
    send(path, [url], START)
    """
)


@pytest.mark.parametrize(
    ("step", "times"), [("inside the transaction", 1), ("before sending", 1), ("while the service takes it", 2)]
)
def test_a_real_process_killed_anywhere_loses_no_message(
    http_sink: HttpSink, tmp_path: Path, step: str, times: int
) -> None:
    """Killed with SIGKILL at each step, the next round sends it; only a kill before the mark doubles it."""
    path = tmp_path / "history.sqlite3"
    http_sink.hangs = step == "while the service takes it"
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(path), http_sink.apprise_url, step],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parent.parent,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "now\n"
        if http_sink.hangs:
            http_sink.wait_for(1)
        process.send_signal(signal.SIGKILL)
    http_sink.hangs = False
    now = START + timedelta(minutes=10)
    with History.open(path) as history:
        record(history, FLEET, {"r2": "d"}, [http_sink.apprise_url], now)
    send(path, [http_sink.apprise_url], now)
    bodies = [json.loads(request.body)["message"] for request in http_sink.wait_for(times)]
    assert len(bodies) == times
    assert all("r2 is down" in body for body in bodies)


def test_a_process_killed_between_the_services_answer_and_the_mark_doubles_and_never_loses(
    http_sink: HttpSink, tmp_path: Path
) -> None:
    """With the file as it was before the mark, the message is sent again, once."""
    path, kept = tmp_path / "history.sqlite3", tmp_path / "kept"
    with History.open(path) as history:
        record(history, FLEET, {"r2": "d"}, [http_sink.apprise_url], START)
    shutil.copy(path, kept)
    send(path, [http_sink.apprise_url], START)
    shutil.copy(kept, path)
    send(path, [http_sink.apprise_url], START)
    send(path, [http_sink.apprise_url], START)
    assert len(http_sink.requests) == 2
