"""
The parser of the probe's output: what it makes of frames written by hand, and of anything else.
"""

import mmap
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter
from remotestatus_playbook import process_list, protocol
from remotestatus_playbook.probe_output import ProbeOutput, parse
from remotestatus_playbook.protocol import Process, RemoteAnswer, to_json

NONCE = "0123456789abcdef"
ANSWERS = TypeAdapter(RemoteAnswer)


def section(name: str, *lines: str, words: str = "") -> bytes:
    return "\n".join([f"[{NONCE}:{name}{words and ' ' + words}", *lines, f"{NONCE}:{name}]", ""]).encode()


def framed(*sections: bytes) -> bytes:
    return b"\n[%s:frame\n%s%s:frame]\n" % (NONCE.encode(), b"".join(sections), NONCE.encode())


def stat(pid: int, ppid: int, sid: int, name: str = "x", *, state: str = "S", flags: int = 0, ticks: int = 100) -> str:
    return f"{pid} ({name}) {state} {ppid} {pid} {sid} 0 -1 {flags} 0 0 0 0 0 0 0 0 20 0 1 0 {ticks} 0 0 0\n"


def proc_section(*files: str, words: str = "") -> bytes:
    """Return the section as head leaves it: no newline stands before the end marker."""
    content = "".join(f"S={NONCE}:process\0{file}" for file in files)
    return f"[{NONCE}:processes {words}\n{content}{NONCE}:processes]\n".encode()


def listed(output: ProbeOutput) -> tuple[Process, ...]:
    assert output.answer.processes is not None
    return output.answer.processes


def processes(*sections: bytes) -> tuple[Process, ...]:
    return listed(parse(framed(*sections), NONCE))


def assert_readable(output: ProbeOutput) -> None:
    """The package reads the very same values from the JSON that the playbook leaves."""
    answer = replace(output.answer, noise=output.noise, facts=output.facts)
    assert ANSWERS.validate_json(to_json(answer)) == answer


def own(shell: str, *table: tuple[int, int, int, str]) -> list[int]:
    """Return the own pids of a table of pid, parent, session and command line; the probe's shell has pid 50."""
    files = [stat(pid, ppid, sid) + title + "\0" for pid, ppid, sid, title in table]
    self_section = section("self", words=f"50 {shell}")
    return [one.pid for one in processes(self_section, proc_section(*files)) if one.own]


def test_owners_names_and_starts_are_joined() -> None:
    """User, size and start time come from three other files than the arguments do."""
    (one,) = processes(
        section(
            "linux", "/proc/stat:btime 1700000000", "/proc/stat:cpu0 1 2", "/etc/passwd:tunnel:x:1001:1::/:/bin/sh"
        ),
        section("owners", "/proc/9/status:Uid:\t1001\t1001\t1001\t1001", "/proc/9/status:VmRSS:\t    1234 kB"),
        proc_section(stat(9, 1, 9, ticks=250) + "ssh\0-N\0"),
    )
    assert (one.user, one.rss_kb, one.started) == ("tunnel", 1234, 1700000002)
    assert (one.argv, one.exact, one.kernel, one.state) == (("ssh", "-N"), True, False, "S")


def test_a_user_without_a_name_keeps_its_number() -> None:
    """Where no name is known for a uid, the number stands for it; one from a name service is used."""
    files = [stat(8, 1, 8) + "a\0", stat(9, 1, 9) + "b\0"]
    owners = section("owners", "/proc/8/status:Uid:\t5001\t1\t1\t1", "/proc/9/status:Uid:\t5002\t1\t1\t1")
    names = section("names", "ldap-user:*:5002:100::/:/bin/sh")
    assert [one.user for one in processes(owners, names, proc_section(*files))] == ["5001", "ldap-user"]


@pytest.mark.parametrize(
    ("command_line", "argv"),
    [
        ("ssh\0-N\0", ["ssh", "-N"]),
        ("ssh\0\0", ["ssh", ""]),
        ("a\0b\nc\0", ["a", "b\nc"]),
        ("nginx: worker process\0\0\0\0\0", ["nginx: worker process"]),
        ("sshd: alice [priv]     \0", ["sshd: alice [priv]"]),
        ("no-nul-at-the-end", ["no-nul-at-the-end"]),
        ("\0\0\0", []),
        ("", []),
    ],
)
def test_command_lines_are_split_at_nuls(command_line: str, argv: list[str]) -> None:
    """Arguments end at NULs, and a title written over them is one argument without its padding."""
    (one,) = processes(proc_section(stat(9, 1, 9) + command_line))
    assert one.argv == tuple(argv)


