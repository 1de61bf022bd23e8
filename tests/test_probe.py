"""
The probe's script, run by the real shells of this machine and read back by the real parser.
"""

import getpass
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest
from remotestatus_playbook import disk_table, probe_output, process_list, protocol
from remotestatus_playbook.machine_facts import Disk
from remotestatus_playbook.probe_output import ProbeOutput, parse
from remotestatus_playbook.probe_script import SCRIPT, Check, Questions, compose
from remotestatus_playbook.protocol import Process

from tests.lab import require_program

LONG = f"3{os.getpid()}"
"""Seconds to sleep that no other worker of the tests sleeps."""
NONCE = "0123456789abcdefABCDEF"
SHELLS = {"dash": ["dash"], "bash": ["bash"], "busybox": ["busybox", "sh"], "mksh": ["mksh"], "ksh93": ["ksh93"]}

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs Linux's /proc")


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest) -> list[str]:
    """Each shell that is installed here."""
    command = SHELLS[request.param]
    require_program(command[0], "this test")
    return command


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts processes for the probe to find, and ends them after the test."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*argv: str | bytes) -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def run(shell: list[str], script: bytes, *, front: Path | None = None, before: str = "") -> bytes:
    """Return what the shell prints; it must end with 0, print no error, and close its output in time."""
    path = f"{front}:{os.environ['PATH']}" if front else os.environ["PATH"]
    command = ["sh", "-c", f'{before}; exec "$@"', "sh", *shell, "-s"] if before else [*shell, "-s"]
    done = subprocess.run(
        command, input=script, capture_output=True, timeout=30, check=True, env={**os.environ, "PATH": path}
    )
    assert done.stderr == b""
    return done.stdout


def probe(shell: list[str], *, root_pid: int | None = None, checks: tuple[Check, ...] = (), **more: Any) -> ProbeOutput:
    return parse(run(shell, compose(NONCE, Questions(checks=checks), root_pid), **more), NONCE)


def listed(output: ProbeOutput) -> tuple[Process, ...]:
    assert output.answer.processes is not None
    return output.answer.processes


def without_proc(script: bytes) -> bytes:
    assert b"\nPROC=/proc\n" in script
    return script.replace(b"\nPROC=/proc\n", b"\nPROC=/nonexistent\n", 1)


def put(folder: Path, name: str, text: str) -> Path:
    program = folder / name
    program.write_text(f"#!/bin/sh\n{text}\n")
    program.chmod(0o755)
    return folder


def running_with(word: str) -> list[str]:
    """Return the processes that have this argument and have not ended."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if word.encode() in file.read_bytes().split(b"\0"):
                found.append(file.parent.name)
        except OSError:
            continue
    return found


def by_pid(output: ProbeOutput, pid: int) -> Process:
    return next(process for process in listed(output) if process.pid == pid)


def test_all_is_read_and_nothing_is_noted(shell: list[str]) -> None:
    """On Linux every value is there, agrees with what Python sees, and the frame is complete."""
    output = probe(shell)
    assert output.frame
    assert output.complete
    assert output.noise == ""
    assert abs((output.clock or 0) - time.time()) < 10
    assert abs((output.facts.uptime_seconds or 0) - float(Path("/proc/uptime").read_text().split()[0])) < 10
    assert len(output.facts.load or ()) == 3
    assert (output.facts.cpus or 0) >= 1
    assert (output.facts.memory_total_kb or 0) > (output.facts.memory_available_kb or 0) > 0
    assert output.answer.checks == ()


def test_a_process_is_described(shell: list[str], start: Callable[..., subprocess.Popen[bytes]]) -> None:
    """A process comes with its parent, owner, start, size and exact arguments."""
    process = start("sleep", "61.5")
    found = by_pid(probe(shell), process.pid)
    assert found.argv == ("sleep", "61.5")
    assert found.ppid == os.getpid()
    assert found.user == getpass.getuser()
    assert found.state in "SRD"
    assert abs((found.started or 0) - time.time()) < 30
    assert (found.rss_kb or 0) > 0
    assert (found.exact, found.kernel) == (True, False)


def test_arguments_keep_their_boundaries(shell: list[str], start: Callable[..., subprocess.Popen[bytes]]) -> None:
    """Newlines, quotes, empty arguments, other encodings and look-alikes of our output stay what they were."""
    code = "import time; time.sleep(60)"
    odd = [b"a\nb", b"'q\"", b"", b"\xff\xfe", "ü".encode(), b"S=x:process", b"1 (x) S 1 1 1", b"\\c\\n$HOME`id`", b""]
    process = start(sys.executable, "-c", code, *odd)
    argv = by_pid(probe(shell), process.pid).argv
    expected = ["a\nb", "'q\"", "", "\\xff\\xfe", "ü", "S=x:process", "1 (x) S 1 1 1", "\\c\\n$HOME`id`", ""]
    assert list(argv[-len(expected) :]) == expected


def test_a_very_long_command_line_is_cut(shell: list[str], start: Callable[..., subprocess.Popen[bytes]]) -> None:
    """A process with 100 kB of arguments costs no more than its limit, and the next ones are still read."""
    long = start(sys.executable, "-c", "import time; time.sleep(60)", "x" * 100_000)
    short = start("sleep", "62.5")
    output = probe(shell)
    assert len(by_pid(output, long.pid).argv[-1]) <= protocol.MAX_ARGV_BYTES
    assert by_pid(output, short.pid).argv == ("sleep", "62.5")


def test_a_zombie_is_reported_as_one(shell: list[str], start: Callable[..., subprocess.Popen[bytes]]) -> None:
    """A process that has ended and was not waited for has state Z and the name of its program."""
    process = start("true")
    stat = Path(f"/proc/{process.pid}/stat")
    while ") Z " not in stat.read_text():
        time.sleep(0.01)
    found = by_pid(probe(shell), process.pid)
    assert (found.state, found.argv, found.exact) == ("Z", ("true",), False)


def test_the_own_tree_is_marked(shell: list[str], start: Callable[..., subprocess.Popen[bytes]]) -> None:
    """With a root, that process and all below it are the checker's own, and pid 1 is not."""
    process = start("sleep", "63.5")
    output = probe(shell, root_pid=os.getpid())
    assert by_pid(output, os.getpid()).own
    assert by_pid(output, process.pid).own
    assert not by_pid(output, 1).own


