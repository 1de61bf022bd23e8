"""
Many programs at the same time: real ones, with their limits on time, number and output.
"""

import os
import shlex
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest
from remotestatus_playbook.children import TOO_MUCH, Child, Password, Secret, limit_files, run_all

from tests.rounds import await_that, is_running

ASKPASS = Path(__file__).resolve().parent.parent / "playbooks" / "files" / "askpass"

MEGABYTE = 1_000_000


def child(folder: Path, script: str, *, name: str = "one", seconds: float = 20, printing: int | None = None) -> Child:
    return Child(name, ["/bin/sh", "-c", script], b"read me\n", folder / name, seconds, printing)


def only(one: Child) -> Child:
    assert list(run_all([one], 1)) == [one]
    return one


def test_a_program_reads_prints_and_ends(tmp_path: Path) -> None:
    """Standard input, both outputs and the exit code are the program's own."""
    one = only(child(tmp_path, "cat; echo oops >&2; exit 7"))
    assert (one.code, one.timed_out, one.trouble) == (7, False, "")
    assert (one.out.read_text(), one.err.read_text()) == ("read me\n", "oops\n")
    assert one.asked_at <= one.answered_at
    one.forget()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("given", "seen"), [("/var/tmp", "/var/tmp"), ("", "/tmp")])
