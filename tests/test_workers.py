"""
What is decided about workers: who looks at what, what travels, and what is believed of what comes back.
"""

import base64
import io
import json
import os
import re
import subprocess
import threading
import time
import zipfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path, PurePath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from remotestatus_playbook import plan
from remotestatus_playbook.handed_passwords import hide_passwords, take_passwords
from remotestatus_playbook.machine_facts import Facts
from remotestatus_playbook.protocol import (
    MAX_PROCESSES,
    HostDescription,
    InventoryDescription,
    Order,
    Outcome,
    Process,
    Proxy,
    RemoteAnswer,
    SshAccess,
    WorkerDescription,
    to_json,
)

from remotestatus.evaluate import combine, diagnose_worker, is_worth_another_place, without_proxys_fault
from remotestatus.inventory.host_pattern import match_hosts
from remotestatus.model.causes import Cause
from remotestatus.model.check_result import CheckResult, Trouble
from remotestatus.model.fleet import Fleet, Inventory, Remote, Worker
from remotestatus.model.fleet import Proxy as FleetProxy
from remotestatus.model.inventory_variables import CHECKER, FleetSettings, RemoteSettings, WorkerSpec, probe_names
from remotestatus.model.report_input import ReportInput
from remotestatus.model.rounds import Round
from remotestatus.model.states import Kind, State
from remotestatus.model.status_words import Status
from remotestatus.model.worker_faults import FaultKind
from remotestatus.probe.attempts.batch_queue import BatchQueue
from remotestatus.probe.attempts.batches import Batch, places_of, share_out_remotes
from remotestatus.probe.workers.script_on_worker import script_on_worker
from remotestatus.probe.workers.sent_inventory import sent_inventory, sent_known_hosts
from remotestatus.probe.workers.worker_archive import ANSWER_BYTES, read_archive
from remotestatus.probe.workers.worker_caller import password_variables
from remotestatus.probe.workers.worker_exchange import Parcel, run_worker
from remotestatus.probe.workers.worker_stream import FEWEST_LINES, LINE_BYTES, StreamLimits, WorkerFault, WorkerStream
from remotestatus.report import build_report
from tests.rounds import await_that, is_running

NOW = datetime(2026, 3, 1, tzinfo=UTC)
HERE = frozenset({CHECKER})


# -- who looks at what -------------------------------------------------------------------------------------------------


def _remote(name: str, proxy: str | None = None, connection: str = "ssh") -> Remote:
    path = (proxy,) if proxy else ()
    return Remote(name, ("site",), RemoteSettings(), connection=connection, path=path)


def _inventory(remotes: tuple[Remote, ...], *workers: Worker, passwords: frozenset[str] = frozenset()) -> Inventory:
    fleet = Fleet(remotes, (), FleetSettings(), workers)
    return Inventory(fleet, base=PurePath("/"), limited_to=frozenset(), passwords=passwords)  # type: ignore[arg-type]


NORTH = Worker("north", WorkerSpec(name="north"))
TRUSTED = Worker("trusted", WorkerSpec(name="trusted", secrets=True))
LAB = Worker("lab", WorkerSpec(name="lab", only="lab_site"), frozenset({"lab-1"}))


@pytest.mark.parametrize(
    ("remote", "passwords", "expected"),
    [
        (_remote("a"), "", {CHECKER, "north", "trusted"}),
        (_remote("a"), "a", {CHECKER, "trusted"}),
        (_remote("a", "p"), "p", {CHECKER, "trusted"}),
        (_remote("a", connection="local"), "", {CHECKER}),
        (replace(_remote("a"), program="nc"), "", {CHECKER}),
        (_remote("lab-1"), "", {"lab"}),
        (_remote("lab-1"), "lab-1", set()),
        (_remote("north"), "", {CHECKER, "trusted"}),
    ],
)
def test_who_may_look_at_a_remote(remote: Remote, passwords: str, expected: set[str]) -> None:
    """`only` is for nobody else, a password stays here unless it may travel, and nobody looks at itself."""
    inventory = _inventory((remote,), NORTH, TRUSTED, LAB, passwords=frozenset(passwords.split()))
    assert places_of(inventory, [remote]) == {remote.name: expected}


