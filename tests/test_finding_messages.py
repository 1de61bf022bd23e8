"""What is new within a status is told, what is unchanged is not: tables of rounds, and a property over all of them."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from apprise import NotifyFormat
from apprise.conversion import convert_between
from hypothesis import given, settings
from hypothesis import strategies as st

from remotestatus.evaluate.finding_states import Look
from remotestatus.evaluate.make_trouble import explain
from remotestatus.evaluate.state_machine import next_state
from remotestatus.model.causes import Cause
from remotestatus.model.check_result import Key, Trouble, most_severe_first
from remotestatus.model.messages import NotificationType
from remotestatus.model.notification import Receiver
from remotestatus.model.states import Kind, Policy
from remotestatus.model.status_words import Severity, Status
from remotestatus.notify.compose import compose_message
from remotestatus.notify.decide import plan_notifications
from tests.stories import EVERY, OPS, START, TEMPLATES, Story, make_fleet

R1 = (Kind.REMOTE, "r1")
PAGER = Receiver("id pager", "pager", least=Severity.CRITICAL)


def told(story: Story, rounds: str, receiver: str = "ops") -> list[str]:
    """Run a round for each word and return the subject of each message, empty where there was none."""
    sent = (story.round({"r1": word}).get(receiver) for word in rounds.split())
    return [message.subject if message else "" for message in sent]


@pytest.mark.parametrize(
    ("own", "rounds", "sent"),
    [
        pytest.param({}, ":A :AB :AB", ["1 degraded: r1", "1 worse: r1", ""], id="a second finding is told, once"),
        pytest.param({}, ":A :a :A", ["1 degraded: r1", "1 better: r1", "1 worse: r1"], id="so are severities"),
        pytest.param({}, ":a :ab", ["1 degraded (warning): r1", "1 worse (warning): r1"], id="warnings say so"),
        pytest.param({}, ":AB :B u", ["1 degraded: r1", "1 better: r1", "1 recovered: r1"], id="one is over"),
        pytest.param({}, ":A :B :B", ["1 degraded: r1", "1 worse: r1", ""], id="one for another"),
        pytest.param({}, ":A d :AB", ["1 degraded: r1", "1 down: r1", "1 better: r1"], id="an outage between"),
        pytest.param({}, ":A n :A :AB", ["1 degraded: r1", "", "", "1 worse: r1"], id="a round that saw nothing"),
        pytest.param(
            {"fail_after": 2},
            ":A :A :AB :AB :A",
            ["", "1 degraded: r1", "", "1 worse: r1", "1 better: r1"],
            id="fail_after is each finding's own",
        ),
        pytest.param({"fail_after": 2}, ":A :A :AB :A :AB", ["", "1 degraded: r1", "", "", ""], id="and starts anew"),
        pytest.param(
            {"recover_after": 2},
            ":AB :A :AB :A :A",
            ["1 degraded: r1", "", "", "", "1 better: r1"],
            id="recover_after is each finding's own",
        ),
        pytest.param({}, "d x", ["1 down: r1", "1 down for another reason: r1"], id="another reason to be down"),
    ],
)  # fmt: skip
def test_what_is_new_within_a_status_is_told(own: dict[str, Any], rounds: str, sent: list[str]) -> None:
    """For each sequence of findings exactly these messages are sent, each in the round that confirms it."""
    assert told(Story(make_fleet({"r1": own})), rounds) == sent


@pytest.mark.parametrize(
    ("rounds", "sent"),
    [
        (":a :a", ["", ""]),
        (":a :aB :a u", ["", "1 degraded: r1", "1 recovered: r1", ""]),
        (":A :Ab :ab", ["1 degraded: r1", "", "1 recovered: r1"]),
        (":a d :a :a", ["", "1 down: r1", "1 recovered: r1", ""]),
    ],
)
def test_a_receiver_may_want_only_what_is_critical(rounds: str, sent: list[str]) -> None:
    """With `from: critical` a warning is no message, neither when it comes nor when it goes, and the reason says so."""
    story = Story(make_fleet(), receivers=(OPS, PAGER))
    assert told(story, rounds, "pager") == sent
    if rounds == ":a :a":
        (reason,) = story.reasons("r1")
        assert reason == (
            "not for this destination: it is told only what is critical (from); less than that is process-missing a"
        )


def test_a_message_says_what_is_new_first_and_then_everything_else() -> None:
    """The first line names the new finding, the second what to do; what is left and what is over follow."""
    story = Story(make_fleet({"r1": {"nickname": "Box"}}))
    message = story.round({"r1": ":aBC"})["ops"]
    assert message.text.splitlines()[:3] == [
        "r1 (Box) is degraded: not running: b, c.",
        "  Do: Start it on r1; `remotestatus match r1` shows what runs there and what nearly matches.",
        "  Also (warning): Not running: a.",
    ]
    assert message.type is NotificationType.FAILURE
    message = story.round({"r1": ":aCD"})["ops"]
    assert message.text.splitlines() == [
        "r1 (Box) got worse: not running: d.",
        "  Do: Start it on r1; `remotestatus match r1` shows what runs there and what nearly matches.",
        "  Still: Not running: c.",
        "  Still (warning): Not running: a.",
        "  Over: Running again: b.",
    ]
    message = story.round({"r1": ":a"})["ops"]
    assert message.text.splitlines() == [
        "r1 (Box) is better, but still degraded (warning): running again: c, d.",
        "  Do: Start it on r1; `remotestatus match r1` shows what runs there and what nearly matches.",
        "  Still (warning): Not running: a.",
    ]
    assert message.type is NotificationType.INFO


def test_what_is_hidden_by_an_outage_is_not_over() -> None:
    """A remote that goes down does not run again what it lacked; when it is back, all that is wrong is told."""
    story = Story(make_fleet(40))
    story.round({f"r{number}": ":AB" for number in range(1, 41)})
    message = story.round({f"r{number}": "d" for number in range(1, 41)})["ops"]
    assert message.text.startswith("40 remotes behind jump were degraded and are down now: tunnel-down.\n  Do: ")
    assert "Over" not in message.text
    assert "Running again" not in message.text
    message = story.round({"r1": ":AB", **{f"r{number}": "d" for number in range(2, 41)}})["ops"]
    assert "r1 was down and is degraded now: not running: a, b." in message.text
    message = story.round({f"r{number}": ":B" for number in range(2, 41)})["ops"]
    assert "39 remotes behind jump were down and are degraded now: not running: b.\n  Do: " in message.text


def test_what_gets_worse_is_told_although_it_is_acknowledged() -> None:
    """An acknowledged problem that gets a finding more is told again, and one that loses a finding is told too."""
    story = Story(make_fleet({"r1": {"remind_every": "10m"}}))
    story.round({"r1": ":A"})
    story.acknowledge("r1")
    assert told(story, ":A :AB :A") == ["", "1 worse: r1", "1 better: r1"]


@pytest.mark.parametrize("rounds", ["n n n n", "d", ":A"])
def test_an_acknowledgement_holds_until_the_problem_is_over(rounds: str) -> None:
    """One of a problem that is not confirmed, or could not be checked, stays until the subject is up for good."""
    story = Story(make_fleet({"r1": {"fail_after": 3, "recover_after": 2}}))
    story.acknowledge("r1")
    for word in rounds.split():
        story.round({"r1": word})
        assert R1 in story.memory.acknowledged
    story.round()
    assert R1 not in story.memory.acknowledged


def tell(story: Story, *findings: tuple[Cause, str, str], unseen: dict[Key, Look] | None = None) -> str:
    """Run a round in which r1 has these findings (cause, what, severity), and return its message."""
    remote = story.fleet.remotes_by_name["r1"]
    troubles = [
        explain(cause, remote, names=[what], what=what, severity=Severity(severity))
        for cause, what, severity in findings
    ]
    change = next_state(*R1, story.states.get(R1), most_severe_first(troubles), Policy(), story.now, unseen)
    story.states[R1] = change.state
    story.last = plan_notifications(story.fleet, story.states, story.receivers, story.memory, story.now)
    known = {key: state for key, state in {**story.memory.known, **story.last.known}.items() if state is not None}
    story.memory = replace(story.memory, known=known)
    story.now += EVERY
    (notification,) = story.last.notifications
    return compose_message(notification, story.fleet, TEMPLATES).text


def test_what_is_left_as_a_warning_is_not_over_for_who_hears_only_of_what_is_critical() -> None:
    """A receiver with `from: critical` is told that a disk is no longer critical, and not that it is within limits."""
    story = Story(make_fleet(), receivers=(PAGER,))
    disk = (Cause.LIMIT_EXCEEDED, "disk /")
    encoder = (Cause.PROCESS_MISSING, "encoder", "critical")
    tell(story, (*disk, "critical"), encoder)
    text = tell(story, (*disk, "warning"), encoder)
    assert "no longer critical: over its limits: disk /" in text
    assert "ithin its limits" not in text


@pytest.mark.parametrize(
    ("findings", "told", "untold"),
    [
        ([], "no longer looked at: old", "unning again"),
        ([(Cause.UNIT_FAILED, "capture.service", "critical")], "capture.service", "assed again"),
    ],
)
def test_what_nobody_looks_at_is_not_told_as_over(
    findings: list[tuple[Cause, str, str]], told: str, untold: str
) -> None:
    """A rule that is gone is no longer looked at; a unit that failed has not passed because it could be looked at."""
    story = Story(make_fleet({"r1": {"units": ["capture.service"]}}))
    left = (Cause.PROCESS_MISSING, "encoder", "critical")
    old = (Cause.PROCESS_MISSING, "old")
    tell(story, left, (*old, "critical"), (Cause.CHECK_FAILED, "capture.service", "warning"))
    still = [] if findings else [(Cause.CHECK_FAILED, "capture.service", "warning")]
    text = tell(story, left, *findings, *still, unseen={old: Look.NOT_ASKED})
    assert told in text
    assert untold not in text


def test_what_is_up_because_nobody_looks_any_more_says_so() -> None:
    """After the last rule was taken out it is up, and not again; what really is over is told as over beside it."""
    web, old = ((Cause.PROCESS_MISSING, what, "critical") for what in ("web", "old"))
    for wrong, said in (((old,), "is up"), ((old, web), "is up again after 10 min (it was degraded)")):
        story = Story(make_fleet())
        tell(story, *wrong)
        text = tell(story, unseen={old[:2]: Look.NOT_ASKED})
        assert text == f"- r1 {said}; no longer looked at: old."


def test_an_acknowledgement_leaves_the_inventory_with_its_remote() -> None:
    """A remote that comes back to the inventory with another problem is not acknowledged any more."""
    story = Story(make_fleet(2))
    story.round({"r1": "d"})
    story.acknowledge("r1")
    both, story.fleet = story.fleet, make_fleet({"r2": {}})
    del story.states[R1]
    story.round()
    story.fleet = both
    assert story.memory.acknowledged == {}
    assert told(story, ":A") == ["1 degraded: r1"]


def test_processes_that_come_and_go_are_flapping_and_a_cascade_is_not() -> None:
    """A finding that returns again and again is told as unstable; one after another that stay are told each."""
    story = Story(make_fleet())
    sent = told(story, ":A :AB :A :AB :A :AB :A :AB :A :AB :A")
    assert sent[:5] == ["1 degraded: r1", "1 worse: r1", "1 better: r1", "1 worse: r1", "1 better: r1"]
    assert sent.count("1 unstable: r1") == 1
    assert set(sent[sent.index("1 unstable: r1") + 1 :]) == {""}
    assert told(Story(make_fleet()), ":A :AB :ABC :ABCD :ABCDE") == ["1 degraded: r1"] + ["1 worse: r1"] * 4


def test_quiet_hours_keep_the_findings_that_came_and_went() -> None:
    """In the morning one line says what came and went within a status, and what stayed is told as new."""
    quiet = {"from": "22:00", "until": "07:00", "timezone": "UTC"}
    story = Story(make_fleet(1, quiet_hours=quiet), now=datetime(2026, 3, 2, 21, 50, tzinfo=UTC))
    assert told(story, ":A :AB :AC :ACD") == ["1 degraded: r1", "", "", ""]
    story.now = datetime(2026, 3, 3, 7, 0, tzinfo=UTC)
    message = story.round({"r1": ":AC"})["ops"]
    assert message.subject == "1 worse: r1"
    assert "Meanwhile: not running: b, d." in message.text
    story.now = datetime(2026, 3, 3, 23, 0, tzinfo=UTC)
    assert told(story, ":ACE :AC") == ["", ""]
    story.now = datetime(2026, 3, 4, 7, 0, tzinfo=UTC)
    message = story.round({"r1": ":AC"})["ops"]
    assert message.subject == "1 came and went: r1"
    assert message.text.startswith("- r1, in quiet hours: not running: e.")


def test_why_names_each_finding_that_waits() -> None:
    """`--why` says of each finding how many rounds are missing, and of each message which findings it told."""
    story = Story(make_fleet({"r1": {"fail_after": 2, "recover_after": 2}}))
    told(story, ":A :A")
    assert story.reasons("r1") == ["told: problem: new process-missing a"]
    told(story, ":B")
    assert story.reasons("r1") == [
        "not told yet: process-missing b found in 1 of 2 rounds in a row (fail_after); "
        "process-missing a gone for 1 of 2 rounds (recover_after)"
    ]


def test_a_message_says_how_a_process_ended_and_not_what_it_logged() -> None:
    """systemd's words are the reason, beside what it explains; log lines may hold anything, and stay on the page."""
    story = Story(make_fleet())
    remote = story.fleet.remotes_by_name["r1"]
    missing = explain(Cause.PROCESS_MISSING, remote, names=["encoder"], what="encoder", detail="e.service: failed")
    missing = replace(missing, log=("token=1234",))
    looping = explain(Cause.BOOT_LOOP, remote, names=["3 starts"], what="starts")
    for found, said in (
        ((missing, looping), ["Do", "Seen", "Also"]),
        ((looping, missing), ["Do", "Also", "Seen"]),
    ):
        story.states[R1] = next_state(*R1, None, found, Policy(), START).state
        plan = plan_notifications(story.fleet, story.states, (OPS,), story.memory, START)
        message = compose_message(plan.notifications[0], story.fleet, TEMPLATES)
        assert re.findall(r"^  (\w+):", message.text, re.MULTILINE) == said
        assert "  Seen: e.service: failed" in message.text
        assert "token" not in message.text + message.html