def test_a_name_that_imitates_the_next_fields_is_a_name() -> None:
    """A process may call itself anything, even the rest of its own line."""
    (one,) = processes(proc_section(stat(9, 3, 9, ") R 1 (x) Z 5\n") + "a\0"))
    assert (one.pid, one.ppid, one.state) == (9, 3, "S")


def test_kernel_threads_and_zombies_are_recognised() -> None:
    """A kernel thread is known by its flag, a zombie by its state and its program's name."""
    files = [stat(2, 0, 0, "kthreadd", flags=0x00208040), stat(9, 1, 9, "ssh", state="Z")]
    thread, zombie = processes(proc_section(*files))
    assert (thread.kernel, thread.argv) == (True, ())
    assert (zombie.kernel, zombie.argv, zombie.state, zombie.exact) == (False, ("ssh",), "Z", False)


@pytest.mark.parametrize(
    ("shell", "table", "expected"),
    [
        pytest.param(
            "40 0",
            [
                (10, 1, 10, "sshd: /usr/sbin/sshd -D [listener]"),
                (30, 10, 30, "sshd: alice [priv]"),
                (40, 30, 30, "sshd: alice@notty"),
                (50, 40, 50, "/bin/sh"),
                (60, 50, 50, "sleep"),
                (31, 10, 31, "sshd: bob [priv]"),
                (41, 31, 31, "sshd: bob@notty"),
            ],
            [30, 40, 50, 60],
            id="the connection is own, the listener and other people's connections are not",
        ),
        pytest.param(
            "40 0",
            [(30, 1, 30, "sshd: alice [priv]"), (40, 30, 30, "sshd: alice@notty"), (50, 40, 50, "/bin/sh")],
            [30, 40, 50],
            id="a socket-activated sshd has parent 1 and is own",
        ),
        pytest.param(
            "45 0",
            [(10, 1, 10, "sshd"), (40, 10, 40, "sshd: a"), (45, 40, 45, "fish"), (50, 45, 45, "sh"), (51, 1, 45, "x")],
            [40, 45, 50],
            id="a login shell that stays is own, and what only shares its session is not",
        ),
        pytest.param(
            "40 0",
            [(1, 0, 1, "sshd -D"), (40, 1, 40, "sshd: alice"), (50, 40, 50, "/bin/sh")],
            [40, 50],
            id="a listener that is pid 1 is never own",
        ),
        pytest.param(
            "40 20",
            [(5, 1, 5, "bash"), (20, 5, 5, "checker"), (40, 20, 40, "worker"), (50, 40, 40, "sh"), (60, 20, 60, "ssh")],
            [20, 40, 50, 60],
            id="with a root, its subtree is own and the user's shell above it is not",
        ),
        pytest.param(
            "1 0",
            [
                (10, 1, 10, "sshd"),
                (30, 10, 30, "sshd-session: a [priv]"),
                (40, 30, 30, "sshd-session: a@notty"),
                (41, 40, 41, "run0 --user=root /bin/sh -c 'echo BECOME-SUCCESS-x ; exec /bin/sh -s'"),
                (50, 1, 50, "sh"),
                (31, 10, 31, "sshd-session: b@notty"),
            ],
            [30, 40, 41, 50],
            id="systemd starts run0's shell, and run0 waits for it in the connection",
        ),
        pytest.param("40 0", [(40, 50, 1, "x"), (50, 40, 1, "y")], [40, 50], id="a circle of parents ends"),
        pytest.param("40 0", [(9, 1, 9, "x")], [], id="a shell that is not in the list owns nothing"),
    ],
)
def test_own_processes_are_found_by_ancestry(
    shell: str, table: list[tuple[int, int, int, str]], expected: list[int]
) -> None:
    """What the checker itself causes is known by parents and sessions, never by name."""
    assert sorted(own(shell, *table)) == sorted(expected)


