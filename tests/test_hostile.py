"""
Remotes that print what they should not, hang, flood or lie: none of them harms the round or another remote.
"""

import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import psutil
import pytest

from remotestatus.model.causes import Cause
from remotestatus.model.states import Kind
from remotestatus.model.status_words import Status
from tests.lab import Command, Lab, SmtpSink, require_program, require_root
from tests.rounds import await_that, run_round

SHORT = {"remotestatus_timeout": 8}
MEGABYTE = 1_000_000


def test_noise_around_the_output_hides_nothing(lab: Lab, remotestatus: Command) -> None:
    """Garbage, banners, noise, forged frames, a missing ps, a hanging df or a stray exit code: all are up."""
    process = "lab_noise 'two\nlines' '[0:frame' ']' '<b>'"
    wanted = {"remotestatus_processes": [{"name": "noisy", "command": "lab_noise"}]}
    lab.remote("garbage-first", variables=wanted).print_garbage(5 * MEGABYTE)
    lab.remote("noise", variables=wanted).print_noise("\x1b[31mWelcome\x07 <script>alert(1)</script>")
    lab.remote("banner", variables=wanted).show_banner("Permission denied. Connection refused. Go away.\n")
    lab.remote("no-ps", variables=wanted).remove_programs("ps", "df", "head", "getent")
    lab.remote("disk-hangs", variables=wanted).hang_disk()
    lab.remote("exits-255", variables=wanted).exit_with(255)
    lab.remote("never-ends", variables=wanted).hang_after_output()
    lab.remote("forger", variables=wanted).print_noise(
        "[" + "0" * 32 + ":frame\n[" + "0" * 32 + ":began\n" + "0" * 32 + ":frame]"
    )
    lab.remotes["noise"].start_process(process)

    found = run_round(lab, remotestatus, lab.write_inventory(remotestatus_timeout=20))

    assert {name: cause for name, cause in found.causes.items() if cause} == {}, found.printed
    assert len(found.causes) == 8
    assert {reading.processes[0].running for reading in found.readings.values()} == {True}
    assert {reading.attempts for reading in found.readings.values()} == {1}


def test_what_a_remote_says_is_cleaned_before_it_is_shown(lab: Lab, remotestatus: Command) -> None:
    """NUL, escape sequences and markup in output and errors are one harmless line of evidence, escaped on the page."""
    text = r"\033]0;title\007\033[31mred\000\r\n<script>alert(1)</script>\342\200\256" + "x" * 5000
    lab.remote("out").run_instead(f"printf '{text}'")
    lab.remote("err").run_instead(f"printf '{text}' >&2; exit 255")
    lab.remote("both").run_instead("exec cat")

    found = run_round(lab, remotestatus, lab.write_inventory(**SHORT))

    assert found.causes == dict.fromkeys(["out", "err", "both"], Cause.PROBE_FAILED)
    for name, reading in found.readings.items():
        assert reading.trouble is not None
        detail = reading.trouble.detail
        assert len(detail) <= 300, name
        assert detail.isprintable(), name
        page = (lab.directory / "site" / "remotes" / f"{name}.html").read_text()
        assert "<script>alert" not in page, name
    for name in ("out", "err"):
        assert "<script>alert(1)</script>" in found.words(name)
        assert "&lt;script&gt;alert" in (lab.directory / "site" / "remotes" / f"{name}.html").read_text()
    assert "\x1b" not in found.printed


def test_a_flood_costs_no_memory_and_nobody_else(lab: Lab, remotestatus: Command) -> None:
    """Three remotes that print 50 MB each are cut off; no process of the round grows by it, and the others are up."""
    whole = [lab.remote(f"whole-{number}") for number in range(3)]
    floods = [lab.remote(f"flood-{number}") for number in range(3)]
    inventory = lab.write_inventory()
    with _watch_memory() as calm:
        assert set(run_round(lab, remotestatus, inventory).causes.values()) == {None}
    for flood in floods:
        flood.run_instead(f"yes | head -c {50 * MEGABYTE}\nrun_command")
    with _watch_memory() as flooded:
        found = run_round(lab, remotestatus, inventory)

    assert found.causes == {
        **{remote.name: None for remote in whole},
        **{remote.name: Cause.PROBE_TIMEOUT for remote in floods},
    }
    assert calm.largest > 10 * MEGABYTE
    assert flooded.largest < calm.largest + 30 * MEGABYTE
    assert not list(lab.scratch.parent.glob("rs-*/output/flood-*"))