NASTY = "@everyone <@123> <!channel> [click](http://evil.example) ![x](http://evil.example/p.png) <b>bold</b> me@box"


def test_what_a_remote_printed_is_no_markup_and_no_mention() -> None:
    """In plain text, in HTML and in the Markdown that Apprise makes of it, nothing acts; an address stays whole."""
    story = Story(make_fleet())
    remote = story.fleet.remotes_by_name["r1"]
    printed = explain(Cause.CHECK_FAILED, remote, names=[f"lamp: {NASTY}"], what="lamp", detail=NASTY)
    story.states[R1] = next_state(*R1, None, (printed,), Policy(), START).state
    plan = plan_notifications(story.fleet, story.states, (OPS,), story.memory, START)
    message = compose_message(plan.notifications[0], story.fleet, TEMPLATES)
    markdown = str(convert_between(NotifyFormat.HTML, NotifyFormat.MARKDOWN, message.html))
    for body in (message.text, message.html, markdown):
        assert "lamp" in body
        assert not [found for found in ("@everyone", "<@123", "<!channel", "](http", "<b>bold") if found in body]
        assert "me@box" in body


def as_recorded_before(story: Story) -> None:
    """Make states and memory what the version before findings recorded: one trouble for each cause, no findings."""
    for subject, state in story.states.items():
        names = ", ".join(trouble.what for trouble in state.troubles if trouble.what)
        old = tuple({one.cause: Trouble(one.cause, f"Not running: {names}.") for one in state.troubles}.values())
        story.states[subject] = replace(state, findings=(), troubles=old)
    known = {key: replace(state, findings=None) for key, state in story.memory.known.items()}
    story.memory = replace(story.memory, known=known)


