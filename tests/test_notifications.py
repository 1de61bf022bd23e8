"""Who is notified of what, and why not: tables of rounds and the subjects of the messages that they bring."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from remotestatus.evaluate.state_machine import next_state
from remotestatus.model.causes import Cause
from remotestatus.model.check_result import Trouble
from remotestatus.model.fleet import Worker
from remotestatus.model.inventory_variables import WorkerSpec
from remotestatus.model.messages import Message
from remotestatus.model.notification import EventType, Notification, Receiver
from remotestatus.model.receiver_memory import FailingDestination, NotificationMemory
from remotestatus.model.states import Kind, Policy, State
from remotestatus.model.status_words import Status
from remotestatus.model.windows import CommandWindow
from remotestatus.notify.assemble import assemble
from remotestatus.notify.compose import compose_message
from remotestatus.notify.decide import plan_notifications
from tests.stories import EVERY, OPS, START, TEMPLATES, Story, check_round, make_fleet

CHAT = Receiver("id chat", "chat", ("chat",))
BOSS = Receiver("id boss", "boss", ("boss",))
NIGHT = {"from": "22:00", "until": "07:00", "timezone": "UTC"}


def subjects(story: Story, rounds: list[str], name: str = "r1") -> list[str]:
    """Run a round for each letter and return the subject of the message to ops, empty where there was none."""
    return [message.subject if (message := story.round({name: letter}).get("ops")) else "" for letter in rounds]


@pytest.mark.parametrize(
    ("settings", "rounds", "sent"),
    [
        pytest.param({}, "u u", ["", ""], id="what is fine is no message"),
        pytest.param({}, "d d d", ["1 down: r1", "", ""], id="a problem is one message, in the first round too"),
        pytest.param({}, "d u", ["1 down: r1", "1 recovered: r1"], id="a recovery is one"),
        pytest.param({}, "g d", ["1 degraded: r1", "1 down: r1"], id="what gets worse is one"),
        pytest.param({}, "d g u", ["1 down: r1", "1 better: r1", "1 recovered: r1"], id="what gets better is one"),
        pytest.param({"fail_after": 3}, "d d d", ["", "", "1 down: r1"], id="fail_after waits"),
        pytest.param(
            {"fail_after": 3}, "d d u d d d", ["", "", "", "", "", "1 down: r1"], id="a good result starts anew"
        ),
        pytest.param({"fail_after": 2}, "g d", ["", "1 down: r1"], id="bad rounds of any kind count"),
        pytest.param({"recover_after": 2}, "d u u", ["1 down: r1", "", "1 recovered: r1"], id="recover_after waits"),
        pytest.param({"recover_after": 2}, "d u d u u", ["1 down: r1", "", "", "", "1 recovered: r1"], id="one outage"),
        pytest.param({"fail_after": 2}, "d n d", ["", "", "1 down: r1"], id="rounds without a result don't count"),
        pytest.param({}, "n n u", ["", "", ""], id="what could not be checked is not sent at once"),
        pytest.param({}, "n n n n u", ["", "", "", "1 not checked: r1", "1 recovered: r1"], id="but after some rounds"),
        pytest.param({}, "d n n n n d", ["1 down: r1", "", "", "", "", ""], id="a known problem stays the same one"),
    ],
)
def test_messages_about_one_remote(settings: dict[str, Any], rounds: str, sent: list[str]) -> None:
    """For each sequence of check results, exactly these messages are sent, each in the round that confirms it."""
    assert subjects(Story(make_fleet({"r1": settings})), rounds.split()) == sent


def test_a_dead_proxy_is_one_line_and_its_remotes_are_silent() -> None:
    """Forty remotes behind a proxy that dies make one message about the proxy, which counts and names them."""
    story = Story(make_fleet(40))
    story.round()
    message = story.round({"jump": "x"})["ops"]
    assert message.subject == "proxy jump down with 40 remotes behind it"
    assert "and 40 remotes behind it" in message.text
    assert message.about == (((Kind.PROXY, "jump"), EventType.PROBLEM),)
    assert story.round({"jump": "x"}) == {}
    assert "its proxy does not answer, and that is told as one" in story.reasons("r7")[0]


def test_a_proxy_that_recovers_says_nothing_about_remotes_that_are_fine() -> None:
    """After the proxy's recovery one line says that it answers, and nothing about the remotes found up again."""
    story = Story(make_fleet(40))
    story.round()
    story.round({"jump": "x"})
    message = story.round()["ops"]
    assert message.subject == "proxy jump recovered"
    assert "answers again after 10 min; the 40 remotes behind it can be checked again" in message.text
    assert len(message.about) == 1


