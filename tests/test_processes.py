"""
Which processes are meant: one line a case, and what holds for all of them.
"""

import shlex
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remotestatus.evaluate.process_matching import MAX_LINE, match, why_not, words_of
from remotestatus.model.inventory_variables import ProcessSpec
from remotestatus.model.processes import Process

ZOMBIE = "is a zombie: it has ended, and its parent has not noticed"
CASE = "upper and lower case differ"


def a_process(*argv: str, **more: Any) -> Process:
    values: dict[str, Any] = {
        "pid": 7,
        "ppid": 1,
        "user": "alice",
        "state": "S",
        "started": None,
        "rss_kb": None,
        "exact": True,
        "kernel": False,
        "own": False,
    }
    return Process(argv=argv, **{**values, **more})


@pytest.mark.parametrize(
    ("text", "argv", "reason"),
    [
        ("python manage.py capture_videos.py", ["/usr/bin/python", "/srv/app/manage.py", "capture_videos.py"], None),
        ("python manage.py capture_videos.py", ["python", "manage.py", "capture_videos.py", "--loop"], None),
        ("python manage.py capture_videos.py", ["nice", "python", "manage.py", "capture_videos.py"], None),
        ("python manage.py", ["/usr/bin/python3", "manage.py"], "python3 is not python"),
        ("python manage.py", ["python", "-u", "manage.py"], "has all the words, but not one after the other"),
        ("python manage.py", ["manage.py", "python"], "has all the words, but not one after the other"),
        ("python manage.py", ["sh", "-c", "python manage.py x"], "has the words inside one argument"),
        ("python manage.py", ["python"], ""),
        ("manage.py", ["python", "/srv/manage.pyc"], "manage.pyc is not manage.py"),
        ("Python", ["python"], CASE),
        ("ssh", ["ssh", "-N", "proxy"], None),
        ("ssh", ["/usr/bin/ssh", "-N", "proxy"], None),
        ("ssh", ["ssh: /run/cm.sock [mux]"], None),
        ("ssh", ["vim", "ssh"], None),
        ("ssh", ["/usr/sbin/sshd", "-D"], "sshd is not ssh"),
        ("ssh", ["sshd: alice [priv]"], "sshd is not ssh"),
        ("ssh", ["ssh-agent"], "ssh-agent is not ssh"),
        ("ssh", ["autossh", "-M", "0"], "autossh is not ssh"),
        ("ssh", ["bash"], ""),
        ("sshd", ["sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups"], None),
        ("sshd", ["sshd: alice [priv]"], None),
        ("sshd", ["sshd:", "alice", "[priv]"], None),
        ("sshd: alice", ["sshd: alice [priv]"], None),
        ("nginx", ["nginx: worker process"], None),
        ("nginx: worker process", ["nginx: worker process"], None),
        ("'nginx: worker process'", ["nginx: worker process"], None),
        ("nginx worker process", ["nginx: worker process"], None),
        ("bash", ["-bash"], None),
        ("-bash", ["-bash"], None),
        ("run", ["/opt/My App/run"], None),
        ("'My App'", ["open", "/opt/My App"], None),
        ("it's", ["it's"], None),
        ("a", [""], ""),
        ("a", ["  "], ""),
        ("a", [], ""),
    ],
)
def test_words(text: str, argv: list[str], reason: str | None) -> None:
    """A process string means these words, whole and consecutive, somewhere in the argv."""
    assert why_not(ProcessSpec(words=text), a_process(*argv)) == reason


@pytest.mark.parametrize(
    ("spec", "argv", "reason"),
    [
        ({"command": "ssh"}, ["/usr/bin/ssh", "x"], None),
        ({"command": "ssh"}, ["vim", "ssh"], "has ssh as an argument, not as the command"),
        ({"command": "ssh"}, ["sshd"], "sshd is not ssh"),
        ({"command": "ssh"}, ["SSH"], CASE),
        ({"command": "ssh"}, ["sshd: /usr/bin/ssh"], "sshd is not ssh"),
        ({"command": "ssh"}, ["sshd: from /usr/bin/ssh"], "sshd is not ssh"),
        ({"command": "a"}, ["a::"], "a: is not a"),
        ({"command": "sshd"}, ["sshd: alice [priv]"], None),
        ({"command": "bash"}, ["-bash"], None),
        ({"command": "cron"}, ["bash"], ""),
        ({"regex": "ffmpeg .*-f (mp4|mkv)"}, ["ffmpeg", "-i", "x", "-f", "mkv"], None),
        ({"regex": "ffmpeg .*-f (mp4|mkv)"}, ["ffmpeg", "-f", "avi"], ""),
        ({"regex": "^FFMPEG"}, ["ffmpeg"], CASE),
        ({"contains": "manage.py cap"}, ["python", "manage.py", "capture"], None),
        ({"contains": "CAPTURE"}, ["capture"], CASE),
        ({"contains": "x"}, ["y"], ""),
        ({"command": "ssh", "user": "bob"}, ["ssh"], "runs as alice, not as bob"),
    ],
)
def test_other_criteria(spec: dict[str, Any], argv: list[str], reason: str | None) -> None:
    """Program name, regular expression and text are looked for, and the user counts too where one is given."""
    assert why_not(ProcessSpec(**spec), a_process(*argv)) == reason


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"state": "Z"}, ZOMBIE),
        ({"own": True}, "belongs to the checker itself"),
        ({"kernel": True}, ""),
        ({"exact": False}, None),
        ({"user": ""}, None),
    ],
)
def test_what_runs_but_does_not_count(more: dict[str, Any], reason: str | None) -> None:
    """Zombies and the checker's own processes are shown as near misses, kernel threads not at all."""
    assert why_not(ProcessSpec(words="ssh"), a_process("ssh", **more)) == reason