def test_the_probes_own_shell_is_marked(shell: list[str], start: Callable[..., subprocess.Popen[bytes]]) -> None:
    """Without a root, the shell that runs the probe is own, and what else its parent started is not."""
    process = start("sleep", "64.5")
    output = probe(shell)
    shells = [one for one in listed(output) if one.argv == (*shell, "-s") and one.ppid == os.getpid()]
    assert [one.own for one in shells] == [True]
    assert not by_pid(output, process.pid).own


def test_noise_before_and_after_is_skipped(shell: list[str]) -> None:
    """Five megabytes of anything, and a forged frame with another nonce, change nothing."""
    forged = compose("f" * 22, Questions()).replace(b"exit 0\n", b"\n")
    banner = "echo Welcome; head -c 5000000 /dev/urandom; echo '[wrong:frame'"
    raw = run(shell, forged + compose(NONCE, Questions()), before=banner)
    output = parse(raw + b"logout\n" + os.urandom(1000), NONCE)
    assert output.complete
    assert output.noise.startswith("Welcome")
    assert output.answer.processes


def test_the_scripts_text_echoed_back_is_no_frame() -> None:
    """A device that prints what it is sent, and runs nothing, has given no frame."""
    assert not parse(compose(NONCE, Questions(checks=[Check("c", "true")])), NONCE).frame