def test_hidden_processes_make_the_list_incomplete() -> None:
    """Where /proc hides other users' processes, the list says that it is not all of them."""
    output = parse(framed(proc_section(stat(9, 1, 9) + "a\0", words="hidden")), NONCE)
    assert len(listed(output)) == 1
    assert not output.answer.processes_complete
    assert process_list.NOTE_HIDDEN in output.facts.notes


def test_a_list_cut_in_the_middle_is_incomplete() -> None:
    """The last process of an unfinished section may be cut itself, so it is left out, and a note says so."""
    whole = framed(proc_section(stat(8, 1, 8) + "a\0", stat(9, 1, 9) + "xyz\0"))
    output = parse(whole[: whole.index(b"xyz") + 2], NONCE)
    assert [one.pid for one in listed(output)] == [8]
    assert not output.answer.processes_complete
    assert process_list.NOTE_CUT_SHORT in output.facts.notes


def test_too_many_processes_are_not_all_kept() -> None:
    """A fork bomb costs no more than MAX_PROCESSES entries, and the list says that it ends early."""
    files = [stat(pid, 1, pid) + "x\0" for pid in range(2, protocol.MAX_PROCESSES + 12)]
    output = parse(framed(proc_section(*files)), NONCE)
    assert len(listed(output)) == protocol.MAX_PROCESSES
    assert not output.answer.processes_complete
    assert process_list.NOTE_TOO_MANY in output.facts.notes


MACOS = """\
  PID  PPID USER             STAT    RSS     ELAPSED ARGS
    1     0 root             Ss    14336 05-01:02:03 /sbin/launchd
  301     1 alice            S      5120       01:00 /usr/bin/ssh -N -R 8001:localhost:22 proxy
  302   301 alice            Z         0       00:10 (ssh)
"""
FREEBSD = """\
 PID PPID USER STAT   RSS     ELAPSED COMMAND
   0    0 root DLs   2048  5-01:02:03 [kernel]
   1    0 root ILs    512  5-01:02:03 /sbin/init
 301    1 www  I     5120       01:00 nginx: worker process (nginx)
 302    1 root IWs      0           - [cron]
"""
PROCPS = """\
    PID    PPID USER     STAT   RSS     ELAPSED COMMAND
      2       0 root     S        0  5-01:02:03 [kthreadd]
     15       2 root     I<       0  5-01:02:03 [kworker/0:0H-events]
    301       1 alice    Ss    5120       01:00 /bin/sh -c python manage.py capture_videos.py
    302     301 alice    Z        0       01:00 [python] <defunct>
"""


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        (
            MACOS,
            [
                ("root", "S", 1_699_564_277, False, ["/sbin/launchd"]),
                ("alice", "S", 1_699_999_940, False, ["/usr/bin/ssh", "-N", "-R", "8001:localhost:22", "proxy"]),
                ("alice", "Z", 1_699_999_990, False, ["ssh"]),
            ],
        ),
        (
            FREEBSD,
            [
                ("root", "D", 1_699_564_277, True, ["[kernel]"]),
                ("root", "I", 1_699_564_277, False, ["/sbin/init"]),
                ("www", "I", 1_699_999_940, False, ["nginx:", "worker", "process", "(nginx)"]),
                ("root", "I", None, False, ["[cron]"]),
            ],
        ),
        (
            PROCPS,
            [
                ("root", "S", 1_699_564_277, True, ["[kthreadd]"]),
                ("root", "I", 1_699_564_277, True, ["[kworker/0:0H-events]"]),
                ("alice", "S", 1_699_999_940, False, ["/bin/sh", "-c", "python manage.py capture_videos.py"]),
                ("alice", "Z", 1_699_999_940, False, ["python"]),
            ],
        ),
    ],
    ids=["macos", "freebsd", "procps"],
)
def test_tables_of_ps_are_read(table: str, expected: list[tuple[Any, ...]]) -> None:
    """Each system's table, in the form that its manual page gives, is read by the columns that were asked for."""
    found = processes(
        section("clock", "1700000000"),
        section("ps", *table.splitlines(), "0", words="pid ppid user stat rss etime args -ww"),
    )
    assert all(one.exact is False for one in found)
    assert [(one.user, one.state, one.started, one.kernel, list(one.argv)) for one in found] == expected