def test_a_remote_down_before_its_proxy_died_recovers_only_when_it_is_seen() -> None:
    """A problem sent before the proxy died is neither repeated nor recovered while nobody could check."""
    story = Story(make_fleet({"r1": {"remind_every": "10m"}, "r2": {}}))
    assert story.round({"r1": "d"})["ops"].subject == "1 down: r1"
    assert story.round({"jump": "x"})["ops"].subject == "proxy jump down with 2 remotes behind it"
    assert story.round({"jump": "x"})["ops"].subject == "1 still down: jump"
    message = story.round()["ops"]
    assert message.subject == "proxy jump recovered; 1 recovered"
    assert "r1 is up again after 30 min" in message.text


def test_many_remotes_with_one_cause_behind_one_proxy_are_one_line() -> None:
    """Thirty tunnels gone in one round while the proxy answers make one item that counts them, not thirty."""
    story = Story(make_fleet(30))
    story.round()
    message = story.round({f"r{number}": "d" for number in range(1, 31)})["ops"]
    assert message.subject == "30 down: r1, r2, r3 and 27 more"
    assert message.text.count("\n  Do: ") == 1
    assert "30 remotes behind jump are down with the same cause: tunnel-down." in message.text
    recovered = story.round()["ops"]
    assert "30 remotes behind jump are up again after 10 min" in recovered.text
    assert recovered.text.count("- ") == 1


def test_a_message_is_one_per_round_and_leads_with_what_to_do() -> None:
    """New problems come first, each with what to do right after what it is; recoveries follow with how long it took."""
    story = Story(make_fleet({"r1": {"nickname": "Box", "location": "Hall A"}, "r2": {}, "r3": {}}))
    story.round({"r2": "d"})
    story.round({"r2": "d"})
    message = story.round({"r1": "d", "r3": "g"})["ops"]
    assert message.subject == "1 down: r1; 1 degraded: r3; 1 recovered"
    lines = message.text.splitlines()
    assert lines[0] == "r1 (Box, Hall A) is down."
    assert lines[1].startswith("  Do: ")
    assert "r3 is degraded: not running: encoder." in lines
    assert "- r2 is up again after 20 min." in lines


@pytest.mark.parametrize(
    ("rounds", "sent"),
    [
        pytest.param("d d d d d d", ["1 down: r1", "", "", "1 still down: r1", "", ""], id="reminded every half hour"),
        pytest.param("d d d d u", ["1 down: r1", "", "", "1 still down: r1", "1 recovered: r1"], id="until it is over"),
    ],
)
def test_reminders_repeat_open_problems(rounds: str, sent: list[str]) -> None:
    """With remind_every 30m an open problem is sent again each half hour, and no longer once it is over."""
    assert subjects(Story(make_fleet({"r1": {"remind_every": "30m"}})), rounds.split()) == sent


def test_open_problems_are_reminded_of_in_one_message() -> None:
    """When one reminder is due, every open problem that has reminders goes into the same message."""
    story = Story(make_fleet({f"r{number}": {"remind_every": "1h"} for number in (1, 2, 3)} | {"r4": {}}))
    story.round({"r1": "d"}, after=timedelta(minutes=50))
    story.round({"r1": "d", "r2": "g", "r4": "d"})
    message = story.round({"r1": "d", "r2": "g", "r4": "d"})["ops"]
    assert message.subject == "2 still down or degraded: r1, r2"
    assert message.text.startswith("- r1 has been down for 1 h: ")
    assert story.round({"r1": "d", "r2": "g", "r4": "d"}) == {}


def test_what_was_never_checked_says_since_when() -> None:
    """The message about it, and the reminder, count from the first round that could not check it."""
    story = Story(make_fleet({"r1": {"remind_every": "10m"}}))
    *_, first, reminder = [story.round({"r1": "n"}) for _ in range(5)]
    assert first["ops"].text.startswith("r1 is not checked since 12:00 UTC.\n")
    assert reminder["ops"].text.startswith("- r1 has not been checked for 40 min: ")