@settings(max_examples=25)
@given(
    sizes=st.lists(st.integers(1, 300), max_size=8),
    direct=st.integers(0, 600),
    workers=st.integers(1, 4),
)
def test_everything_is_looked_at_once_and_a_proxy_from_one_place(sizes: list[int], direct: int, workers: int) -> None:
    """Whatever the fleet: each remote is in one batch, and so are all that are behind one proxy."""
    remotes = [_remote(f"p{proxy}-{number}", f"p{proxy}") for proxy, size in enumerate(sizes) for number in range(size)]
    remotes += [_remote(f"d{number}") for number in range(direct)]
    everywhere = HERE | {f"w{number}" for number in range(workers)}
    batches = share_out_remotes(remotes, dict.fromkeys((remote.name for remote in remotes), everywhere))
    names = [name for batch in batches for name in batch.names]
    assert sorted(names) == sorted(remote.name for remote in remotes)
    whose = {name: number for number, batch in enumerate(batches) for name in batch.names}
    for proxy in range(len(sizes)):
        assert len({whose[remote.name] for remote in remotes if remote.path == (f"p{proxy}",)}) == 1
    if remotes:
        assert batches[0].places == HERE


def test_a_small_fleet_stays_here_and_a_large_one_is_shared() -> None:
    """Fifty remotes are one part, the checker's; of a thousand it takes half, and the last batches are small."""
    everywhere = HERE | {"north"}

    def shares(count: int) -> list[int]:
        remotes = [_remote(f"r{number}", f"p{number % 20}") for number in range(count)]
        return [len(batch.names) for batch in share_out_remotes(remotes, {one.name: everywhere for one in remotes})]

    assert shares(50) == [50]
    assert shares(1000) == [500, 250, 100, 50, 50, 50]


def test_a_failed_batch_goes_to_another_and_at_last_to_nobody() -> None:
    """Others try first; the only one that may tries twice; then it is lost, with all that waited for that place."""
    queue = BatchQueue([Batch(("a",), HERE | {"north"}), Batch(("b",), frozenset({"lab"})), Batch(("c",), frozenset())])
    never: Callable[[], bool] = lambda: False  # noqa: E731
    first = queue.take("north", never)
    assert first is not None
    assert not queue.give_back(first, "north")
    again = queue.take(CHECKER, never)
    assert again is not None
    assert again.names == ("a",)
    queue.finish(again)
    assert queue.take(CHECKER, never) is None
    only = queue.take("lab", never)
    assert only is not None
    assert queue.give_back(only, "lab")
    second = queue.take("lab", never)
    assert second is not None
    assert not queue.give_back(second, "lab")
    assert sorted(batch.names for batch in queue.lost) == [("b",), ("c",)]


def test_the_checker_takes_its_share_at_once() -> None:
    """It begins seldom: its own, then an equal share of what waits; the last ones are for whoever is still there."""
    everywhere = HERE | {"north", "south"}
    queue = BatchQueue([Batch(("own",), HERE), *(Batch((f"r{number}",), everywhere) for number in range(7))])

    def take() -> tuple[str, ...]:
        """What it takes at once; nothing when it would wait."""
        gone = iter((False, True))
        batch = queue.take(CHECKER, lambda: next(gone), seldom=True)
        return batch.names if batch else ()

    assert [take() for _ in range(6)] == [("own",), ("r0", "r1"), ("r2",), ("r3",), ("r4",), ()]
    queue.leave("north")
    queue.leave("south")
    assert take() == ("r5", "r6")


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("all", "a1 a2 b1"),
        ("a*", "a1 a2"),
        ("left:right", "a1 b1"),
        ("left,b1", "a1 b1"),
        ("all:!left", "a2 b1"),
        ("!left", "a2 b1"),
        ("all:&right", "b1"),
        ("~a[0-9]", "a1 a2"),
        ("a[12]:!a2", "a1"),
        ("nobody", ""),
    ],
)
def test_patterns_mean_what_they_mean_to_ansible(pattern: str, expected: str) -> None:
    """Names, groups, wildcards, unions, intersections, exclusions and regular expressions."""
    groups = {"a1": ("left",), "a2": (), "b1": ("right",)}
    assert sorted(match_hosts(pattern, groups)) == expected.split()