def test_the_first_ps_that_answers_is_taken() -> None:
    """A ps that refused its options leaves an empty section, and the next one with fewer columns is read."""
    refused = section("ps", "1", words="pid ppid user stat rss etime args -ww")
    answered = section(
        "ps", "  PID  PPID     USER ARGS", "    9     1     root cron -f", "0", words="pid ppid user args"
    )
    (one,) = processes(refused, answered)
    assert (one.argv, one.state, one.started, one.rss_kb) == (("cron", "-f"), "?", None, None)


def test_without_sessions_the_listener_is_the_one_below_pid_1() -> None:
    """ps tells no sessions: ancestors are own up to, but not including, the one whose parent is pid 1."""
    table = [
        "10 1 root sshd",
        "30 10 root sshd: a [priv]",
        "40 30 a sshd: a@notty",
        "50 40 a sh",
        "60 50 a ps",
        "70 1 b x",
    ]
    found = processes(section("self", words="50 40 0"), section("ps", *table, words="pid ppid user args"))
    assert [one.pid for one in found if one.own] == [30, 40, 50, 60]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("/dev/sda1 100 40 60 40% /", ("/", 40)),
        ("overlay 100 40 60 40% /", ("/", 40)),
        ("tank/data 100 40 60 40% /srv/my data", ("/srv/my data", 40)),
        ("My Disk 100 40 60 - /mnt", None),
        ("/dev/sda2 100 140 -40 140% /full", ("/full", 140)),
        ("tmpfs 100 40 60 40% /run", None),
        ("udev 100 0 100 0% /dev", None),
        ("map auto_home 0 0 0 100% /System/Volumes/Data/home", None),
        ("/dev/loop3 100 100 0 100% /snap/core/1", None),
        ("overlay 100 40 60 40% /var/lib/docker/overlay2/x/merged", None),
        ("/dev/sda1 100 40 60 40% /etc/hosts", None),
        ("efi 0 0 0 - /x", None),
        ("Filesystem 1024-blocks Used Available Capacity Mounted on", None),
    ],
)
def test_lines_of_df(line: str, expected: tuple[Any, ...] | None) -> None:
    """Only what can fill up is a disk: no memory, no read-only images, no bind mounts of a container."""
    disks = parse(framed(section("disks", line, f"{NONCE}:exit 0")), NONCE).facts.disks
    assert [(disk.mount, disk.percent) for disk in disks or []] == ([expected] if expected else [])


@pytest.mark.parametrize(
    "lines",
    [
        [
            "kern.boottime: { sec = 1699999000, usec = 5 } Tue Nov 14 22:13:20 2023",
            "vm.loadavg: { 0.50 0.40 0.30 }",
            "hw.ncpu: 4",
        ],
        ["vm.loadavg=0.50 0.40 0.30", "hw.ncpu=4"],
    ],
    ids=["freebsd and macos", "openbsd"],
)
def test_sysctl_is_read(lines: list[str]) -> None:
    """Load and CPUs come from sysctl where there is no /proc, and uptime where the boot time is given as a number."""
    output = parse(framed(section("clock", "1700000000"), section("sysctl", *lines)), NONCE)
    assert (output.facts.load, output.facts.cpus) == ((0.5, 0.4, 0.3), 4)
    assert output.facts.uptime_seconds == (1000 if "boottime" in lines[0] else None)


def test_an_old_kernel_has_its_free_memory_added_up() -> None:
    """Without MemAvailable, what is free, buffered and cached stands for it."""
    lines = ["MemTotal: 1000 kB", "MemFree: 100 kB", "Buffers: 20 kB", "Cached: 300 kB"]
    memory = parse(framed(section("linux", *(f"/proc/meminfo:{line}" for line in lines))), NONCE).facts
    assert (memory.memory_total_kb, memory.memory_available_kb) == (1000, 420)
    assert (memory.swap_total_kb, memory.swap_free_kb) == (0, 0)