def test_an_acknowledged_problem_is_not_reminded_of_and_its_recovery_is_sent() -> None:
    """An acknowledgement stops reminders with that as the reason, and the recovery is sent and clears it."""
    story = Story(make_fleet({"r1": {"remind_every": "10m"}}))
    story.round({"r1": "d"})
    story.acknowledge("r1")
    assert story.round({"r1": "d"}) == {}
    assert story.reasons("r1") == ["not reminded: acknowledged"]
    assert story.round()["ops"].subject == "1 recovered: r1"
    assert story.memory.acknowledged == {}


def test_an_acknowledgement_ends_when_its_time_is_over() -> None:
    """After --until the reminders go on."""
    story = Story(make_fleet({"r1": {"remind_every": "10m"}}))
    story.round({"r1": "d"})
    story.acknowledge("r1", until=story.now + EVERY)
    assert story.round({"r1": "d"}) == {}
    assert story.round({"r1": "d"})["ops"].subject == "1 still down: r1"


def test_an_acknowledged_problem_that_gets_worse_is_sent() -> None:
    """Who acknowledged that something is degraded is still notified when it goes down."""
    story = Story(make_fleet())
    story.round({"r1": "g"})
    story.acknowledge("r1")
    assert story.round({"r1": "d"})["ops"].subject == "1 down: r1"


def test_a_problem_in_a_window_is_held_with_its_reason_and_sent_when_the_window_ends() -> None:
    """What is still down at the end of a maintenance window is sent then, with the time it began."""
    story = Story(make_fleet())
    story.round()
    story.maintain("boxes", timedelta(minutes=25))
    assert story.round({"r1": "d"}) == {}
    assert story.reasons("r1") == ["held: in maintenance until 12:35 UTC"]
    assert story.round({"r1": "d"}) == {}
    assert story.round({"r1": "d"}) == {}
    message = story.round({"r1": "d"})["ops"]
    assert message.text.startswith("r1 is down since 12:10 UTC.")


def test_an_outage_inside_a_window_is_never_sent() -> None:
    """What comes and goes inside a maintenance window, however often, is sent neither then nor later."""
    story = Story(make_fleet())
    story.round()
    story.maintain("r1", timedelta(minutes=60))
    assert subjects(story, list("dududuuuu")) == [""] * 9
    assert subjects(story, list("dud")) == ["1 down: r1", "1 recovered: r1", "1 down: r1"]


def test_a_problem_sent_before_a_window_is_sent_recovered_in_it() -> None:
    """Nobody is left believing in a problem because its end falls into a window."""
    story = Story(make_fleet())
    story.round({"r1": "d"})
    story.maintain("all", timedelta(hours=2))
    assert story.round()["ops"].subject == "1 recovered: r1"


def test_a_proxy_whose_remotes_are_all_in_maintenance_is_silent() -> None:
    """A window over a whole group covers the proxy that only this group is reached through."""
    story = Story(make_fleet(3))
    story.round()
    story.maintain("boxes", timedelta(hours=1))
    assert story.round({"jump": "x"}) == {}
    assert story.reasons("jump") == ["held: in maintenance until 13:10 UTC"]


def test_a_window_of_the_inventory_counts_like_one_given_by_command() -> None:
    """remotestatus_maintenance holds what is confirmed in it."""
    window = {"cron": "10 12 * * *", "for": "15m", "timezone": "UTC"}
    story = Story(make_fleet({"r1": {"maintenance": window}}))
    assert subjects(story, ["u", "d", "d", "d"]) == ["", "", "", "1 down: r1"]


def test_quiet_hours_hold_and_then_send_one_message() -> None:
    """What is wrong in the morning is sent then, and what came and went is said in one line without alarm."""
    story = Story(make_fleet(3, quiet_hours=NIGHT), now=datetime(2026, 3, 2, 21, 50, tzinfo=UTC))
    story.round()
    assert story.round({"r1": "d", "r2": "d"}) == {}
    assert story.reasons("r1") == ["held: quiet hours until 07:00 UTC"]
    assert story.round({"r1": "d"}, after=timedelta(hours=9)) == {}
    message = story.round({"r1": "d"})["ops"]
    assert message.subject == "1 down: r1; 1 came and went"
    assert "r1 is down since 2026-03-02 22:00 UTC." in message.text
    assert "- r2, in quiet hours: down from 2026-03-02 22:00 UTC, up from 2026-03-02 22:10 UTC." in message.text
    assert story.round({"r1": "d"}) == {}


