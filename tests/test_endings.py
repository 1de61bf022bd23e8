"""
What ended a process that is missing for the first time: asked once, and kept while it is missing.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from remotestatus_playbook.client_config import ClientConfig
from remotestatus_playbook.inventory import Entry
from remotestatus_playbook.machine_facts import Facts
from remotestatus_playbook.plan import plan_probe
from remotestatus_playbook.probe_script import Questions
from remotestatus_playbook.protocol import Order, Outcome, Process, RemoteAnswer, UnitOutput, to_json
from remotestatus_playbook.ssh_options import split_options
from remotestatus_playbook.topology import Host, trace
from remotestatus_playbook.workdir import Workdir

from remotestatus.evaluate.check_results import Past, read_remote
from remotestatus.evaluate.endings import add_endings, units_of_missing
from remotestatus.model.check_result import CheckResult
from remotestatus.model.fleet import Remote
from remotestatus.model.memory import Memory
from remotestatus.model.settings import RemoteSettings

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
BOX = Remote("box-1", (), RemoteSettings.model_validate({"processes": ["encode"]}))
LOG = ("frame 1 of 9", "\x1b[31mout of memory\x1b[0m " + 300 * "!")
KILLED = UnitOutput("encode.service", "loaded", "failed", "failed", "oom-kill", restarts=57, since_seconds=180, log=LOG)


def process(unit: str) -> Process:
    return Process(7, 1, "video", "S", 1, 1, ("encode",), exact=True, kernel=False, own=False, unit=unit)


def result(*processes: Process, last: CheckResult | None = None) -> CheckResult:
    answer = RemoteAnswer(Outcome.ANSWERED, facts=Facts(), processes=processes)
    return read_remote(BOX, answer, NOW, Past(last))


@pytest.mark.parametrize(
    ("last", "now", "asked"),
    [
        (result(process("encode.service")), result(), {"encode": "encode.service"}),
        (result(process("encode.service")), result(process("encode.service")), {}),
        (result(process("")), result(), {}),
        (result(), result(), {}),
        (None, result(), {}),
        (result(process("encode.service")), CheckResult("box-1", NOW), {}),
    ],
    ids=["first missed", "it runs", "no service ran it", "missed before", "never seen", "not reached"],
)
def test_only_what_is_missed_for_the_first_time_is_asked_about(
    last: CheckResult | None, now: CheckResult, asked: dict[str, str]
) -> None:
    """A healthy remote is asked nothing, and a process that stays away only once."""
    assert units_of_missing(last, now) == asked


def test_the_ending_stays_as_long_as_the_process_is_missing() -> None:
    """systemd's words are the evidence of the trouble, in the next rounds too, and go when the process is back."""
    ran = result(process("encode.service"))
    missed = add_endings(result(last=ran), units_of_missing(ran, result(last=ran)), [KILLED])
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
    for outputs in (None, (), [UnitOutput("other.service")]):
        found = add_endings(result(last=ran), {"encode": "encode.service"}, outputs)
        assert [trouble.detail for trouble in found.troubles] == [""]


def test_a_kill_for_lack_of_memory_is_evidence_of_its_own() -> None:
    """Where systemd does not know of one, the kernel's count of kills says what was; not of what was missed before."""
    answer = RemoteAnswer(Outcome.ANSWERED, facts=Facts(oom_kills=2), processes=())
    said = "1 process was killed for lack of memory before 2026-03-01 12:00 UTC"
    ran = replace(result(process("a.service")), memory=Memory(oom_kills=1))
    missed = read_remote(BOX, answer, NOW, Past(ran))
    later = read_remote(BOX, answer, NOW + timedelta(hours=1), Past(missed))
    assert [one.detail for one in (*missed.troubles, *later.troubles)] == [said, said]
    killed = UnitOutput("a.service", "loaded", "failed", "failed", "signal", exit_status=9)
    (trouble,) = add_endings(missed, {"encode": "a.service"}, [killed]).troubles
    assert trouble.detail == f"a.service: failed, ended by signal 9; {said}"
    away = replace(result(), memory=Memory(oom_kills=1))
    assert [one.detail for one in read_remote(BOX, answer, NOW, Past(away)).troubles] == [""]


def test_an_order_keeps_the_units_that_it_asks_about() -> None:
    """What the package writes, the playbook reads."""
    order = Order(names=("box-1",), units={"box-1": ("encode.service",)})
    assert list(Order.from_json(to_json(order)).units["box-1"]) == ["encode.service"]


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
    orders = {
        "first": Order(keep_seconds=60),
        "again": Order(keep_seconds=60, attempt=2, attempts=2),
        "ended": Order(keep_seconds=60, attempt=2, attempts=2, units={"box-1": ("encode.service", "no unit")}),
    }
    plans = {
        name: plan_probe(entry, topology, tmp_path / "known_hosts", Workdir(tmp_path), order, {})
        for name, order in orders.items()
    }
    assert plans["ended"].questions == Questions(units=("encode.service",), journal=True)
    assert plans["ended"].devices == ()
    assert plans["again"].questions == plans["first"].questions
    assert {name: plan.suspect for name, plan in plans.items()} == {"first": False, "again": True, "ended": False}
    uses = {name: f"ControlPath={plan.kept}" in plan.command for name, plan in plans.items()}
    assert uses == {"first": True, "again": False, "ended": True}
