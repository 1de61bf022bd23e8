"""
What ended a process that is missing for the first time: asked once, and kept while it is missing.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from remotestatus_playbook.client_config import ClientConfig
from remotestatus_playbook.inventory import Entry
from remotestatus_playbook.machine_facts import Facts
from remotestatus_playbook.plan import plan_probe
from remotestatus_playbook.probe_script import Questions
from remotestatus_playbook.protocol import (
    LastLines,
    LogFile,
    Order,
    Outcome,
    Process,
    RemoteAnswer,
    UnitOutput,
    to_json,
)
from remotestatus_playbook.split_ssh_arguments import split_options
from remotestatus_playbook.topology import Host, trace
from remotestatus_playbook.workdir import Workdir

from remotestatus.evaluate.check_results import Past, read_remote
from remotestatus.evaluate.ended_processes import Ended, add_endings, find_ended
from remotestatus.evaluate.log_files import asks_for_log_files
from remotestatus.model.check_result import CheckResult
from remotestatus.model.fleet import Remote
from remotestatus.model.inventory_variables import RemoteSettings
from remotestatus.model.memory import Memory

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
BOX = Remote("box-1", (), RemoteSettings.model_validate({"processes": ["encode"]}))
LOG = ("frame 1 of 9", "\x1b[31mout of memory\x1b[0m " + 300 * "!")
KILLED = UnitOutput("encode.service", "loaded", "failed", "failed", "oom-kill", restarts=57, since_seconds=180, log=LOG)


def process(unit: str = "", pid: int = 7) -> Process:
    return Process(pid, 1, "video", "S", 1, 1, ("encode",), exact=True, kernel=False, own=False, unit=unit)


def answer(*outputs: UnitOutput) -> RemoteAnswer:
    return RemoteAnswer(Outcome.ANSWERED, units=outputs)


def result(
    *processes: Process, last: CheckResult | None = None, files: Mapping[int, str] | None = None, remote: Remote = BOX
) -> CheckResult:
    """A round with these processes; `files` are those that they write to, where that was asked."""
    found = None if files is None else tuple(LogFile(pid, path) for pid, path in files.items())
    answered = RemoteAnswer(Outcome.ANSWERED, facts=Facts(), processes=processes, log_files=found)
    return read_remote(remote, answered, NOW, Past(last))


@pytest.mark.parametrize(
    ("last", "now", "asked"),
    [
        (result(process("encode.service")), result(), {"encode": Ended("encode.service")}),
        (result(process(), files={7: "/log"}), result(), {"encode": Ended(log_file="/log")}),
        (result(process(), files={}), result(), {}),
        (result(process("encode.service")), result(process("encode.service")), {}),
        (result(process("")), result(), {}),
        (result(), result(), {}),
        (None, result(), {}),
        (result(process("encode.service")), CheckResult("box-1", NOW), {}),
    ],
    ids=[
        "first missed",
        "no service",
        "no file",
        "it runs",
        "no service ran it",
        "missed before",
        "never seen",
        "not reached",
    ],
)
def test_only_what_is_missed_for_the_first_time_is_asked_about(
    last: CheckResult | None, now: CheckResult, asked: dict[str, Ended]
) -> None:
    """A healthy remote is asked nothing, and a process that stays away only once."""
    assert find_ended(last, now) == asked


def test_the_ending_stays_as_long_as_the_process_is_missing() -> None:
    """systemd's words are the evidence of the trouble, in the next rounds too, and go when the process is back."""
    ran = result(process("encode.service"))
    missed = add_endings(result(last=ran), find_ended(ran, result(last=ran)), answer(KILLED))
    said = "encode.service: failed, killed by the OOM killer, started again 57 times, since 2026-03-01 11:57 UTC"
    assert [trouble.detail for trouble in missed.troubles] == [said]
    (lines,) = [trouble.log for trouble in missed.troubles]
    assert (lines[0], lines[1][:17], len(lines[1])) == ("frame 1 of 9", "out of memory !!!", 200)
    later = result(last=missed)
    assert [(trouble.detail, trouble.log) for trouble in later.troubles] == [(said, lines)]
    back = result(process("encode.service"), last=later)
    assert (back.troubles, back.memory.endings, back.memory.last_lines) == ((), {}, {})


def test_without_an_answer_of_systemd_nothing_is_said() -> None:
    """A unit that systemd says nothing of, and an answer that never came, add nothing."""
    ran = result(process("encode.service"))
    for told in (RemoteAnswer(Outcome.ANSWERED), answer(), answer(UnitOutput("other.service"))):
        found = add_endings(result(last=ran), {"encode": Ended("encode.service")}, told)
        assert [trouble.detail for trouble in found.troubles] == [""]