# -- what travels ------------------------------------------------------------------------------------------------------

VARIABLES = {
    "remotestatus_checks": [{"name": "disk", "command": "echo {{ not_ours }}"}],
    "remotestatus_timeout": 20,
    "remotestatus_apprise": "mailtos://secret",
    "remotestatus_nickname": "Camera",
}
DESCRIBED = InventoryDescription(
    hosts={
        "camera": HostDescription(
            ("remotes",), VARIABLES, address="127.0.0.1", port=8001, key_file="/home/me/.ssh/k", path=("gate",)
        ),
        "other": HostDescription(("remotes",), {}, address="192.0.2.7"),
        "gate": HostDescription(
            ("proxies",), {}, address="gate.example.com", user="jump", password=True, ssh_options=("-o", "Port=1 2")
        ),
    },
    proxies=(Proxy("gate", "gate", "gate.example.com", 22, "jump"),),
    ssh=SshAccess(jumps={"gate": "gate"}, key_names={"gate": "gate"}),
)


def test_only_what_the_probe_needs_travels() -> None:
    """The remote and its proxy, evaluated; no other host, no fleet-wide setting, no password, no text for people."""
    sent = json.dumps(sent_inventory(DESCRIBED, ["camera"], {}, PurePath("/home/me")))
    hosts = json.loads(sent)["all"]["hosts"]
    assert hosts.keys() == {"camera", "gate"}
    assert hosts["camera"]["ansible_ssh_private_key_file"] == "~/.ssh/k"
    assert hosts["camera"]["ansible_ssh_common_args"] == "-o ProxyJump=gate"
    assert hosts["camera"]["remotestatus_checks"][0]["command"] == {"__ansible_unsafe": "echo {{ not_ours }}"}
    assert hosts["gate"]["ansible_ssh_common_args"] == "-o 'Port=1 2'"
    assert not [word for word in ("mailtos", "Camera", "other", "192.0.2.7") if word in sent]
    own = sent_inventory(DESCRIBED, ["camera"], {"ansible_ssh_private_key_file": "~/k2"}, PurePath("/home/me"))
    assert json.dumps(own).count("~/k2") == 2


def test_host_keys_of_others_stay() -> None:
    """Lines travel for the remote and its proxy, and those that name nobody in clear."""
    lines = ["camera ssh-ed25519 A", "other ssh-ed25519 B", "gate ssh-ed25519 C", "|1|x|y ssh-ed25519 D", "# note", ""]
    assert [line[-1] for line in sent_known_hosts(DESCRIBED, ["camera"], lines).splitlines()] == ["A", "C", "D"]


def test_a_worker_is_sent_all_that_the_probe_reads() -> None:
    """The settings of a remote that the playbook reads are marked as those that its probe needs to know."""
    source = Path(plan.__file__).read_text()
    read = {name for name in RemoteSettings.model_fields if re.search(rf'["}}]{name}"', source)}
    assert read == set(probe_names())