@pytest.mark.parametrize(
    ("count", "low", "high", "complete", "running", "missing", "excess"),
    [
        (0, 1, None, True, False, True, False),
        (1, 1, None, True, True, False, False),
        (1, 2, None, True, False, True, False),
        (3, 1, 2, True, True, False, True),
        (0, 0, 0, True, False, False, False),
        (1, 0, 0, True, True, False, True),
        (0, 1, None, False, None, False, False),
        (1, 1, None, False, True, False, False),
        (3, 1, 2, False, True, False, True),
    ],
)
def test_how_many(
    count: int, low: int, high: int | None, complete: bool, running: bool | None, missing: bool, excess: bool
) -> None:
    """Too few is missing only when all processes could be seen; too many is too many in any case."""
    spec = ProcessSpec(words="ssh", min=low, max=high)
    (result,) = match([spec], [a_process("ssh")] * count, complete=complete)
    assert (result.running, result.count, result.missing, result.excess) == (running, count, missing, excess)


def test_unknown_processes_are_not_missing_ones() -> None:
    """Where the processes could not be read, nothing is running, stopped or missing: it is unknown."""
    (result,) = match([ProcessSpec(words="ssh")], None)
    assert (result.running, result.count, result.missing, result.excess) == (None, None, False, False)


def test_what_matched_and_what_nearly_did_are_told() -> None:
    """A result names the processes that count, and the others with their reason."""
    tunnel, server, mine = a_process("ssh"), a_process("sshd"), a_process("ssh", own=True)
    (result,) = match([ProcessSpec(words="ssh")], [tunnel, server, mine])
    assert result.matched == (tunnel,)
    assert [(one.process, one.reason) for one in result.near] == [
        (server, "sshd is not ssh"),
        (mine, "belongs to the checker itself"),
    ]


def test_a_broken_regex_is_refused() -> None:
    """A regular expression that is none is a ValueError that quotes it."""
    with pytest.raises(ValueError, match="is not a regular expression"):
        ProcessSpec(regex="(")


def test_a_regex_sees_only_the_start_of_an_endless_line() -> None:
    """A command line is looked at up to MAX_LINE characters, so that no remote can make a regex slow without end."""
    spec = ProcessSpec(regex="end$")
    assert why_not(spec, a_process("x" * (MAX_LINE - 4), "end")) is None
    assert why_not(spec, a_process("x" * (MAX_LINE - 3), "end")) == ""


words = st.text(st.characters(codec="utf-8"), max_size=8)
argvs = st.lists(words, max_size=6)
processes = st.builds(
    lambda argv, **more: a_process(*argv, **more),
    argvs,
    state=st.sampled_from(["S", "R", "Z", "?"]),
    own=st.booleans(),
    kernel=st.booleans(),
    user=st.sampled_from(["", "alice", "bob"]),
)
specs = st.builds(
    lambda way, text, **more: ProcessSpec(**{way: text}, **more),
    st.sampled_from(["words", "command", "contains"]),
    words.filter(str.strip),
    name=words,
    user=st.none() | st.sampled_from(["alice", "bob"]),
    min=st.integers(0, 3),
    max=st.none() | st.integers(3, 5),
)


@given(st.lists(specs, max_size=3), st.lists(processes, max_size=8), st.booleans())
def test_a_process_is_counted_once_or_explained_once(
    some_specs: list[ProcessSpec], some_processes: list[Process], complete: bool
) -> None:
    """Whatever is asked for and runs, each has one result, and no process both matches and nearly does."""
    results = match(some_specs, some_processes, complete=complete)
    assert [result.name for result in results] == [spec.title for spec in some_specs]
    for result in results:
        assert result.count == len(result.matched)
        assert all(not one.own and not one.kernel and not one.zombie and one.argv for one in result.matched)
        assert len(result.matched) + len(result.near) <= len(some_processes)
        assert all(one.reason for one in result.near)
        assert not (result.missing and result.running)


@given(argvs, st.lists(words, min_size=1, max_size=3), argvs)
def test_words_put_anywhere_are_found(before: list[str], wanted: list[str], after: list[str]) -> None:
    """A process that was made from the specification's own words, with others before and after, matches."""
    process = a_process(*before, *wanted, *after)
    assert why_not(ProcessSpec(words=shlex.join(wanted)), process) is None


@given(st.text())
def test_any_string_has_words(text: str) -> None:
    """Splitting a process string never fails, however it is quoted."""
    assert isinstance(words_of(text), tuple)