@pytest.mark.parametrize("cut", range(0, 100, 4))
def test_a_cut_output_still_gives_the_finished_sections(cut: int) -> None:
    """Wherever the output ends, a value is either the whole one or None, and processes are never lost in silence."""
    script = compose(NONCE, Questions(checks=[Check("one", "echo fine"), Check("two", "exit 2")]))
    raw = run(["sh"], script)
    whole = parse(raw, NONCE)
    part = parse(raw[: len(raw) * cut // 100], NONCE)
    assert not part.complete
    assert part.clock in (None, whole.clock)
    for key in ("uptime_seconds", "load", "cpus", "memory_total_kb", "swap_free_kb", "disks"):
        assert getattr(part.facts, key) in (None, getattr(whole.facts, key))
    if part.answer.processes is not None:
        assert len(listed(part)) <= len(listed(whole))
        assert part.answer.processes_complete == (len(listed(part)) == len(listed(whole))) or part.facts.notes
    assert part.answer.checks == whole.answer.checks[: len(part.answer.checks)]


def test_each_section_outlives_the_next_ones(tmp_path: Path) -> None:
    """An output that ends right after a section's end marker holds that section in full."""
    raw = run(["sh"], compose(NONCE, Questions(checks=[Check("one", "echo fine")])))
    whole = parse(raw, NONCE)
    keys = {
        "clock": ["clock"],
        "linux": ["facts.load", "facts.memory_total_kb", "facts.cpus", "facts.uptime_seconds"],
        "processes": ["answer.processes", "answer.processes_complete"],
        "check": ["answer.checks"],
        "disks": ["facts.disks"],
    }
    for section, values in keys.items():
        marker = f"{NONCE}:{section}]".encode()
        part = parse(raw[: raw.index(marker) + len(marker)], NONCE)
        assert attrgetter(*values)(part) == attrgetter(*values)(whole)


def test_a_hanging_df_costs_only_the_disks(shell: list[str], tmp_path: Path) -> None:
    """df on a dead mount is ended with its children after some seconds; everything else is there."""
    front = put(tmp_path, "df", f"sleep {LONG} & sleep {LONG}")
    output = probe(shell, front=front)
    assert output.complete
    assert output.facts.disks is None
    assert disk_table.NOTE_DISKS_HUNG in output.facts.notes
    assert output.answer.processes_complete
    assert running_with(LONG) == []


def test_a_df_without_l_is_asked_again(shell: list[str], tmp_path: Path) -> None:
    """busybox's df refuses -l; then plain df -Pk is read."""
    table = "Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/sda1 100 40 60 40% /"
    front = put(tmp_path, "df", f'[ "$1" = -Pk ] || exit 1\necho "{table}"')
    assert probe(shell, front=front).facts.disks == (Disk("/", 100, 40, 40),)


def test_ps_stands_in_for_proc(shell: list[str], start: Callable[..., subprocess.Popen[bytes]]) -> None:
    """Without /proc, ps tells the processes at full width, with a wrapper's command line kept whole."""
    long = start("sleep", "65.5", *["1"] * 300)
    wrapper = start("sh", "-c", "sleep 66.5; true")
    time.sleep(1.2)  # ps does not tell the age of a process that is younger than its own clock's step
    raw = run(shell, without_proc(compose(NONCE, Questions(checks=[Check("one", "echo fine; exit 1")]))))
    output = parse(raw, NONCE)
    assert output.complete
    assert output.answer.processes_complete
    assert by_pid(output, long.pid).argv == ("sleep", "65.5", *["1"] * 300)
    assert by_pid(output, long.pid).exact is False
    assert abs((by_pid(output, long.pid).started or 0) - time.time()) < 30
    assert by_pid(output, wrapper.pid).argv == ("sh", "-c", "sleep 66.5; true")
    assert [check.exit for check in output.answer.checks] == [1]
    children = [one for one in listed(output) if one.ppid == wrapper.pid]
    for child in children:
        os.kill(child.pid, 9)


def test_no_proc_and_no_ps_is_unknown(shell: list[str], tmp_path: Path) -> None:
    """Where nothing can tell the processes, they are unknown and not an empty list, and a note says so."""
    front = put(tmp_path, "ps", "exit 127")
    raw = run(shell, without_proc(compose(NONCE, Questions())), front=front)
    output = parse(raw, NONCE)
    assert output.complete
    assert output.answer.processes is None
    assert process_list.NOTE_NO_PROCESSES in output.facts.notes


def test_checks_give_exit_code_text_and_time(shell: list[str]) -> None:
    """A check's name, exit code and text come back whatever quotes, newlines and stdin it uses."""
    checks = (
        Check("l'oad \\n é", 'echo "it\'s $((1 + 1)) | load=2;;"; exit 2'),
        Check("stdin", "cat; echo 'read\nnothing'"),
        Check("missing", "no-such-plugin-here"),
        Check("shouts", "head -c 1000000 /dev/zero | tr '\\0' x; exit 3"),
        # A password in it is in nobody's list of processes, and its children do not inherit it.
        Check("hidden", "echo my-passw0rd | grep -slF -f - /proc/[0-9]*/cmdline; env | grep REMOTESTATUS_; true"),
    )
    found = probe(shell, checks=checks).answer.checks
    assert [check.name for check in found] == [check.name for check in checks]
    assert [check.exit for check in found] == [2, 0, 127, 3, 0]
    assert found[0].output == "it's 2 | load=2;;"
    assert found[1].output == "read\nnothing"
    assert "not found" in found[2].output
    assert found[3].output == "x" * probe_output.MAX_CHECK_BYTES
    assert found[4].output == ""
    assert all(check.seconds is not None and 0 <= check.seconds < 5 for check in found)


def test_a_hanging_check_is_ended_with_its_children(shell: list[str]) -> None:
    """A check over its time has no exit code, leaves nothing running, and the next check still runs."""
    checks = (Check("hangs", f"sleep {LONG} & sleep {LONG}; true", 1), Check("next", "exit 1", 5))
    found = probe(shell, checks=checks).answer.checks
    assert [check.exit for check in found] == [None, 1]
    assert 0.5 < (found[0].seconds or 0) < 5
    assert running_with(LONG) == []


def test_a_check_that_leaves_a_daemon_keeps_its_result(shell: list[str]) -> None:
    """What a check leaves running holds nothing of ours open, and the exit code is known all the same."""
    found = probe(shell, checks=(Check("daemon", f"sleep {LONG} & echo started; exit 1", 1),)).answer.checks
    for pid in running_with(LONG):
        os.kill(int(pid), 9)
    assert found[0].exit == 1


def test_the_script_is_ascii_and_never_says_its_nonce() -> None:
    """Any shell in any locale can read the script."""
    assert SCRIPT.read_bytes().isascii()