def test_where_a_process_writes_is_asked_once() -> None:
    """Of a process that is new, and never while the same ones run, also when there is nothing to be read."""
    first = result(process(), files={7: "/log"})
    same = result(process(), last=first)
    anew = result(process(pid=8), last=same)
    again = result(process(pid=9), last=anew, files={9: "no path"})
    gone = result(last=again)
    asked = [asks_for_log_files(BOX, one) for one in (None, first, same, anew, again, gone)]
    assert asked == [True, False, False, True, False, True]
    assert not asks_for_log_files(Remote("box-2", (), RemoteSettings()), None)


def test_the_file_is_that_of_the_process_that_has_ended() -> None:
    """One that was started anew writes where it did before, until it is asked; one of two that still runs is not it.

    A power cut between two rounds forgets nothing.
    """
    first = result(process(), files={7: "/log"})
    away = read_remote(BOX, None, NOW, Past(first))
    assert find_ended(away, result(last=away)) == {"encode": Ended(log_file="/log")}
    anew = result(process(pid=8), last=first)
    assert find_ended(anew, result(last=anew)) == {"encode": Ended(log_file="/log")}
    two = Remote("box-1", (), RemoteSettings.model_validate({"processes": [{"words": "encode", "min": 2}]}))
    both = result(process(), process(pid=8), files={7: "/log", 8: "/other"}, remote=two)
    one = result(process(), last=both, remote=two)
    assert [find_ended(both, one), find_ended(one, result(last=one, remote=two))] == [
        {"encode": Ended(log_file="/other")},
        {},
    ]
    told = RemoteAnswer(Outcome.ANSWERED, last_lines=(LastLines("/other", tuple("1234")), LastLines("/x", ("5",))))
    assert [trouble.log for trouble in add_endings(one, find_ended(both, one), told).troubles] == [("2", "3", "4")]


def test_a_kill_for_lack_of_memory_is_evidence_of_its_own() -> None:
    """Where systemd does not know of one, the kernel's count of kills says what was; not of what was missed before."""
    two_kills = RemoteAnswer(Outcome.ANSWERED, facts=Facts(oom_kills=2), processes=())
    said = "1 process was killed for lack of memory before 2026-03-01 12:00 UTC"
    ran = replace(result(process("a.service")), memory=Memory(oom_kills=1))
    missed = read_remote(BOX, two_kills, NOW, Past(ran))
    later = read_remote(BOX, two_kills, NOW + timedelta(hours=1), Past(missed))
    assert [one.detail for one in (*missed.troubles, *later.troubles)] == [said, said]
    killed = UnitOutput("a.service", "loaded", "failed", "failed", "signal", exit_status=9)
    (trouble,) = add_endings(missed, {"encode": Ended("a.service")}, answer(killed)).troubles
    assert trouble.detail == f"a.service: failed, ended by signal 9; {said}"
    away = replace(result(), memory=Memory(oom_kills=1))
    assert [one.detail for one in read_remote(BOX, two_kills, NOW, Past(away)).troubles] == [""]


def test_an_order_keeps_the_units_that_it_asks_about() -> None:
    """What the package writes, the playbook reads."""
    order = Order.from_json(to_json(Order(units={"box-1": ("encode.service",)}, last_lines={"box-2": ("/log",)})))
    assert (list(order.units["box-1"]), list(order.last_lines["box-2"])) == (["encode.service"], ["/log"])
    assert [order.asks_again(name) for name in ("box-1", "box-2", "box-3")] == [True, True, False]


def test_only_the_units_are_asked_about_again(tmp_path: Path) -> None:
    """Checks, files and devices have been asked in this round, and a kept connection has just been used."""
    variables = {
        "remotestatus_checks": {"name": "backup", "command": "start-backup"},
        "remotestatus_files": "/var/log/x",
        "remotestatus_units": ["other"],
        "remotestatus_devices": [{"host": "camera", "port": 80}],
    }
    host = Host("box-1", "127.0.0.1", None, None, None, password=False, options=split_options(""))
    entry = Entry("box-1", [], variables, host=host)
    topology = trace({"box-1": host}, (), ClientConfig())
    units, lines = {"box-1": ("encode.service", "no unit")}, {"box-1": ("/log", "/a\nb", "log")}
    orders = {
        "first": Order(keep_seconds=60),
        "again": Order(keep_seconds=60, attempt=2, attempts=2),
        "ended": Order(keep_seconds=60, attempt=2, attempts=2, units=units, last_lines=lines),
    }
    plans = {
        name: plan_probe(entry, topology, tmp_path / "known_hosts", Workdir(tmp_path), order, {})
        for name, order in orders.items()
    }
    assert plans["ended"].questions == Questions(units=("encode.service",), journal=True, last_lines=("/log",))
    assert plans["ended"].devices == ()
    assert plans["again"].questions == plans["first"].questions
    assert {name: plan.suspect for name, plan in plans.items()} == {"first": False, "again": True, "ended": False}
    uses = {name: f"ControlPath={plan.kept}" in plan.command for name, plan in plans.items()}
    assert uses == {"first": True, "again": False, "ended": True}