@pytest.mark.parametrize(
    ("before", "after", "sent"),
    [
        (":AB", ":AB :AB", ["", ""]),
        (":AB", ":ABC :ABC", ["1 worse: r1", ""]),
        (":AB", ":A", [""]),
        (":AB", "n :AB :ABC", ["", "", "1 worse: r1"]),
        (":AB", "u", ["1 recovered: r1"]),
        (":AB", "d d", ["1 down: r1", ""]),
        ("d", "d d :A", ["", "", "1 better: r1"]),
        ("u", "u :A", ["", "1 degraded: r1"]),
    ],
)
def test_an_upgrade_repeats_nothing_and_hides_nothing(before: str, after: str, sent: list[str]) -> None:
    """What an older version told is not told again, and what is new in the first round after the upgrade is."""
    story = Story(make_fleet())
    story.round({"r1": before})
    as_recorded_before(story)
    assert told(story, after) == sent


WORDS = st.one_of(
    st.sampled_from(["u", "u", "d", "n"]),
    st.text("abABc", min_size=1, max_size=3)
    .map(lambda text: "".join({letter.lower(): letter for letter in text}.values()))
    .map(lambda text: f":{text}"),
)


@settings(max_examples=120, deadline=None)
@given(
    rounds=st.lists(WORDS, min_size=1, max_size=14),
    fail_after=st.integers(1, 3),
    recover_after=st.integers(1, 3),
    killed=st.sets(st.integers(0, 13), max_size=4),
    upgraded=st.none() | st.integers(0, 13),
)
def test_whoever_is_told_knows_what_is_so(
    rounds: list[str], fail_after: int, recover_after: int, killed: set[int], upgraded: int | None
) -> None:
    """
    Whatever comes and goes, whenever a round is killed before it is recorded: a receiver that reads its messages knows
    every confirmed finding that it wants and no other, as soon as nothing holds it, and no round repeats anything.
    """
    story = Story(make_fleet({"r1": {"fail_after": fail_after, "recover_after": recover_after}}), (OPS, PAGER))
    belief: dict[str, dict[tuple[Cause, str], Severity]] = {"ops": {}, "pager": {}}
    in_a_row: dict[str, int] = {}
    for number, word in enumerate(rounds):
        if number in killed:
            kept = (dict(story.states), story.memory)
            story.round({"r1": word})
            story.states, story.memory = kept
            continue
        if upgraded == number:
            as_recorded_before(story)
            belief = {"ops": {}, "pager": {}}
        story.round({"r1": word})
        assert story.last is not None
        for notification in story.last.notifications:
            for line in notification.lines:
                name = notification.receiver.name
                news = {change.finding.key: change.now for change in line.changes}
                assert not [key for key, now in news.items() if belief[name].get(key) is now and now is not None]
                belief[name] = {trouble.key: trouble.severity for trouble in line.troubles}
        state = story.states[R1]
        if upgraded is not None and number >= upgraded:
            continue  # what was told before the upgrade is not known here
        if state.flapping or state.status is not state.confirmed:
            return
        for receiver in (OPS, PAGER):
            wanted = {one.key: one.severity for one in state.confirmed_troubles if one.severity >= receiver.least}
            if wanted.keys() and state.status is Status.DOWN:
                assert set(belief[receiver.name]) == set(wanted)
            else:
                assert belief[receiver.name] == (wanted if state.status is not Status.UP else {})
        seen = set(word[1:].lower()) if word.startswith(":") else set()
        in_a_row = {letter: in_a_row.get(letter, 0) + 1 for letter in seen}
        for letter, found in in_a_row.items():
            if found >= fail_after:
                assert (Cause.PROCESS_MISSING, letter) in belief["ops"]


def test_findings_that_are_over_for_long_are_forgotten() -> None:
    """A state keeps what is over for some rounds only, so that it does not grow with what once was."""
    story = Story(make_fleet())
    for letter in "abcdefgh":
        story.round({"r1": f":{letter}"})
    for _ in range(30):
        story.round()
    assert story.states[R1].findings == ()