def test_many_passwords_fit_into_variables_and_are_taken_out_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No variable is larger than Linux takes, none is lost, and what a worker starts and keeps has none of them."""
    passwords = {f"host-{number}": "x" * 50 for number in range(5000)}
    variables = password_variables(passwords)
    assert max(map(len, variables.values())) < 128 * 1024
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "command").write_text(json.dumps(variables))
    take_passwords.cache_clear()
    hide_passwords(tmp_path)
    assert {name: password.learn() for name, password in take_passwords().items()} == passwords
    take_passwords.cache_clear()
    assert not variables.keys() & os.environ.keys()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("then", ["exit 3", "sleep 1000"])
def test_nothing_of_a_run_stays(then: str, tmp_path: Path) -> None:
    """Its directory goes, and so does what has called setsid: when the program ends, and when only its input does."""
    runner, told = tmp_path / "bin" / "runner", tmp_path / "told"
    runner.parent.mkdir()
    runner.write_text(f'#!/bin/sh\nsetsid sleep 1000 &\necho "$! $TMPDIR $1" > {told}\n{then}\n')
    runner.chmod(0o700)
    environment = {**os.environ, "HOME": str(tmp_path)}
    with subprocess.Popen(
        ["/bin/sh", "-c", script_on_worker("~/bin/runner", 30)], stdin=subprocess.PIPE, env=environment
    ) as process:
        await_that(lambda: told.exists() and told.read_text().endswith("worker\n"))
        pid, folder, _ = told.read_text().split()
        assert Path(folder).parent != tmp_path
        if then != "exit 3":
            assert process.stdin is not None
            process.stdin.close()
        await_that(lambda: process.poll() is not None)
    assert not Path(folder).exists()
    assert not is_running(int(pid))


# -- what comes back ---------------------------------------------------------------------------------------------------


def _zip(members: Mapping[str, str | bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


ABOUT = {"remotestatus/worker.json": to_json(WorkerDescription("2.19.1", "2.4.0", "3.11.2", 1.0))}
ANSWER = to_json(RemoteAnswer(Outcome.SSH_FAILED, stderr="no"))


def test_a_lie_about_others_is_refused_and_told() -> None:
    """What was asked is read, everything else is not; names that lead elsewhere are only names."""
    archive = _zip(
        {
            **ABOUT,
            "remotestatus/remotes/a.json": ANSWER,
            "remotestatus/remotes/b.json": ANSWER,
            "remotestatus/remotes/../../../../tmp/evil.json": ANSWER,
            "/etc/evil": "x",
        }
    )
    found = read_archive(archive, ["a", "c"], [])
    assert found.remotes == {"a": RemoteAnswer(Outcome.SSH_FAILED, stderr="no")}
    assert found.refused == ("b", "../../../../tmp/evil")


@pytest.mark.parametrize(
    "answer",
    ["[]", "{", b"\xff", '{"outcome": "up"}', "9" * (ANSWER_BYTES + 1)],
    ids=["list", "half", "no text", "other keys", "too large"],
)
def test_an_answer_that_cannot_be_read_costs_that_remote(answer: str | bytes) -> None:
    """Wrong types, broken text and one that unpacks without end: an error of that one remote."""
    found = read_archive(_zip({**ABOUT, "remotestatus/remotes/a.json": answer}), ["a"], [])
    assert found.remotes["a"].outcome is Outcome.ERROR


def test_all_answers_together_have_a_limit() -> None:
    """What is too much costs the largest ones, and is not kept: the others are read."""
    flood = to_json(RemoteAnswer(Outcome.SSH_FAILED, noise="9" * (ANSWER_BYTES - 2000)))
    archive = _zip({**ABOUT, **{f"remotestatus/remotes/r{number}.json": flood for number in range(5)}})
    small = _zip({**ABOUT, "remotestatus/remotes/r9.json": ANSWER})
    names = [f"r{number}" for number in range(10)]
    found = read_archive(archive, names, []).remotes
    assert [one.outcome for one in found.values()].count(Outcome.ERROR) == 3
    assert read_archive(small, names, []).remotes["r9"].stderr == "no"


@pytest.mark.parametrize(
    "answer",
    [
        RemoteAnswer(Outcome.ANSWERED, answered_by=("x",) * (MAX_PROCESSES + 1)),
        RemoteAnswer(Outcome.ANSWERED, facts=Facts(pressure=dict.fromkeys(map(str, range(MAX_PROCESSES + 1)), 1.0))),
        RemoteAnswer(
            Outcome.ANSWERED, processes=(Process(1, 1, "u", "R", None, None, ("",) * 300_000, True, False, False),)
        ),
    ],
    ids=["list", "mapping", "arguments"],
)
def test_no_list_of_an_answer_is_endless(answer: RemoteAnswer) -> None:
    """One that the probe itself would never give costs that remote, because it takes many times its text to keep."""
    found = read_archive(_zip({**ABOUT, "remotestatus/remotes/a.json": to_json(answer)}), ["a"], [])
    assert found.remotes["a"].outcome is Outcome.ERROR


def test_a_directory_without_end_is_a_fault() -> None:
    """Before any of its entries is read, of which each costs more than its bytes."""
    archive = _zip({**ABOUT, **{str(number): "" for number in range(1500)}})
    with pytest.raises(WorkerFault, match="too many files") as caught:
        read_archive(archive, ["a"], [])
    assert caught.value.fault is FaultKind.GARBAGE
    assert read_archive(archive, [str(number) for number in range(200)], []).remotes == {}


@pytest.mark.parametrize(
    ("archive", "fault"),
    [
        (b"", FaultKind.GARBAGE),
        (b"PK\x05\x06", FaultKind.GARBAGE),
        (_zip({}), FaultKind.FAILED),
        (_zip({"remotestatus/worker.json": '{"ansible": 1}'}), FaultKind.GARBAGE),
        (_zip(ABOUT)[:-30], FaultKind.GARBAGE),
    ],
    ids=["nothing", "no archive", "no word of itself", "half a word of itself", "cut off"],
)
def test_an_archive_that_is_none_is_a_fault(archive: bytes, fault: FaultKind) -> None:
    """Nothing, garbage, one without answers, one of another version, one that was cut."""
    with pytest.raises(WorkerFault) as caught:
        read_archive(archive, ["a"], [])
    assert caught.value.fault is fault


@settings(max_examples=40)
@given(st.data())
def test_no_archive_does_harm(data: st.DataObject) -> None:
    """Whatever bytes are changed: it is read, or it is a fault of the worker."""
    whole = bytearray(_zip({**ABOUT, "remotestatus/remotes/a.json": ANSWER}))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    with suppress(WorkerFault):
        assert read_archive(bytes(whole), ["a"], []).remotes.keys() <= {"a"}


def _read(sent: bytes, bounds: StreamLimits, *, stays_open: bool = False) -> tuple[list[bytes], WorkerStream]:
    """Send bytes through a real pipe and read all lines of it."""
    reading, writing = os.pipe()
    errors, ended = os.pipe()
    os.close(ended)
    stop = threading.Event()

    def write() -> None:
        with suppress(BrokenPipeError), os.fdopen(writing, "wb") as file:
            file.write(sent)
            file.flush()
            if stays_open:
                stop.wait(20)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        stream = WorkerStream(reading, errors, bounds)
        lines = []
        while line := stream.readline():
            lines.append(line)
        return lines, stream
    finally:
        os.close(reading)
        os.close(errors)
        stop.set()
        writer.join()


def _bounds(*, silence: float = 5, archive: int = 10_000, seconds: float = 5) -> StreamLimits:
    return StreamLimits(time.monotonic() + seconds, archive, silence=silence, first_line=silence)


def test_an_archive_never_reaches_the_process_stage() -> None:
    """Lines pass as they are; the archive between them is kept, and no line of the stream."""
    archive = _zip(ABOUT)
    encoded = base64.b64encode(archive)
    sent = b'{"status": "x"}\n{"zipfile": %d}\n%s{"eof": true}\n' % (len(archive), encoded)
    lines, stream = _read(sent, _bounds())
    assert lines == [b'{"status": "x"}\n', b'{"eof": true}\n']
    assert stream.archive == archive


@pytest.mark.parametrize(
    ("sent", "fault"),
    [
        (b"Welcome to north!\n", FaultKind.GARBAGE),
        (b'["zipfile"]\n', FaultKind.GARBAGE),
        (b"7\n", FaultKind.GARBAGE),
        (b'{"zipfile": 99999999999}\n', FaultKind.GARBAGE),
        (b'{"zipfile": -1}\n', FaultKind.GARBAGE),
        (b'{"zipfile": 3}\n!!!!', FaultKind.GARBAGE),
        (b'{"zipfile": 300}\nAAAA', FaultKind.ENDED),
        (b'{"unfinished', FaultKind.GARBAGE),
        (b'{"status": "starting", "env": {"REMOTESTATUS_PASSWORDS0": "Segmentation fault\n', FaultKind.GARBAGE),
        (b"[" * 100_000 + b"\n", FaultKind.GARBAGE),
        (b"x" * (LINE_BYTES + 70_000), FaultKind.GARBAGE),
        pytest.param(b"{}\n" * (FEWEST_LINES + 1), FaultKind.GARBAGE, id="lines without end"),
    ],
)
def test_garbage_on_the_stream_is_a_fault(sent: bytes, fault: FaultKind) -> None:
    """What ansible-runner would not send ends it at once."""
    with pytest.raises(WorkerFault) as caught:
        _read(sent, _bounds())
    assert "env" not in str(caught.value)
    assert caught.value.fault is fault


@pytest.mark.parametrize(("seconds", "fault"), [(60, FaultKind.SILENT), (0, FaultKind.TOO_SLOW)])
def test_silence_and_slowness_end(seconds: float, fault: FaultKind) -> None:
    """A stream that stays open and says nothing more ends when its silence or its time is over."""
    with pytest.raises(WorkerFault) as caught:
        _read(b"{}\n", _bounds(silence=0.3, seconds=seconds), stays_open=True)
    assert caught.value.fault is fault


def test_what_came_while_nobody_listened_is_no_silence() -> None:
    """A checker that was busy or suspended takes nobody for dead who has gone on talking meanwhile."""
    reading, writing = os.pipe()
    errors, ended = os.pipe()
    stream = WorkerStream(reading, errors, _bounds(silence=0.05))
    for number in (b"1", b"2"):
        os.write(writing, b'{"counter": %s}\n' % number)
        time.sleep(0.1)
        assert number in stream.readline()
    for descriptor in (reading, writing, errors, ended):
        os.close(descriptor)


def test_a_command_may_end_what_it_began_elsewhere(tmp_path: Path) -> None:
    """A command that fails is interrupted, as by Ctrl-C, and may tidy up before it is killed."""
    ended = tmp_path / "ended"
    command = f"exec 2>&-; trap 'sleep 0.1; : >{ended}; exit' INT; echo garbage; while :; do sleep 0.1; done"
    parcel = Parcel(("/bin/sh", "-c", command), tmp_path / "parcel", "{}", "", Order(), (), (), {}, ends=True)
    with pytest.raises(WorkerFault):
        run_worker(parcel, time.monotonic() + 20, lambda: False, lambda start: start())
    assert ended.exists()


# -- what several places found -----------------------------------------------------------------------------------------


def _result(cause: Cause | None) -> CheckResult:
    return CheckResult("a", NOW, (Trouble(cause, f"{cause}."),) if cause else ())


@pytest.mark.parametrize(
    ("found", "cause", "worker", "not_from"),
    [
        ({CHECKER: None}, None, None, ()),
        ({CHECKER: Cause.TUNNEL_DOWN, "north": None}, None, "north", (CHECKER,)),
        ({"north": Cause.PROXY_UNREACHABLE, CHECKER: None}, None, None, ("north",)),
        ({CHECKER: Cause.TUNNEL_DOWN, "north": Cause.PROCESS_MISSING}, Cause.PROCESS_MISSING, "north", (CHECKER,)),
        ({CHECKER: Cause.TUNNEL_DOWN, "north": Cause.AUTHENTICATION_FAILED}, Cause.TUNNEL_DOWN, None, ()),
        ({CHECKER: Cause.PROXY_UNREACHABLE, "north": Cause.TUNNEL_DOWN}, Cause.TUNNEL_DOWN, "north", ()),
        ({CHECKER: Cause.PROXY_UNREACHABLE, "north": Cause.HOST_KEY_UNKNOWN}, Cause.PROXY_UNREACHABLE, None, ()),
        ({"lab": Cause.WORKER_UNREACHABLE}, Cause.WORKER_UNREACHABLE, "lab", ()),
    ],
)
def test_up_from_anywhere_is_up(
    found: Mapping[str, Cause | None], cause: Cause | None, worker: str | None, not_from: tuple[str, ...]
) -> None:
    """Who reached it counts; else who came furthest; a worker's own refused log-in says nothing about the remote."""
    chosen = combine({place: _result(one) for place, one in found.items()})
    assert (chosen.trouble.cause if chosen.trouble else None) is cause
    assert (chosen.worker, chosen.not_from) == (worker, not_from)