def test_a_program_finds_the_tmpdir_that_remotestatus_was_started_with(
    given: str, seen: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ansible has one that goes with the round; a check of this machine may keep something in its own."""
    monkeypatch.setenv("TMPDIR", str(tmp_path / "round"))
    monkeypatch.setenv("REMOTESTATUS_TMPDIR", given)
    assert only(child(tmp_path, "echo $TMPDIR $REMOTESTATUS_TMPDIR")).out.read_text() == f"{seen}\n"


def test_no_more_run_at_once_than_were_asked_for(tmp_path: Path) -> None:
    """Each counts who runs beside it; all of them run, and the first to end comes first."""
    (tmp_path / "now").mkdir()
    script = f"cd {tmp_path}/now; touch $$; ls | wc -l; sleep 0.2; rm $$"
    children = [child(tmp_path, script, name=f"c{number}") for number in range(12)]
    ended = list(run_all(children, 3))
    assert {one.name for one in ended} == {one.name for one in children}
    assert max(int(one.out.read_text()) for one in ended) == 3


def test_few_more_are_started_where_the_processors_have_more_to_do_than_they_can(tmp_path: Path) -> None:
    """All at once would take each other's time, and what answers would seem not to; when it is over all go on."""
    spinning = ["nice", "-n", "19", "/bin/sh", "-c", "ulimit -t 60; while :; do :; done"]
    others = [subprocess.Popen(spinning) for _ in range(6 * (os.cpu_count() or 1))]
    children = [child(tmp_path, "sleep 0.5", name=f"c{number}") for number in range(24)]
    together = []
    try:
        for ended in run_all(children, 24):
            together.append(1 + sum(one.started > 0 and not one.taken for one in children))
            if ended is children[11]:
                for one in others:
                    one.kill()
    finally:
        for one in others:
            one.kill()
            one.wait()
    assert max(together[:8]) <= 9
    assert len(together) == 24


def test_one_that_hangs_is_ended_with_its_children_and_delays_nobody(tmp_path: Path) -> None:
    """Its time is over: the whole session goes, also what ignores the request to end; nobody is held up."""
    stubborn = child(tmp_path, "trap '' TERM; sleep 61 & echo $!; wait", name="stubborn", seconds=0.5)
    quick = [child(tmp_path, "sleep 0.1", name=f"q{number}") for number in range(8)]
    began = time.monotonic()
    ended = list(run_all([stubborn, *quick], 2))
    assert ended[-1] is stubborn
    assert stubborn.timed_out
    assert time.monotonic() - began < 30
    await_that(lambda: not is_running(int(stubborn.out.read_text())))
    assert not any(one.timed_out for one in quick)


def test_one_that_prints_for_ever_costs_a_file_of_limited_size(tmp_path: Path) -> None:
    """It is killed by SIGXFSZ at its limit, and the next one that starts has none of that limit."""
    endless = child(tmp_path, "exec cat /dev/zero", name="endless", printing=100_000)
    free = child(tmp_path, "exec head -c 300000 /dev/zero", name="free")
    assert len(list(run_all([endless, free], 1))) == 2
    assert (endless.code, endless.out.stat().st_size) == (-signal.SIGXFSZ, 100_000)
    assert (free.code, free.out.stat().st_size) == (0, 300_000)


def test_one_that_cannot_be_started_says_why(tmp_path: Path) -> None:
    """A program that is not there is a sentence; the others run."""
    missing = Child("missing", [str(tmp_path / "none")], b"", tmp_path / "missing", 5)
    other = child(tmp_path, "true", name="other")
    assert set(run_all([missing, other], 2)) == {missing, other}
    assert missing.code == 127
    assert f"{tmp_path}/none" in missing.err.read_text()
    assert other.code == 0


def test_one_that_cannot_be_given_its_password_stops_nobody(tmp_path: Path) -> None:
    """There is no place for its pipe: a sentence that says so, which blames no program that is there."""
    placeless = child(tmp_path / "gone", "true", name="placeless")
    placeless.password, placeless.asked, placeless.askpass = Password(lambda: "x"), "me@x", ASKPASS
    other = child(tmp_path, "true", name="other")
    assert set(run_all([placeless, other], 1)) == {placeless, other}
    assert placeless.trouble == "no program could be started on the checker: No such file or directory"
    assert (other.code, other.trouble) == (0, "")


def test_without_timeout_its_absence_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is missing then can be installed."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert only(child(tmp_path, "true")).trouble.startswith("the program timeout could not be started: ")


def test_whoever_stops_listening_leaves_nothing_running(tmp_path: Path) -> None:
    """An exception in the one who uses the answers ends all that still run."""
    children = [child(tmp_path, "sleep 62 & echo $!; wait", name=f"c{number}") for number in range(3)]
    with pytest.raises(KeyboardInterrupt):
        stop_at_the_first([child(tmp_path, "sleep 0.5", name="first"), *children])
    assert not list(tmp_path.glob("c*"))
    assert not [process for process in psutil.process_iter(["cmdline"]) if process.info["cmdline"] == ["sleep", "62"]]


def stop_at_the_first(children: list[Child]) -> None:
    for _ in run_all(children, 4):
        raise KeyboardInterrupt


def test_a_password_goes_through_a_pipe_that_only_we_can_read(tmp_path: Path) -> None:
    """Any password arrives as it is, once; it stands in no argument, file or environment."""
    password = "  two words, $HOME `x` \\n 'quoted' ü\t"
    one = child(tmp_path, '"$SSH_ASKPASS" "me@x\'s password: "; "$SSH_ASKPASS" "me@x\'s password: "; env')
    one.password, one.asked, one.askpass = Password(lambda: password), "me@X", ASKPASS
    only(one)
    lines = one.out.read_text().splitlines()
    assert lines[0] == password
    assert not any("two words" in line for line in lines[1:])
    assert "SSH_ASKPASS_REQUIRE=force" in lines
    assert not list(tmp_path.glob("*.secret"))


@pytest.mark.parametrize(
    ("prompt", "answered"),
    [
        ("me@box's password: ", True),
        ("(me@box) Password: ", True),  # keyboard-interactive, OpenSSH 8.5 and later
        ("Password: ", True),  # the same, before
        ("proxy-user@jump.example.com's password: ", False),
        ("me@jump's password: ", False),
        ("other@box's password: ", False),
        ("(proxy-user@jump) Password: ", False),
        ("Enter passphrase for key '/home/me/.ssh/id_ed25519': ", False),
        ("(me@box) Verification code: ", False),
        ("Are you sure you want to continue connecting (yes/no/[fingerprint])? ", False),
    ],
)
def test_the_password_answers_no_prompt_but_its_own(tmp_path: Path, prompt: str, answered: bool) -> None:
    """Only a prompt for this user and host is answered, in the words of OpenSSH 8.4 to 10."""
    one = child(tmp_path, f'"$SSH_ASKPASS" {shlex.quote(prompt)}; exit 0')
    one.password, one.asked, one.askpass = Password(lambda: "secret"), "me@box", ASKPASS
    only(one)
    assert one.out.read_text() == ("secret\n" if answered else "")


def test_the_password_is_for_the_ssh_that_we_started(tmp_path: Path) -> None:
    """An ssh that our ssh starts, as for a jump, inherits the askpass; the very same prompt is not answered there."""
    asking = '"$SSH_ASKPASS" "me@box\'s password: "; exit 0'
    one = child(tmp_path, f"sh -c {shlex.quote(asking)}; exit 0")
    one.password, one.asked, one.askpass = Password(lambda: "secret"), "me@box", ASKPASS
    only(one)
    assert one.out.read_text() == ""
    assert one.code == 0


def test_a_passwords_pipe_waits_for_nobody(tmp_path: Path) -> None:
    """Nobody asks: nothing hangs, and nothing is left."""
    secret = Secret(Password(lambda: "unused"), "me@box", tmp_path / "secret")
    assert oct((tmp_path / "secret").stat().st_mode & 0o777) == "0o600"
    before = len(list(Path("/proc/self/fd").iterdir()))
    secret.forget()
    assert len(list(Path("/proc/self/fd").iterdir())) == before - 1
    assert list(tmp_path.iterdir()) == []


def test_a_program_whose_file_is_full_ends(tmp_path: Path) -> None:
    """What a proxy has ssh print goes into a file of limited size, also when several are opened at the same time."""
    with (tmp_path / "flood").open("wb") as file:
        done = subprocess.run([*limit_files(65536), "timeout", "20", "yes"], stdout=file, check=False)
    assert done.returncode in TOO_MUCH
    assert (tmp_path / "flood").stat().st_size <= 2 * 65536


def test_a_slow_password_is_learnt_only_when_it_is_asked_for(tmp_path: Path) -> None:
    """What a lookup brings is asked for by a process of its own, when ssh asks, and not at all where it does not."""

    def learn() -> str:
        (tmp_path / "learnt").write_text("yes")
        return "from the safe"

    unasked = child(tmp_path, "exit 0", name="unasked")
    asking = child(tmp_path, '"$SSH_ASKPASS" "me@box\'s password: "; exit 0', name="asking")
    for one in (unasked, asking):
        one.password, one.asked, one.askpass = Password(learn, slow=True), "me@box", ASKPASS
    only(unasked)
    assert not (tmp_path / "learnt").exists()
    only(asking)
    assert asking.out.read_text() == "from the safe\n"
    assert (tmp_path / "learnt").exists()
    assert not list(tmp_path.glob("*.secret*"))


@pytest.mark.parametrize(
    ("slow", "plugin", "words"),
    [(False, "lookup", "https://me:t0ken@safe/pw said 403"), (True, "filter", "time data 't0ken' does not match")],
)
def test_a_password_that_cannot_be_learnt_is_a_sentence(tmp_path: Path, slow: bool, plugin: str, words: str) -> None:
    """Nothing is answered then, and the words name no secret that the lookup or the filter was given."""

    def learn() -> str:
        raise ValueError(f"The {plugin} plugin 'url' failed: {words}")

    one = child(tmp_path, '"$SSH_ASKPASS" "me@box\'s password: " || exit 3')
    one.password, one.asked, one.askpass = Password(learn, slow=slow), "me@box", ASKPASS
    only(one)
    assert one.out.read_text() == ""
    assert f"the {plugin} 'url' failed" in one.secret_trouble
    assert "t0ken" not in one.secret_trouble


def test_a_lookup_that_hangs_is_a_sentence(tmp_path: Path) -> None:
    """It takes no longer than ssh may, and is not taken for a host that does not answer."""

    def hang() -> str:
        time.sleep(60)
        return ""

    one = child(tmp_path, '"$SSH_ASKPASS" "me@box\'s password: " || exit 3', seconds=0.5)
    one.password, one.asked, one.askpass = Password(hang, slow=True), "me@box", ASKPASS
    only(one)
    assert one.secret_trouble == "ansible_password: its lookup has not answered in time"
    assert not list(tmp_path.glob("*.secret*"))


def test_what_floods_together_is_ended_the_largest_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred remotes that print 16 MiB each do not fill the checker's memory, and nobody else is ended for them."""
    monkeypatch.setattr("remotestatus_playbook.children.TOGETHER_BYTES", 300_000)
    flood = "head -c 200000 /dev/zero; sleep 2"
    quiet = Child("quiet", ["sh", "-c", "echo here; sleep 1"], b"", tmp_path / "quiet", 20, printing=MEGABYTE)
    floods = [
        Child(f"flood-{n}", ["sh", "-c", flood], b"", tmp_path / f"flood-{n}", 20, printing=MEGABYTE) for n in range(4)
    ]
    codes = {child.name: child.code for child in run_all([quiet, *floods], 5)}
    assert codes["quiet"] == 0
    assert len([code for name, code in codes.items() if name != "quiet" and code in TOO_MUCH]) == 3
