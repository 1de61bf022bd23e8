"""
What is wrong with one remote or proxy keeps no stage of a round from being done for all others.
"""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from remotestatus_playbook.machine_facts import Facts
from remotestatus_playbook.protocol import Outcome, RemoteAnswer

from remotestatus.history import History
from remotestatus.model.causes import Cause
from remotestatus.model.check_result import CheckResult, Trouble
from remotestatus.model.failing_subjects import find_failing
from remotestatus.model.memory import Memory, Start
from remotestatus.model.receiver_memory import NotificationMemory
from remotestatus.model.rounds import Round
from remotestatus.model.states import Kind, State, Subject
from remotestatus.model.status_words import Status
from remotestatus.notify.decide import plan_for_each
from remotestatus.probe.attempts import Earlier
from remotestatus.probe.attempts.results_so_far import remote_result
from remotestatus.report import page_templates
from remotestatus.report.sites import make_site
from tests.made_fleet import Made, make_report_input
from tests.stories import OPS, START, make_fleet, record_round


@settings(max_examples=50)
@given(bad=st.sets(st.integers(0, 30)), total=st.integers(0, 31))
def test_culprits_are_found_among_many(bad: set[int], total: int) -> None:
    """All that fail, and no others, in their order."""
    subjects: list[Subject] = [(Kind.REMOTE, str(number)) for number in range(total)]
    wrong = {(Kind.REMOTE, str(number)) for number in bad}
    assert find_failing(subjects, lambda some: not wrong & set(some)) == tuple(one for one in subjects if one in wrong)


def test_what_fails_without_any_is_nobodys_fault() -> None:
    """A broken template is no remote's doing."""
    assert find_failing([(Kind.REMOTE, "a"), (Kind.REMOTE, "b")], lambda _: False) == ()


def test_an_answer_that_cannot_be_evaluated_is_a_checker_error_of_its_remote() -> None:
    """Whatever type an answer holds by mistake, it is one check result, with a sentence; what was known stays known."""
    remote = make_fleet({"r1": {"limits": {"load": 1}}}).remotes[0]
    facts = Facts(load=("much", "more", "most"))  # type: ignore[arg-type]
    last = CheckResult(remote.name, START, memory=Memory(starts=(Start("7c1e", START),)))
    earlier = Earlier(results={remote.name: last})
    result = remote_result(remote, RemoteAnswer(Outcome.ANSWERED, facts=facts), START, earlier)
    assert result.memory == last.memory
    assert result.trouble is not None
    assert result.trouble.cause is Cause.CHECKER_ERROR
    assert "TypeError" in result.trouble.detail
    assert remote.name in result.trouble.message


def test_a_state_that_cannot_be_planned_for_keeps_no_message_back() -> None:
    """People are told of all others, and what they know of the one stays as it was."""
    fleet = make_fleet(3)
    trouble = Trouble(Cause.TUNNEL_DOWN, "down")
    states = {
        (Kind.REMOTE, name): State(
            Kind.REMOTE, name, Status.DOWN, START, START, (trouble,), 1, confirmed=Status.DOWN, problem_since=START
        )
        for name in ("r1", "r2", "not in the fleet", "r3")
    }
    plan, said = plan_for_each(fleet, states, [OPS], NotificationMemory(), START)
    assert [line.state.name for one in plan.notifications for line in one.lines] == ["r1", "r2", "r3"]
    assert len(said) == 1
    assert "not in the fleet" in said[0]


def test_what_cannot_be_recorded_costs_its_own_row(tmp_path: Path) -> None:
    """A number that no database holds: the round is recorded, with a trouble, and the others with it."""
    results = [CheckResult("r1", START), CheckResult("r2", START, connect_ms=2**80), CheckResult("r3", START)]
    fleet = make_fleet(3)
    with History.open(tmp_path / "history.sqlite3") as history:
        record_round(history, fleet, {}, [], START)
        with history.transaction():
            round_ = history.record(Round(0, START, START, 3), [], results)
        assert "what was found of r2 could not be recorded" in "; ".join(round_.troubles)
        last = history.last_round()
        assert last is not None
        assert last.troubles == round_.troubles
        assert history.check_results().keys() >= {"r1", "r3"}


@pytest.mark.parametrize("public", [False, True])
def test_a_remote_that_cannot_be_shown_costs_its_own_page(tmp_path: Path, public: bool) -> None:
    """It is shown as checker-error with a sentence, and all others as they are."""
    made = Made(remotes=20, now=START, public=public)
    report_input = make_report_input(made, tmp_path / "history.sqlite3")
    remote = report_input.fleet.remotes[3]
    broken = replace(report_input.check_results[remote.name], connect_ms="fast", facts=Facts(uptime_seconds="x"))  # type: ignore[arg-type]
    _, notes = make_site(
        replace(report_input, check_results={**report_input.check_results, remote.name: broken}, measured_at={}),
        tmp_path / "site",
        page_templates(),
        None,
        START,
    )
    assert make_site(report_input, tmp_path / "whole", page_templates(), None, START)[1] == ()
    assert notes == (f"what is known of {remote.name} could not be shown; please report this",)
    shown, before = (
        {one["name"]: one for one in json.loads((tmp_path / name / "status.json").read_text())["remotes"]}
        for name in ("site", "whole")
    )
    assert shown[remote.name]["cause"]["code"] == "checker-error"
    assert {name: one for name, one in shown.items() if name != remote.name} == {
        name: one for name, one in before.items() if name != remote.name
    }
    assert "The checker itself failed" in (tmp_path / "site" / "remotes" / f"{remote.name}.html").read_text()