def test_down_from_all_says_from_where_it_was_tried() -> None:
    """The places are named, and what another one saw if it is something else."""
    found = {CHECKER: Cause.TUNNEL_DOWN, "north": Cause.TUNNEL_STALE, "south": Cause.TUNNEL_DOWN}
    chosen = combine({place: _result(cause) for place, cause in found.items()})
    assert chosen.status is Status.DOWN
    assert chosen.trouble is not None
    assert chosen.trouble.message == "tunnel-down. Tried from the checker, north and south. From north: tunnel-stale."


def test_down_from_the_only_place_says_which_that_is() -> None:
    """What only a worker looks at was tried from there; the checker itself is not worth a word."""
    for place, cause, said in (
        ("north", Cause.TUNNEL_DOWN, "tunnel-down. Tried from north."),
        ("north", Cause.WORKER_UNREACHABLE, "worker-unreachable."),
        (CHECKER, Cause.TUNNEL_DOWN, "tunnel-down."),
    ):
        trouble = combine({place: _result(cause)}).trouble
        assert trouble is not None
        assert trouble.message == said


def test_a_worker_without_room_is_told_as_that() -> None:
    """ansible-runner says that it failed, and the system why."""
    north = FleetProxy("north", "north", "127.0.0.1", 22, None)
    seen, said = "Failed to extract private data directory on worker.", "head: write error: No space left on device\n"
    trouble = diagnose_worker(north, FaultKind.FAILED, seen, said, by_ssh=True)
    assert trouble.message == "The worker north has no room for what it is sent."
    assert trouble.detail == said.strip()