def test_what_recovers_in_quiet_hours_is_sent_in_the_morning() -> None:
    """A problem that was sent in the evening and ended at night is sent as recovered when the quiet hours end."""
    story = Story(make_fleet(1, quiet_hours=NIGHT), now=datetime(2026, 3, 2, 21, 50, tzinfo=UTC))
    assert subjects(story, ["d", "u"]) == ["1 down: r1", ""]
    story.now = datetime(2026, 3, 3, 7, 0, tzinfo=UTC)
    assert subjects(story, ["u"]) == ["1 recovered: r1"]


def test_let_down_pass_wakes_for_what_is_down_only() -> None:
    """With let_down_pass what is down is sent at once in quiet hours, what is degraded is held."""
    story = Story(make_fleet(2, quiet_hours=NIGHT | {"let_down_pass": True}))
    story.now = datetime(2026, 3, 2, 23, 0, tzinfo=UTC)
    assert story.round({"r1": "d", "r2": "g"})["ops"].subject == "1 down: r1"
    assert "held" in story.reasons("r2")[0]


def test_quiet_hours_are_one_receivers_own() -> None:
    """Quiet hours with tags hold the messages of the destinations with such a tag and of no others."""
    fleet = make_fleet(1, quiet_hours=NIGHT | {"tags": ["chat"]})
    story = Story(fleet, receivers=(OPS, CHAT), now=datetime(2026, 3, 2, 23, 0, tzinfo=UTC))
    assert set(story.round({"r1": "d"})) == {"ops"}


def test_quiet_hours_go_by_their_zones_clock_over_a_clock_change() -> None:
    """In the night of 29 March 2026 seven o'clock in Berlin is 05:00 UTC, an hour earlier than the day before."""
    berlin = {"from": "22:00", "until": "07:00", "timezone": "Europe/Berlin"}
    story = Story(make_fleet(1, quiet_hours=berlin), now=datetime(2026, 3, 29, 4, 50, tzinfo=UTC))
    assert subjects(story, ["d", "d"]) == ["", "1 down: r1"]


def test_flapping_is_said_once_then_quiet_until_stable_then_said() -> None:
    """Four changes close together are sent as unstable, further ones not at all, and the end is sent once."""
    story = Story(make_fleet())
    sent = subjects(story, [*"dududududu", *"dddddddd", *"ddd"])
    assert sent[:3] == ["1 down: r1", "1 recovered: r1", "1 down: r1"]
    assert sent[3] == "1 unstable: r1"
    assert set(sent[4:17]) == {""}
    assert [message for message in sent[17:] if message] == ["1 down: r1"]


def test_what_never_fails_long_enough_to_be_sent_is_sent_as_unstable() -> None:
    """Outages shorter than fail_after are no messages one by one; four of them close together are one."""
    story = Story(make_fleet({"r1": {"fail_after": 2}}))
    sent = subjects(story, [*"udududu", *"dududu", *"uuuuuuuuuu"])
    assert sent[:8] == [""] * 8
    assert sent[8] == "1 unstable: r1"
    assert [message for message in sent[9:] if message] == ["1 recovered: r1"]
    assert set(subjects(Story(make_fleet({"r1": {"fail_after": 2}})), [*"uduuuuuuuuuuuuuduuuuuuu"])) == {""}


def test_a_slow_change_is_not_flapping() -> None:
    """A remote that changes every two hours is a message each time."""
    story = Story(make_fleet())
    sent = subjects(story, ["d"] * 12 + ["u"] * 12 + ["d"] * 12 + ["u"] * 12)
    assert [message for message in sent if message] == ["1 down: r1", "1 recovered: r1"] * 2


def test_tags_route_and_no_tags_reach_everybody() -> None:
    """A remote with tags goes to destinations that have one of them; one without goes to all."""
    story = Story(make_fleet({"r1": {"notify": "chat"}, "r2": {}}), receivers=(OPS, CHAT))
    sent = story.round({"r1": "d", "r2": "d"})
    assert {name: message.subject for name, message in sent.items()} == {"ops": "1 down: r2", "chat": "2 down: r1, r2"}
    assert "not for this destination: it goes to chat" in story.reasons("r1")