def test_a_map_of_a_file_is_read_like_bytes(tmp_path: Path) -> None:
    """Output that lies in a file is parsed from a memory map with the same result."""
    raw = b"noise" * 100_000 + framed(section("clock", "5"), proc_section(stat(9, 1, 9) + "a\0"))
    file = tmp_path / "output"
    file.write_bytes(raw)
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        assert parse(mapped, NONCE) == parse(raw, NONCE)


tokens = st.sampled_from(
    [
        *(
            f"[{NONCE}:{name}".encode()
            for name in ["linux", "owners", "names", "processes", "ps pid user args", "check 41"]
        ),
        *(
            f"{NONCE}:{name}]".encode()
            for name in ["linux", "owners", "names", "processes", "ps", "check", "disks", "frame"]
        ),
        *(
            f"[{NONCE}:{name}\n".encode()
            for name in ["frame", "self 50 40 0", "clock", "sysctl", "disks", "processes hidden"]
        ),
        f"S={NONCE}:process\0".encode(),
        f"{NONCE}:exit 1\n".encode(),
        f"{NONCE}:at 1.5\n".encode(),
        stat(9, 1, 9).encode(),
        stat(50, 9, 50, state="Z").encode(),
        b"/proc/meminfo:MemTotal: 5\n",
        b"/proc/9/status:Uid:\t0\t",
        b"/dev/sda1 100 40 60 40% /\n",
        f"[{NONCE}:files\n6162 1 9999999999999 999999999999999\n{NONCE}:files]\n".encode(),
        b"9 root x y\n",
        b"9" * 5000,
        b"\n",
        b"\0",
        b"\xff\xed\xa0\x80",
    ]
)
pieces = st.lists(tokens | st.binary(max_size=20), max_size=30).map(b"".join)


@given(st.binary() | pieces)
def test_any_bytes_give_an_output(raw: bytes) -> None:
    """Whatever comes back, all keys are there, and JSON can hold the values."""
    output = parse(raw, NONCE)
    assert_readable(output)
    assert output.answer.processes != ()


@given(pieces)
def test_any_frame_gives_an_output(inside: bytes) -> None:
    """Whatever stands inside a frame, all keys are there, and JSON can hold the values."""
    output = parse(framed(inside), NONCE)
    assert output.frame
    assert_readable(output)


@given(st.binary(max_size=300), st.binary(max_size=300), st.integers(0, 10**11))
def test_a_frame_is_found_in_noise(before: bytes, after: bytes, clock: int) -> None:
    """Noise before and after a frame changes nothing in it."""
    output = parse(before + framed(section("clock", str(clock))) + after, NONCE)
    assert output.complete
    assert output.clock == clock


def test_a_clock_that_no_calendar_holds_is_the_last_that_one_does() -> None:
    """Whatever number a remote calls its clock, it is one that a date can be made of."""
    for clock in ("999999999999999", "253402300800", "253402300799"):
        output = parse(framed(section("clock", clock)), NONCE)
        assert datetime.fromtimestamp(output.clock or 0, UTC).year == 9999


@given(st.text("0123456789abcdef", min_size=16, max_size=16), st.binary(max_size=50))
def test_forged_markers_are_inert(nonce: str, text: bytes) -> None:
    """A process whose argument is a whole frame with a guessed nonce is a process with a strange argument."""
    forged = (framed(section("clock", "1"), proc_section(stat(66, 1, 66))) + text).replace(
        NONCE.encode(), nonce.encode()
    )
    if nonce == NONCE or b"\0" in text:
        return
    argument = forged.replace(b"\0", b" ")
    inside = stat(9, 1, 9).encode() + b"evil\0" + argument + b"\0"
    raw = framed(
        section("clock", "5"),
        b"[%s:processes\nS=%s:process\0%s%s:processes]\n" % ((NONCE.encode(),) * 2 + (inside, NONCE.encode())),
    )
    output = parse(raw, NONCE)
    assert output.clock == 5
    assert [one.pid for one in listed(output)] == [9]
    assert listed(output)[0].argv == ("evil", argument.decode("utf-8", "backslashreplace"))


@given(st.text(max_size=20), st.binary(max_size=50))
def test_any_nonce_is_taken_by_the_parser(nonce: str, raw: bytes) -> None:
    """The parser never raises, not even for a nonce that `compose` would refuse."""
    assert_readable(parse(raw, nonce))