def test_what_hangs_costs_its_own_time_and_nobody_elses(lab: Lab, remotestatus: Command) -> None:
    """Twenty of sixty remotes fall silent at once: the round takes about one timeout longer, not twenty."""
    lab.proxy()
    lab.bulk(40, prefix="whole-")
    frozen = lab.bulk(20, prefix="frozen-")
    inventory = lab.write_inventory(**SHORT)
    calm = run_round(lab, remotestatus, inventory)
    assert set(calm.causes.values()) == {None}
    frozen[0].freeze_tunnel()

    found = run_round(lab, remotestatus, inventory)

    assert found.causes == {name: Cause.TUNNEL_STALE if name.startswith("frozen-") else None for name in found.causes}
    # One after the other they would cost 20 x 3 s, twice; a busy machine is allowed for.
    assert found.seconds < calm.seconds + 60
    assert {found.readings[remote.name].attempts for remote in frozen} == {2}


def test_what_hangs_ends_in_its_time_even_if_we_are_killed(lab: Lab, remotestatus: Command) -> None:
    """kill -9 for the checker and all of Ansible at once: the ssh that waits for a hanging shell ends all the same."""
    remote = lab.remote("hangs")
    remote.hang_shell()
    inventory = lab.write_inventory(**SHORT)
    with subprocess.Popen(
        [sys.executable, "-m", "remotestatus", "run", "-q", "-i", inventory],
        env={**remotestatus.environment, "TMPDIR": str(lab.scratch)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as checker:
        await_that(lambda: remote.logins() > 0)
        family = [psutil.Process(checker.pid), *psutil.Process(checker.pid).children(recursive=True)]
        ours = [process for process in family if "python" in process.name() or "ansible" in process.name()]
        waiting = [process for process in family if process.name() == "ssh" and "exec /bin/sh -s" in process.cmdline()]
        assert len(ours) > 1
        assert waiting
        for process in ours:
            process.kill()
    # The proxy's shared connection is left alone: when that ends, all that passes through it does.
    _, alive = psutil.wait_procs(waiting, timeout=20)
    assert not [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]


def test_an_impossible_clock_costs_nobody_page_or_message(lab: Lab, remotestatus: Command, smtp_sink: SmtpSink) -> None:
    """A clock in the year 31 million is shown as wrong; the page is made, people are told, `status` answers."""
    limits = {"remotestatus_limits": {"clock": "1m"}}
    lab.remote("late", variables=limits).replace_program("date", "echo 999999999999999")
    lab.remote("gone").cut_tunnel()
    inventory = lab.write_inventory(remotestatus_apprise=[smtp_sink.url], **SHORT)

    found = run_round(lab, remotestatus, inventory)

    assert found.causes == {"late": Cause.LIMIT_EXCEEDED, "gone": Cause.TUNNEL_DOWN}, found.printed
    [mail] = smtp_sink.wait_for(1)
    assert "gone" in str(mail["Subject"])
    assert "ahead" in (lab.directory / "site" / "remotes" / "late.html").read_text()
    assert "Traceback" not in remotestatus("status", "late", "-i", inventory).stderr


def test_a_page_that_cannot_be_made_keeps_no_message_back(lab: Lab, remotestatus: Command, smtp_sink: SmtpSink) -> None:
    """An error that nobody foresaw stops the page: people are told all the same, with a sentence and exit code 3."""
    remote = lab.remote("capture-1")
    settings = {"remotestatus_apprise": [smtp_sink.url], **SHORT}
    run_round(lab, remotestatus, lab.write_inventory(**settings))
    inventory = lab.write_inventory(remotestatus_site="no\0file", **settings)
    remote.cut_tunnel()

    done = remotestatus("run", "-i", inventory)

    assert done.returncode == 3, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert "the page could not be made" in " ".join(done.stderr.split())
    [mail] = smtp_sink.wait_for(1)
    assert "capture-1" in str(mail["Subject"])


def test_a_name_costs_nobody_else_anything(lab: Lab, remotestatus: Command) -> None:
    """
    Names that are longer than a file's name may be are checked and shown. Those that ssh would misread are shown with
    what is wrong with them, nothing is started for them, and all others are checked.
    """
    names = ("\u00fc" * 43, "\u6f22" * 28, "plain", "x" * 256)
    for name in names[:3]:
        lab.remote(name)
    lab.local("here").name = names[3]
    misread = (f"-oProxyCommand=touch {lab.scratch}/run", "two\nlines", "*")
    for number, name in enumerate(misread):
        lab.local(f"odd-{number}", variables={"ansible_connection": "ssh"}).name = name

    found = run_round(lab, remotestatus, lab.write_inventory(**SHORT))

    assert found.causes == dict.fromkeys(names) | dict.fromkeys(misread, Cause.CHECKER_ERROR), found.printed
    assert "its name: it may hold no spaces" in found.words("*")
    assert not (lab.scratch / "run").exists()
    assert len(list((lab.directory / "site" / "remotes").glob("*.html"))) == 7


def test_our_own_full_disk_is_no_remotes_fault(lab: Lab, remotestatus: Command) -> None:
    """A flood fills the checker's disk: nobody is called down for it, and the reason is said."""
    require_root("a small disk")
    disk = lab.scratch / "disk"
    disk.mkdir()
    lab.remote("flood").print_garbage(8 * MEGABYTE)
    lab.remote("other")
    inventory = lab.write_inventory(remotestatus_attempts=1)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", disk], check=True)
    try:
        done = remotestatus("run", "-i", inventory, environment={"TMPDIR": str(disk)})
    finally:
        subprocess.run(["umount", disk], check=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "down" not in done.stdout, done.stdout
    assert f"no space was left on the checker, in {disk}" in " ".join(done.stdout.split())


@pytest.mark.parametrize("pages_left", [1, 2, 5])
def test_a_checker_with_hardly_any_space_says_so(lab: Lab, remotestatus: Command, pages_left: int) -> None:
    """Whatever first finds no space: no round, exit code 3, a sentence, and nobody was asked or called anything."""
    require_root("a small disk")
    disk = lab.scratch / "disk"
    disk.mkdir()
    remote = lab.remote("healthy")
    inventory = lab.write_inventory()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], check=True)
    try:
        subprocess.run(
            ["dd", "if=/dev/zero", f"of={disk}/full", "bs=4k", f"count={16 - pages_left}"],
            check=True,
            capture_output=True,
        )
        done = remotestatus("run", "-i", inventory, environment={"TMPDIR": str(disk)})
    finally:
        subprocess.run(["umount", disk], check=True)
    assert done.returncode == 3, done.stdout + done.stderr
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
    assert remote.logins() == 0


def test_login_shells_of_every_kind(lab: Lab, remotestatus: Command) -> None:
    """csh, fish and a bash whose start-up file prints are up; an account without a shell is a probe that failed."""
    require_root("login shells of their own")
    expected: dict[str, Cause | None] = {"bash": None, "csh": None, "fish": None, "nologin": Cause.PROBE_FAILED}
    for shell in expected:
        remote = lab.remote(shell, shell=require_program(shell, "this login shell"))
        if shell == "bash":
            (remote.home / ".bashrc").write_text("echo 'welcome back'; echo 'oh dear' >&2\n")

    found = run_round(lab, remotestatus, lab.write_inventory())

    assert found.causes == expected, found.printed
    assert "not available" in found.words("nologin")


# -- the second look, and what is told --------------------------------------------------------------------------------


def test_what_fails_once_is_looked_at_again(lab: Lab, remotestatus: Command) -> None:
    """A hiccup is over by the second look and never shown; with one attempt it is what was seen."""
    for name, attempts in (("patient", 2), ("hasty", 1), ("twice", 3)):
        remote = lab.remote(name, variables={"remotestatus_attempts": attempts})
        seen = lab.scratch / f"{name}-seen"
        hiccups = 2 if name == "twice" else 1
        # So many log-ins break; the next one works.
        remote.run_instead(
            f"echo x >>{seen}\nif [ $(wc -l <{seen}) -le {hiccups} ]; then kill -9 $PPID; sleep 60; fi\nrun_command"
        )

    found = run_round(lab, remotestatus, lab.write_inventory(**SHORT))

    assert found.causes == {"patient": None, "hasty": Cause.CONNECTION_LOST, "twice": None}
    assert {name: reading.attempts for name, reading in found.readings.items()} == {
        "patient": 2,
        "hasty": 1,
        "twice": 3,
    }
    assert {name: remote.logins() for name, remote in lab.remotes.items()} == {"patient": 2, "hasty": 1, "twice": 3}


def test_what_was_seen_is_shown_at_once_and_told_when_confirmed(lab: Lab, remotestatus: Command) -> None:
    """`fail_after` and `recover_after` delay what people are told, never what the page shows."""
    policy = {"remotestatus_fail_after": 2, "remotestatus_recover_after": 2, "remotestatus_attempts": 1}
    remote = lab.remote("capture-1", variables=policy)
    inventory = lab.write_inventory(**SHORT)
    seen: list[tuple[str, str | None]] = []
    for broken in (False, False, True, True, False, False):
        if broken:
            remote.cut_tunnel()
        else:
            remote.restore()
        state = run_round(lab, remotestatus, inventory).states[Kind.REMOTE, "capture-1"]
        seen.append((state.status, state.confirmed))
    assert seen[1:] == [
        (Status.UP, Status.UP),
        (Status.DOWN, Status.UP),
        (Status.DOWN, Status.DOWN),
        (Status.UP, Status.DOWN),
        (Status.UP, Status.UP),
    ]


# -- remotes that move ------------------------------------------------------------------------------------------------


def test_remotes_come_and_go_with_the_inventory(lab: Lab, remotestatus: Command) -> None:
    """Added shows at once, removed disappears and keeps its history, renamed starts anew."""
    lab.remote("stays")
    lab.remote("leaves")
    old = lab.remote("old-name")
    site = lab.directory / "site" / "remotes"
    run_round(lab, remotestatus, lab.write_inventory())
    assert {page.stem for page in site.glob("*.html")} == {"stays", "leaves", "old-name"}

    del lab.remotes["leaves"], lab.remotes["old-name"]
    old.name = "new-name"
    lab.remotes["new-name"] = old
    lab.remote("arrives")
    found = run_round(lab, remotestatus, lab.write_inventory())
    now = {"stays", "new-name", "arrives"}
    assert {page.stem for page in site.glob("*.html")} == now
    assert {name for kind, name in found.states if kind is Kind.REMOTE} >= now
    assert found.causes["new-name"] is None
    assert found.states[Kind.REMOTE, "new-name"].since > found.states[Kind.REMOTE, "stays"].since
    assert not re.search(r"\b(leaves|old-name)\b", (lab.directory / "site" / "status.json").read_text())


# -- memory -----------------------------------------------------------------------------------------------------------


@dataclass
class _Memory:
    """The largest resident size, in bytes, of any one process that a round started."""

    largest: int = 0
    ended: threading.Event = field(default_factory=threading.Event)

    def watch(self) -> None:
        """Sample until ended."""
        while not self.ended.wait(0.05):
            for child in psutil.Process().children():
                with suppress(psutil.Error):
                    if "remotestatus" in child.cmdline():
                        for process in (child, *child.children(recursive=True)):
                            self.largest = max(self.largest, _size(process))


def _size(process: psutil.Process) -> int:
    with suppress(psutil.Error):
        return int(process.memory_info().rss)
    return 0


@contextmanager
def _watch_memory() -> Iterator[_Memory]:
    memory = _Memory()
    watcher = threading.Thread(target=memory.watch)
    watcher.start()
    try:
        yield memory
    finally:
        memory.ended.set()
        watcher.join()