def test_a_proxy_goes_to_everybody_who_hears_of_a_remote_behind_it() -> None:
    """A proxy's receiver is the union of the receivers of the remotes behind it."""
    fleet = make_fleet({"r1": {"notify": "chat"}, "r2": {"notify": "chat"}})
    assert set(Story(fleet, receivers=(OPS, CHAT)).round({"jump": "x"})) == {"chat"}


def test_escalation_tells_a_further_tag_when_a_problem_lasts() -> None:
    """The further receiver is notified of the problem after its time, with the reason, and then of its end."""
    settings = {"notify": "chat", "escalate": {"after": "20m", "notify": "boss"}}
    story = Story(make_fleet({"r1": settings}), receivers=(CHAT, BOSS))
    assert set(story.round({"r1": "d"})) == {"chat"}
    assert "not told yet: escalated to it after 20 min" in story.reasons("r1")
    assert story.round({"r1": "d"}) == {}
    message = story.round({"r1": "d"})["boss"]
    assert "You are told because it has lasted 20 min." in message.text
    assert story.round({"r1": "d"}) == {}
    assert set(story.round()) == {"chat", "boss"}


def test_an_acknowledged_problem_is_not_escalated() -> None:
    """An acknowledgement keeps the further destination out, with that as the reason."""
    settings = {"notify": "chat", "escalate": {"after": "10m", "notify": "boss"}}
    story = Story(make_fleet({"r1": settings}), receivers=(CHAT, BOSS))
    story.round({"r1": "d"})
    story.acknowledge("r1")
    assert story.round({"r1": "d"}) == {}
    assert "not escalated: acknowledged" in story.reasons("r1")


def test_reasons_say_how_many_rounds_are_missing() -> None:
    """`--why` for a problem that is not confirmed names the count and the setting."""
    story = Story(make_fleet({"r1": {"fail_after": 3}}))
    story.round({"r1": "d"})
    assert story.reasons("r1") == ["not told yet: bad for 1 of 3 rounds in a row (fail_after)"]


def test_a_clock_that_went_back_neither_repeats_nor_silences() -> None:
    """After the clock is set back a year nothing is sent twice, recoveries are sent, and reminders count from there."""
    story = Story(make_fleet({"r1": {"remind_every": "20m"}}))
    story.round({"r1": "d"})
    story.now = START - timedelta(days=365)
    assert subjects(story, ["d", "d", "d", "u"]) == ["", "", "1 still down: r1", "1 recovered: r1"]


def test_a_week_without_rounds_tells_what_changed_once() -> None:
    """When the checker was off for a week, the first round after it sends what is different now."""
    story = Story(make_fleet(2))
    story.round({"r1": "d"}, after=timedelta(days=7))
    message = story.round({"r2": "d"})["ops"]
    assert message.subject == "1 down: r2; 1 recovered"
    assert "r1 is up again after 7 d" in message.text


def test_a_remote_that_left_the_inventory_is_forgotten() -> None:
    """Nothing is sent about a remote that is gone, and its memory goes with it."""
    story = Story(make_fleet(2))
    story.round({"r1": "d"})
    story.fleet = make_fleet({"r2": {}})
    del story.states[Kind.REMOTE, "r1"]
    assert story.round() == {}
    assert story.memory.known == {}


def test_a_long_message_is_cut_with_a_count_and_the_pages_address() -> None:
    """What does not fit is counted and the page named; the message keeps to the room its service has."""
    proxies = tuple(f"p{number}" for number in range(1, 101))
    behind = {f"r{number}": f"p{number}" for number in range(1, 101)}
    fleet = make_fleet(100, proxies=proxies, behind=behind, url="https://status.example.com/")
    wide = Story(fleet).round({f"r{number}": "d" for number in range(1, 101)})["ops"]
    assert "… and 75 not shown here; all of them: https://status.example.com/" in wide.text
    narrow = Story(fleet, receivers=(Receiver("id sms", "sms", (), room=2000),))
    message = narrow.round({f"r{number}": "d" for number in range(1, 101)})["sms"]
    assert len(message.html) <= 2000
    assert "not shown here" in message.html
    assert message.subject == "100 down: r1, r2, r3 and 97 more"
    short = Story(make_fleet(3), receivers=(Receiver("id sms", "sms", (), room=160, plain=True),))
    assert short.round({"r1": "d", "r2": "d"})["sms"].text == "- r1 is down.\n- r2 is down."


