"""
However much a remote prints, and whatever: reading, matching and keeping it takes a bounded time and room.

Times are of this process's processor, so a busy machine makes no difference. They are some times what is measured, and
a twentieth of what the same input took when a rule's work was not bounded.
"""

import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter
from remotestatus_playbook.control_socket import read_banner
from remotestatus_playbook.probe_output import parse
from remotestatus_playbook.protocol import Outcome, Process, RemoteAnswer, to_json

from remotestatus.evaluate.check_results import ARGUMENTS_KEPT, MATCHED_KEPT, TROUBLES_KEPT, read_remote
from remotestatus.evaluate.pattern_search import SECONDS, PatternSearch
from remotestatus.evaluate.process_matching import match
from remotestatus.evaluate.state_machine import next_state
from remotestatus.model.check_result import CheckResult
from remotestatus.model.fleet import Remote
from remotestatus.model.inventory_variables import ProcessSpec, RemoteSettings
from remotestatus.model.receiver_memory import NotificationMemory
from remotestatus.model.report_input import ReportInput
from remotestatus.model.states import Kind, Policy
from remotestatus.notify.compose import compose_message
from remotestatus.notify.decide import plan_notifications
from remotestatus.report import page_templates
from remotestatus.report.sites import make_site
from tests.made_fleet import Made, make_report_input
from tests.stories import OPS, START

NONCE = "a" * 32
MARK = NONCE.encode()
MEGABYTE = 1024 * 1024
PAGES = page_templates()
BUDGET = 4.0
"""Seconds for one remote, whatever it prints."""

ROOM = 64 * MEGABYTE
"""What that may take on top of what is there before, at its height, also in a fresh process."""


@contextmanager
def within_budget() -> Iterator[None]:
    """What happens inside takes no more than the time and the memory that there are for one remote."""
    Path("/proc/self/clear_refs").write_text("5")  # the highest use so far is the present one: proc(5)
    before, begun = _memory("VmRSS"), time.process_time()
    yield
    assert time.process_time() - begun < BUDGET
    assert _memory("VmHWM") - before < ROOM