@pytest.mark.parametrize(
    ("code", "message"),
    [(0, "The worker north ended before it had answered."), (255, "The connection to north broke in the middle.")],
)
def test_a_line_that_was_cut_is_told_as_that(code: int, message: str, tmp_path: Path) -> None:
    """Ssh ends without a word then; a worker that has ended has its own exit code."""
    parcel = Parcel(("/bin/sh", "-c", f"exit {code}"), tmp_path / "parcel", "{}", "", Order(), (), (), {})
    with pytest.raises(WorkerFault) as caught:
        run_worker(parcel, time.monotonic() + 20, lambda: False, lambda start: start())
    subject = FleetProxy("north", "north", "10.0.0.1", 22, None)
    trouble = diagnose_worker(subject, caught.value.fault, caught.value.seen, caught.value.stderr, by_ssh=True)
    assert (trouble.cause, trouble.message) == (Cause.CONNECTION_LOST, message)


def test_a_worker_without_its_program_is_told_as_that() -> None:
    """What the shell there says while its input stays open, and what people are told of it."""
    with subprocess.Popen(
        ["/bin/sh", "-c", script_on_worker("/nowhere/ansible-runner", 30)],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        said = process.stderr.read()
    north = FleetProxy("north", "north", "127.0.0.1", 22, None)
    trouble = diagnose_worker(north, FaultKind.ENDED, "", said, by_ssh=True)
    assert trouble.message == "On the worker north, ansible-runner could not be started."
    assert "/nowhere/ansible-runner" in trouble.detail


def test_a_proxy_that_answers_elsewhere_is_not_blamed() -> None:
    """Only a worker looks at a remote and does not reach its proxy, which others do: nobody would hear of it else."""
    remote = _remote("camera-1", "gate")
    result = replace(_result(Cause.PROXY_UNREACHABLE), worker="north")
    blamed = replace(result, troubles=(replace(result.troubles[0], proxy="gate"),))
    assert without_proxys_fault(remote, blamed, {"gate": {"north"}}) is blamed
    trouble = without_proxys_fault(remote, blamed, {"gate": {CHECKER, "north"}}).trouble
    assert trouble is not None
    assert trouble.cause is Cause.NOT_CHECKED
    assert trouble.message.startswith("camera-1 was not checked: its proxy gate does not answer north")


@pytest.mark.parametrize(
    ("cause", "of_proxy", "worth"),
    [
        (None, None, False),
        (Cause.PROCESS_MISSING, None, False),
        (Cause.TUNNEL_DOWN, None, True),
        (Cause.PROXY_UNREACHABLE, Cause.CONNECTION_TIMEOUT, True),
        (Cause.PROXY_UNREACHABLE, Cause.HOST_KEY_CHANGED, False),
        (Cause.PROXY_UNREACHABLE, Cause.AUTHENTICATION_FAILED, False),
        (Cause.AUTHENTICATION_FAILED, None, False),
        (Cause.HOST_KEY_CHANGED, None, False),
        (Cause.WORKER_UNREACHABLE, None, False),
    ],
)
def test_what_is_tried_elsewhere(cause: Cause | None, of_proxy: Cause | None, *, worth: bool) -> None:
    """What was not reached is; what refused us, itself or by its proxy, is not."""
    proxies = {"p": _result(of_proxy)} if of_proxy else {}
    assert is_worth_another_place(_result(cause), proxies, ("p",)) is worth


# -- what the page says ------------------------------------------------------------------------------------------------


def test_a_site_that_one_place_cannot_see_is_one_entry() -> None:
    """All behind a proxy, chains too, are one entry; single remotes are one entry a place."""
    not_from = {"outer-1": (CHECKER,), "inner-1": (CHECKER,), "direct-1": (CHECKER, "north"), "other-1": (CHECKER,)}
    paths = {"outer-1": ("outer",), "inner-1": ("outer", "inner"), "other-1": ("other",), "other-2": ("other",)}
    names = ("outer-1", "inner-1", "direct-1", "other-1", "other-2")
    remotes = tuple(replace(_remote(name), path=paths.get(name, ())) for name in names)
    made = ReportInput(
        fleet=Fleet(remotes, (), FleetSettings(), (NORTH,)),
        round=Round(1, NOW, NOW, len(remotes)),
        states={(Kind.REMOTE, name): State(Kind.REMOTE, name, Status.UP, NOW, NOW) for name in names},
        check_results={name: CheckResult(name, NOW, not_from=not_from.get(name, ())) for name in names},
    )
    report = build_report(made, NOW)
    assert [(one.place, one.proxy, one.remotes) for one in report.out_of_sight] == [
        (CHECKER, "outer", ("outer-1", "inner-1")),
        (CHECKER, None, ("direct-1", "other-1")),
        ("north", None, ("direct-1",)),
    ]
    assert report.aside == "4 not from the checker, 1 not from the worker north"
    assert not build_report(made, NOW, public=True).out_of_sight