def test_what_comes_from_a_remote_cannot_write_html() -> None:
    """Names and texts are escaped in the HTML."""
    fleet = make_fleet({"r1": {"nickname": "<script>alert(1)</script>"}})
    message = Story(fleet).round({"r1": "d"})["ops"]
    assert "<script>" not in message.html
    assert "<script>" in message.text


def test_a_destination_that_fails_for_a_day_is_sent_to_the_others() -> None:
    """The others are notified in the next round, itself not; of a refusal after an hour."""
    fleet = make_fleet()
    for since, permanent, sent in (
        (timedelta(hours=23), False, False),
        (timedelta(hours=24), False, True),
        (timedelta(hours=1), True, True),
    ):
        failing = FailingDestination("id chat", "chat", START - since, "the connection is refused", permanent=permanent)
        story = Story(fleet, receivers=(OPS, CHAT), memory=NotificationMemory(failing=(failing,)))
        messages = story.round()
        assert set(messages) == ({"ops"} if sent else set())
        if sent:
            assert messages["ops"].subject == "no messages reach chat"
            assert "the connection is refused" in messages["ops"].text


def test_the_recovery_of_a_slow_recoverer_counts_from_its_beginning() -> None:
    """With recover_after a good result in between does not make a recovery forget when the problem began."""
    story = Story(make_fleet({"r1": {"recover_after": 2}}))
    subjects(story, ["d", "u", "d", "u"])
    assert "r1 is up again after 40 min" in story.round()["ops"].text


def test_late_messages_say_when_it_happened() -> None:
    """One late message names its time; several become one, the oldest first, with the time of each."""
    story = Story(make_fleet(2))
    first = story.round({"r1": "d"})["ops"]
    second = story.round({"r1": "d", "r2": "d"})["ops"]
    late = assemble([first], START + timedelta(hours=5), story.fleet.settings, TEMPLATES)
    assert late.subject == "1 down: r1 (late)"
    assert late.text.startswith("This message is late: it is about 12:00 UTC, 5 h ago.")
    prompt = assemble([first], START + timedelta(minutes=1), story.fleet.settings, TEMPLATES)
    assert prompt.subject == "1 down: r1"
    assert prompt.text == f"{first.text}\n\n-- \nremotestatus · checked 2026-03-02 12:00 UTC"
    both = assemble([first, second], START + timedelta(hours=5), story.fleet.settings, TEMPLATES)
    assert both.subject == "1 down: r1 → 1 down: r2"
    assert both.text.startswith("These 2 messages could not be delivered when they were due. The oldest comes first.")
    for now, begins in ((second.at, "1 of these 2 messages could"), (first.at, "12:00 UTC: 1 down: r1\n-----")):
        assert assemble([first, second], now, story.fleet.settings, TEMPLATES).text.startswith(begins)
    assert both.text.count("checked 2026") == 1
    assert both.text.index("12:00 UTC, 5 h ago: 1 down: r1") < both.text.index("12:10 UTC, 4 h 50 min ago: 1 down: r2")


def test_a_late_recovery_does_not_hide_a_problem_in_the_subject() -> None:
    """Of several late messages whose subjects are too long together, the subject gives the worst, as does the type."""
    names: dict[str, dict[str, Any]] = {f"a-remote-with-a-long-name-{number}": {} for number in range(1, 5)}
    story = Story(make_fleet(names, title="Fleet"))
    first = story.round(dict.fromkeys(names, "d"))["ops"]
    second = story.round(dict.fromkeys(list(names)[1:], "d"))["ops"]
    both = assemble([first, second], START + timedelta(hours=5), story.fleet.settings, TEMPLATES)
    assert both.subject.startswith("4 down: a-remote-with-a-long-name-1, ")
    assert both.subject.endswith(" (and 1 more) [Fleet]")
    assert both.type == "failure"


def test_a_recovery_held_by_quiet_hours_tells_its_own_time() -> None:
    """The morning's message says when it was over and how long it took, not how long the night was."""
    story = Story(make_fleet(1, quiet_hours=NIGHT), now=datetime(2026, 3, 2, 21, 50, tzinfo=UTC))
    subjects(story, ["d", "d", "u"])
    story.now = datetime(2026, 3, 3, 7, 0, tzinfo=UTC)
    assert "- r1 is up again since 2026-03-02 22:10 UTC, after 20 min." in story.round()["ops"].text