def _memory(name: str) -> int:
    """A line of /proc/self/status, in bytes."""
    found = re.search(rf"^{name}:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found
    return int(found[1]) * 1024


RULES = (
    "python manage.py x",
    "ffmpeg -f",
    {"regex": "ffmpeg .*-f (mp4|mkv)"},
    {"regex": "a.*b.*c.*d"},
    {"regex": "(x+x+)+y"},
    {"command": "ssh"},
    {"contains": "zzz"},
)
REMOTE = Remote("r1", (), RemoteSettings.model_validate({"processes": RULES, "limits": {"disk": "90%", "load": 1}}))


def frame(*sections: bytes) -> bytes:
    """The probe's output with these sections."""
    return b"\n[" + MARK + b":frame\n" + b"".join(sections) + MARK + b":frame]\n"


def section(name: bytes, content: bytes, words: bytes = b"") -> bytes:
    """A section of it."""
    return b"[" + MARK + b":" + name + words + b"\n" + content + MARK + b":" + name + b"]\n"


def processes(*command_lines: bytes) -> bytes:
    """The section of processes with these command lines."""
    numbers = b"1 1 1 0 -1 4194304 1 1 1 1 1 1 1 1 20 0 1 0 100 1 1"
    return section(
        b"processes",
        b"".join(
            b"S=" + MARK + b":process\0%d (x) S " % pid + numbers + b"\n" + line
            for pid, line in enumerate(command_lines, start=2)
        ),
    )


FLOODS: dict[str, Callable[[], bytes]] = {
    "arguments of one letter": lambda: frame(processes(*[b"a\0" * 16000] * 500)),
    "the documents' expression": lambda: frame(processes(*[b"ffmpeg " * 4600] * 500)),
    "letters for an expression without end": lambda: frame(processes(*[b"x" * 32000] * 500)),
    "bytes that are no text": lambda: frame(processes(*[b"\xff" * 32000] * 500)),
    "a ps that is no text": lambda: frame(
        section(b"ps", (b"1 root S " + b"\xff" * 30000 + b"\n") * 500, b" pid user stat args")
    ),
    "very many processes": lambda: frame(processes(*[b"python\0manage.py\0x"] * 60000)),
    "lines": lambda: frame(section(b"linux", b"\n" * (15 * MEGABYTE))),
    "uptimes": lambda: frame(section(b"linux", b"/uptime:1 1\n" * MEGABYTE)),
    "owners": lambda: frame(section(b"owners", b"\n" * (4 * MEGABYTE)) * 3),
    "a df of spaces": lambda: frame(section(b"disks", (b"x" + b" " * 4000 + b"\n") * 3900)),
    "a df of numbers": lambda: frame(section(b"disks", (b"1 1 1 1% /" * 400 + b"\n") * 260)),
    "many tables of disks": lambda: frame(section(b"disks", b"") * 190_000),
    "a ps of letters": lambda: frame(
        section(b"ps", (b"1 root S " + b"a " * 16000 + b"\n") * 500, b" pid user stat args")
    ),
    "a ps of columns": lambda: frame(
        section(b"ps", (b"1 " * 4000 + b"\n") * 1900, b" pid user" + b" x" * 4000 + b" args")
    ),
    "full disks": lambda: frame(
        section(b"disks", b"".join(b"/dev/x%d 100 100 0 100%% /%d\n" % (number, number) for number in range(3000)))
    ),
    "units": lambda: frame(
        section(b"units", MARK + b":show\n" + b"Id=a\n" * 200_000 + MARK + b":exit 0\n"),
    ),
    "log files": lambda: frame(section(b"written", b"7/fd/1 /x\n" * (2 * MEGABYTE))),
    "last lines": lambda: frame(section(b"log", b"\n" * 65000, b" 2f78") * 240),
    "mounts": lambda: frame(section(b"linux", b"/proc/mounts:/dev/sda /mnt ext4 rw 0 0\n" * 300_000)),
    "many checks": lambda: frame(section(b"check", b"\n" * 65000, b" 6161") * 240),
    "names": lambda: frame(section(b"names", b"a:b:1:\n" * (2 * MEGABYTE))),
    "sections that do not end": lambda: frame((b"[" + MARK + b":disks\n") * 400_000),
}


def read_and_write(raw: bytes) -> tuple[CheckResult, str]:
    """What comes of a probe's output, and the answer as it is written down."""
    output = parse(raw, NONCE)
    written = to_json(replace(output.answer, facts=output.facts))
    return read_remote(REMOTE, TypeAdapter(RemoteAnswer).validate_json(written), START), written


@pytest.mark.parametrize("flood", FLOODS)
def test_a_flood_costs_a_bounded_time(flood: str) -> None:
    """16 MiB of anything is read, matched and written down in a bounded time and room."""
    raw = FLOODS[flood]()
    read_and_write(frame())  # what is loaded or made once is no remote's
    with within_budget():
        result, written = read_and_write(raw)
    assert len(written) < 32 * MEGABYTE
    assert len(TypeAdapter(CheckResult).dump_json(result)) < MEGABYTE / 2
    assert len(result.troubles) <= TROUBLES_KEPT + 1


def test_an_expression_that_takes_too_long_is_unknown_and_says_so() -> None:
    """Not running would be a guess: the remote is degraded because its processes could not all be searched."""
    hostile = Process(2, 1, "u", "S", None, None, ("x" * 16000,), True, False, False)
    spec = ProcessSpec(regex="(x+x+)+y", min=1)
    [found] = match([spec], [hostile])
    assert (found.running, found.complete, found.too_slow) == (None, False, True)
    answer = RemoteAnswer(Outcome.ANSWERED, facts=parse(frame(), NONCE).facts, processes=(hostile,))
    remote = Remote("r1", (), RemoteSettings.model_validate({"processes": [{"regex": "(x+x+)+y"}]}))
    result = read_remote(remote, answer, START)
    assert result.trouble is not None
    assert "takes too long" in result.trouble.detail


def test_what_is_found_before_the_time_is_up_counts() -> None:
    """Enough processes that match are enough, whatever the others would have cost."""
    good = Process(2, 1, "u", "S", None, None, ("xxy",), True, False, False)
    hostile = Process(3, 1, "u", "S", None, None, ("x" * 16000,), True, False, False)
    [found] = match([ProcessSpec(regex="(x+x+)+y")], [good, hostile])
    assert (found.running, found.count) == (True, 1)


def test_all_rules_of_a_remote_share_one_amount_of_time() -> None:
    """Twenty slow expressions cost no more than one."""
    hostile = Process(2, 1, "u", "S", None, None, ("x" * 16000,), True, False, False)
    begun = time.thread_time()
    match([ProcessSpec(name=str(number), regex=f"(x+x+)+{number}y") for number in range(20)], [hostile] * 20)
    assert time.thread_time() - begun < SECONDS + 3


@settings(max_examples=200)
@given(pattern=st.sampled_from(["a.c", "^x", r"\bfoo\b", "(mp4|mkv)$", "[a-f]+[0-9]"]), text=st.text(max_size=40))
def test_expressions_mean_what_they_meant(pattern: str, text: str) -> None:
    """The engine with a limit finds what Python's own finds."""
    search = PatternSearch()
    assert search.find(pattern, text) is (re.search(pattern, text) is not None)


def test_only_so_much_of_command_lines_is_kept() -> None:
    """The history holds the beginning of some command lines; how many run is known all the same."""
    many = tuple(Process(pid, 1, "u", "S", None, None, ("run", "y" * 30000), True, False, False) for pid in range(200))
    remote = Remote("r1", (), RemoteSettings.model_validate({"processes": ["run"]}))
    answer = RemoteAnswer(Outcome.ANSWERED, facts=parse(frame(), NONCE).facts, processes=many)
    [kept] = read_remote(remote, answer, START).processes
    assert (kept.running, kept.count, len(kept.matched)) == (True, 200, MATCHED_KEPT)
    assert all(sum(map(len, process.argv)) <= ARGUMENTS_KEPT + 1 for process in kept.matched)


# -- from bytes to the page -------------------------------------------------------------------------------------------

_NUMBERS = st.sampled_from(
    [
        b"0",
        b"1",
        b"-1",
        b"-",
        b"nan",
        b"inf",
        b"1e999",
        b"999999999999999",
        b"9" * 40,
        b"80000000000000",
        b"1.5",
        b"",
        b" ",
    ]
)
_LINES = st.one_of(
    st.builds(lambda a, b: b"/proc/uptime:%s %s\n" % (a, b), _NUMBERS, _NUMBERS),
    st.builds(lambda a, b, c: b"/proc/loadavg:%s %s %s 1/2 3\n" % (a, b, c), _NUMBERS, _NUMBERS, _NUMBERS),
    st.builds(
        lambda key, a: b"/proc/meminfo:%s: %s kB\n" % (key, a),
        st.sampled_from([b"MemTotal", b"MemAvailable", b"SwapTotal", b"SwapFree"]),
        _NUMBERS,
    ),
    st.builds(lambda a: b"/proc/stat:btime %s\n" % a, _NUMBERS),
)
_DISKS = st.builds(
    lambda a, b, c, d, mount: b"/dev/x %s %s %s %s%% /%s\n" % (a, b, c, d, mount),
    *[_NUMBERS] * 4,
    st.binary(max_size=20),
)
_OTHERS = st.one_of(
    st.builds(
        lambda a, b, c: section(b"files", b"6162 %s %s %s\n" % (a, b, c)),
        *[_NUMBERS] * 3,
    ),
    st.builds(
        lambda a, b: section(
            b"units", MARK + b":show\nId=a.service\nNRestarts=%s\nExecMainStatus=%s\n" % (a, b) + MARK + b":exit 0\n"
        ),
        *[_NUMBERS] * 2,
    ),
    st.builds(
        lambda a, b: section(b"hardware", b"/sys/a/temp:%s\n/sys/b/life_time:0x0%s\n" % (a, b)),
        *[_NUMBERS] * 2,
    ),
    st.builds(
        lambda a, b: section(b"sysctl", b"kern.boottime: { sec = %s }\nhw.ncpu: %s\n" % (a, b)),
        *[_NUMBERS] * 2,
    ),
    st.builds(
        lambda a, b, c: section(b"ps", b"%s %s root S %s x\n" % (a, b, c), b" pid ppid user stat etime args"),
        *[_NUMBERS] * 3,
    ),
    st.builds(
        lambda name, raw: section(name, raw),
        st.sampled_from([b"self", b"owners", b"names", b"log"]),
        st.binary(max_size=60),
    ),
    st.builds(lambda pid, path: section(b"written", b"%s/fd/1 /%s\n" % (pid, path)), _NUMBERS, st.binary(max_size=20)),
)
_FRAMES = st.builds(
    lambda linux, clock, disks, argv, check, others: frame(
        section(b"clock", clock + b"\n"),
        *others,
        section(b"linux", b"".join(linux)),
        section(b"disks", b"".join(disks)),
        processes(*argv),
        section(b"check", check, b" 63616d657261"),
    ),
    st.lists(_LINES, max_size=8),
    _NUMBERS,
    st.lists(_DISKS, max_size=4),
    st.lists(st.binary(max_size=60), max_size=4),
    st.binary(max_size=200),
    st.lists(_OTHERS, max_size=3),
)


@pytest.fixture(scope="module")
def report_input(tmp_path_factory: pytest.TempPathFactory) -> ReportInput:
    """Two remotes with a past."""
    return make_report_input(Made(remotes=2, now=START), tmp_path_factory.mktemp("history") / "history.sqlite3")


@settings(max_examples=25)
@given(raw=st.one_of(_FRAMES, st.binary(max_size=400).map(lambda inside: frame(inside))))
def test_from_bytes_to_page_and_message(report_input: ReportInput, raw: bytes) -> None:
    """Whatever numbers and texts come back: each stage takes them, nothing of the page has to be left out."""
    with within_budget():
        _show(report_input, raw)


def _show(report_input: ReportInput, raw: bytes) -> None:
    """All stages with what one remote has printed."""
    output = parse(raw, NONCE)
    offset = None if output.clock is None else output.clock - START.timestamp()
    facts = replace(output.facts, clock_offset_seconds=offset)
    answer = replace(output.answer, connect_ms=5, facts=facts)
    answer = TypeAdapter(RemoteAnswer).validate_json(to_json(answer))
    remote = report_input.fleet.remotes[0]
    result = read_remote(remote, answer, START)
    change = next_state(Kind.REMOTE, remote.name, None, result.troubles, Policy(), START)
    states = {**report_input.states, (Kind.REMOTE, remote.name): change.state}
    plan = plan_notifications(report_input.fleet, states, [OPS], NotificationMemory(), START)
    for notification in plan.notifications:
        assert compose_message(notification, report_input.fleet, PAGES).subject
    results = {**report_input.check_results, remote.name: result}
    shown = replace(report_input, states=states, check_results=results, measured_at={})
    with TemporaryDirectory() as folder:
        _, notes = make_site(shown, Path(folder), PAGES, None, START)
        found = json.loads((Path(folder) / "status.json").read_text())
    assert notes == ()
    assert found["remotes"][0]["name"] == remote.name


def test_a_banner_that_drips_costs_no_more_than_its_time() -> None:
    """A byte now and then is no reason to wait longer: the time is for the whole line."""
    stop = threading.Event()

    def drip(server: socket.socket) -> None:
        client, _ = server.accept()
        with client, suppress(OSError):
            while not stop.wait(0.05):
                client.sendall(b"x")

    with socket.create_server(("127.0.0.1", 0)) as server:
        dripping = threading.Thread(target=drip, args=(server,))
        dripping.start()
        began = time.monotonic()
        assert read_banner(None, "127.0.0.1", server.getsockname()[1], 0.4) == ""
        assert time.monotonic() - began < 4
        stop.set()
        dripping.join()