def test_several_late_messages_keep_to_the_room() -> None:
    """Of many late messages that do not fit, the older ones are given by their subjects."""
    story = Story(make_fleet(30))
    messages: list[Message] = []
    for number in range(1, 31):
        messages += story.round({f"r{one}": "d" for one in range(1, number + 1)}).values()
    both = assemble(messages, story.now, story.fleet.settings, TEMPLATES, Receiver("", "", room=4096))
    assert len(both.html) <= 4096
    assert all(f"1 down: r{number}" in both.text for number in range(1, 31))


def test_proxies_behind_a_dead_proxy_are_not_sent() -> None:
    """In a chain only the first dead proxy is sent; what is behind it, proxies too, is unknown."""
    fleet = make_fleet(1, proxies=("outer", "inner"), behind={"r1": "inner"})
    states: dict[tuple[Kind, str], State] = {}
    for change in check_round(fleet, states, {"outer": "x", "inner": "p"}, START):
        states[change.state.kind, change.state.name] = change.state
    result = plan_notifications(fleet, states, (OPS,), NotificationMemory(), START)
    assert [line.subject for notification in result.notifications for line in notification.lines] == [
        (Kind.PROXY, "outer")
    ]
    assert states[Kind.PROXY, "inner"].confirmed is Status.UP


def test_nobody_to_tell_is_no_message() -> None:
    """A fleet without destinations makes no notifications."""
    story = Story(make_fleet(), receivers=())
    assert story.round({"r1": "d"}) == {}


def test_an_empty_notification_still_has_a_subject() -> None:
    """Whatever a notification holds, neither its subject nor its body is empty (a service would refuse it)."""
    failing = FailingDestination("id chat", "chat", START, "x")
    message = compose_message(Notification(OPS, START, (), (failing,)), make_fleet(), TEMPLATES)
    assert message.subject
    assert message.text


class Counted(tuple[Any, ...]):
    """A tuple that counts how many of its items are read one after the other."""

    reads = 0

    def __iter__(self) -> Iterator[Any]:
        for item in super().__iter__():
            Counted.reads += 1
            yield item


def test_deciding_and_composing_read_the_fleet_a_fixed_number_of_times() -> None:
    """Four times as many remotes and proxies, half of them down, are four times as many reads, not sixteen times."""
    reads = []
    for size in (500, 2000):
        proxies = tuple(f"p{number}" for number in range(size // 5))
        behind = {f"r{number}": proxies[number % len(proxies)] for number in range(1, size + 1)}
        fleet = make_fleet(size, proxies=proxies, behind=behind)
        found = dict.fromkeys(proxies[::2], "x") | {f"r{number}": "d" for number in range(1, size, 2)}
        states = {
            (change.state.kind, change.state.name): change.state for change in check_round(fleet, {}, found, START)
        }
        window = CommandWindow(1, "p1", START, START + EVERY)
        counted = replace(fleet, remotes=Counted(fleet.remotes), proxies=Counted(fleet.proxies))
        Counted.reads = 0
        plan = plan_notifications(counted, states, (OPS, CHAT), NotificationMemory(windows=(window,)), START)
        for notification in plan.notifications:
            compose_message(notification, counted, TEMPLATES)
        reads.append(Counted.reads)
    assert reads[0] <= 5 * 500
    assert reads[1] <= 4 * reads[0]


def test_a_worker_that_was_muted_is_in_maintenance() -> None:
    """A window by command that has its name keeps its problem back, and so does one for all."""
    spec = WorkerSpec.model_validate({"name": "site-a", "command": "-"})
    fleet = replace(make_fleet(), workers=(Worker("site-a", spec, frozenset({"r1"})),))
    subject = (Kind.WORKER, "site-a")
    trouble = Trouble(Cause.CONNECTION_TIMEOUT, "It does not answer.")
    states = {subject: next_state(*subject, None, (trouble,), Policy(), START).state}
    for target, told in (("site-a", 0), ("all", 0), ("r1", 1)):
        memory = NotificationMemory(windows=(CommandWindow(1, target, START, START + EVERY),))
        assert len(plan_notifications(fleet, states, [OPS], memory, START).notifications) == told
