"""Sending through real Apprise to real mail and web servers, and keeping its URLs secret."""

import json
import logging
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any, cast

import apprise
import pytest
from apprise.plugins.custom_json import NotifyJSON

from remotestatus.history import outbox
from remotestatus.history.database import History
from remotestatus.model.errors import ConfigurationError
from remotestatus.model.fleet import Fleet
from remotestatus.model.inventory_variables import FleetSettings
from remotestatus.model.replies import ReplyInvitation
from remotestatus.model.states import Kind
from remotestatus.notify.apprise_client import hand_over
from remotestatus.notify.assemble import assemble
from remotestatus.notify.compose import compose_message
from remotestatus.notify.deliver import Sending, _Turn, send_test
from remotestatus.notify.destinations import load_destinations, problems_of_tags
from remotestatus.notify.heartbeat import Signal, ping
from remotestatus.notify.sendings import Destination
from remotestatus.round import send_due
from tests.lab import HttpSink, SmtpSink
from tests.stories import EVERY, OPS, START, TEMPLATES, Story, make_fleet, record_round

SECRET = "Sesame99"

# Apprise's mail plugin imports a module that Python 3.11 and 3.12 call deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    """A new history file."""
    with History.open(tmp_path / "history.sqlite3") as history:
        yield history


class Gathered(logging.Handler):
    """Whatever reaches the root logger."""

    def __init__(self) -> None:
        super().__init__(level=logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def load(*entries: dict[str, Any] | str, base: Path = Path("/")) -> tuple[Destination, ...]:
    """Load destinations as the inventory writes them."""
    return load_destinations(FleetSettings.model_validate({"apprise": list(entries)}).apprise, base)


def at(now: datetime, **settings: Any) -> Sending:
    """What a round with these settings sends by."""
    return Sending(FleetSettings.model_validate(settings), TEMPLATES, now)


def body_of(mail: EmailMessage, subtype: str) -> str:
    """The plain or html part of a mail."""
    part = mail.get_body((subtype,))
    assert part is not None
    return str(part.get_content()).replace("\r\n", "\n")


def have_round(
    history: History, fleet: Fleet, destinations: tuple[Destination, ...], found: dict[str, str], number: int
) -> None:
    """Record one round with its messages."""
    record_round(history, fleet, found, destinations, START + number * EVERY)


def test_a_mail_has_a_headline_and_reads_well_as_text_and_html(history: History, smtp_sink: SmtpSink) -> None:
    """A real mail server gets one mail: the headline as subject, a plain text and an HTML part that say the same."""
    fleet = make_fleet({"r1": {"nickname": "Box <1>"}, "r2": {}}, url="https://status.example.com/")
    destinations = load(smtp_sink.url)
    have_round(history, fleet, destinations, {"r1": "d", "r2": "g"}, 0)
    assert send_due(history, destinations, at(START, url="https://status.example.com/"))[0].taken
    (mail,) = smtp_sink.wait_for(1)
    assert mail["Subject"] == "1 down: r1; 1 degraded: r2"
    text, html = body_of(mail, "plain"), body_of(mail, "html")
    assert text.startswith("r1 (Box <1>) is down.\nDo: Is r1 powered and online?")
    assert "r2 is degraded: not running: encoder.\nDo: Start it on r2" in text
    assert "<b>r1 (Box &lt;1&gt;) is down.</b><br/><b>Do:</b> Is r1 powered" in html
    assert '<a href="https://status.example.com/">' in html


def test_a_hook_gets_plain_text_and_the_type(history: History, http_sink: HttpSink) -> None:
    """A JSON hook gets the subject, the plain text and how bad it is, once."""
    destinations = load(http_sink.apprise_url)
    have_round(history, make_fleet(), destinations, {"r1": "d"}, 0)
    assert not any(attempt.failed for attempt in send_due(history, destinations, at(START)))
    assert send_due(history, destinations, at(START)) == ()
    (request,) = http_sink.wait_for(1)
    body = json.loads(request.body)
    assert (body["title"], body["type"]) == ("1 down: r1", "failure")
    assert body["message"].startswith("r1 is down.\n  Do: ")


class Recorder(NotifyJSON):  # type: ignore[misc]
    """A service of Apprise with limits that a test gives it; `sent` has each piece that it was sent."""

    def send(self, body: str, title: str = "", **_: Any) -> bool:
        self.sent.append((title, body))
        return True


@pytest.mark.parametrize(
    ("room", "title", "amalgamate", "size", "begins"),
    [
        pytest.param(67, 0, False, 40, "13 down: camera-3 and 12 more; 27 degraded: camera-1 and 26 more", id="67"),
        pytest.param(160, 0, False, 1, "1 degraded: camera-1\r\n- camera-1 is degraded: not", id="one by SMS"),
        pytest.param(160, 0, False, 3, "1 down: camera-3; 2 degraded: camera-1, camera-2\r\nAnswer `ack ", id="SMS"),
        pytest.param(160, 0, False, 40, "13 down: camera-3 and 12 more; 27 degraded: camera-1 and 26", id="many"),
        pytest.param(240, 64, False, 40, "- 13 remotes behind jump are down with the same", id="little, titled"),
        pytest.param(1000, 0, False, 40, "13 down: camera-3, camera-6, camera-9", id="no title"),
        pytest.param(2000, 250, True, 40, "13 remotes behind jump are down", id="a title that counts"),
    ],
)  # fmt: skip
def test_no_service_gets_a_message_in_pieces(room: int, title: int, amalgamate: bool, size: int, begins: str) -> None:
    """What is sent keeps to the room that a service states, with the subject where that stands above the text."""
    service = Recorder(host="127.0.0.1")
    service.body_maxlen, service.title_maxlen, service.overflow_amalgamate_title = room, title, amalgamate
    receiver = replace(OPS, room=room, plain=True, titled=title > 0 and not amalgamate)
    names = [f"camera-{number}" for number in range(1, size + 1)]
    story = Story(make_fleet({name: {} for name in names}, url="https://status.example.com/"), receivers=(receiver,))
    story.round({name: "dgg"[number % 3] for number, name in enumerate(names, 1)})
    (notification,) = story.notifications()
    answer = ReplyInvitation("ABCD-EFGH-IJKL-MNOP", ("ntfy.example.com/boxes",), START, names[0])
    message = compose_message(replace(notification, answer=answer), story.fleet, TEMPLATES)
    destination = Destination(
        "id x", "x", (), room, plain=True, titled=receiver.titled, service_name="x", service=service
    )
    service.sent = []
    for messages, now in (([message], START), ([message], START + EVERY), ([message] * 30, START + EVERY)):
        sent = assemble(messages, now, story.fleet.settings, TEMPLATES, receiver)
        assert hand_over(destination, sent).taken
    assert len(service.sent) == 3
    assert max(len(body) for _, body in service.sent) <= room
    assert service.sent[0][1].startswith(begins)


def test_one_destinations_failure_repeats_nothing_elsewhere(
    history: History, smtp_sink: SmtpSink, http_sink: HttpSink
) -> None:
    """While the mail server is away for five rounds the hook gets each message once, and then the mail comes as one."""
    fleet = make_fleet()
    smtp_sink.stop()
    for number, letter in enumerate("duddd"):
        destinations = load(smtp_sink.url, http_sink.apprise_url)
        have_round(history, fleet, destinations, {"r1": letter}, number)
        delivery = send_due(history, destinations, at(START + number * EVERY))
        assert all(attempt.error == "the connection is refused" for attempt in delivery if attempt.failed)
    smtp_sink.start()
    now = START + 5 * EVERY
    send_due(history, load(smtp_sink.url, http_sink.apprise_url), at(now))
    (mail,) = smtp_sink.wait_for(1)
    assert mail["Subject"] == "1 down: r1 → 1 recovered: r1 → 1 down: r1"
    text = body_of(mail, "plain")
    times = ["12:00 UTC, 50 min ago", "12:10 UTC, 40 min ago", "12:20 UTC, 30 min ago"]
    assert [text.index(one) for one in times] == sorted(text.index(one) for one in times)
    titles = [json.loads(request.body)["title"] for request in http_sink.requests]
    assert titles == ["1 down: r1", "1 recovered: r1", "1 down: r1"]
    assert outbox.count_waiting(history) == 0


def test_what_a_mail_server_refuses_keeps_nothing_else_back(history: History, smtp_sink: SmtpSink) -> None:
    """Of three messages that wait, the one whose words are refused comes as subject and link, the others whole."""
    fleet = make_fleet(3, url="https://status.example.com/")
    destinations = load(smtp_sink.url)
    cast(apprise.NotifyBase, destinations[0].service).request_rate_per_sec = 0
    smtp_sink.refusal = "451 4.3.0 try again later"
    for number, found in enumerate([{"r1": "d"}, {"r1": "d", "r2": "g"}, {"r1": "d", "r2": "g", "r3": "d"}]):
        have_round(history, fleet, destinations, found, number)
        assert any(attempt.failed for attempt in send_due(history, destinations, at(START + number * EVERY)))
    smtp_sink.refusal, smtp_sink.refused_text = None, "not running: encoder"

    delivery = send_due(history, destinations, Sending(fleet.settings, TEMPLATES, START + 3 * EVERY))

    assert not any(attempt.failed for attempt in delivery)
    assert [mail["Subject"] for mail in smtp_sink.messages] == [
        "1 down: r1 (late)",
        "1 down: r3 (late)",
        "1 degraded: r2",
    ]
    assert body_of(smtp_sink.messages[-1], "plain").splitlines()[:3] == [
        "1 degraded: r2",
        "",
        "This message was refused as it was written: its mail server answers 554 (refused). What it said is here: "
        "https://status.example.com/",
    ]
    assert outbox.count_waiting(history) == 0
    assert outbox.failing_destinations(history) == ()


def test_a_message_that_is_refused_in_every_form_is_given_up_once_others_arrive(
    history: History, smtp_sink: SmtpSink
) -> None:
    """Alone it waits, because its service may refuse everything; when another is taken it is dropped, with why."""
    fleet = make_fleet(2)
    destinations = load(smtp_sink.url)
    cast(apprise.NotifyBase, destinations[0].service).request_rate_per_sec = 0
    smtp_sink.refused_text = "r1"
    have_round(history, fleet, destinations, {"r1": "d"}, 0)
    attempt = send_due(history, destinations, at(START))[-1]
    assert (attempt.permanent, attempt.dropped) == (True, False)
    assert outbox.count_waiting(history) == 1

    have_round(history, fleet, destinations, {"r1": "d", "r2": "d"}, 1)
    attempt = send_due(history, destinations, at(START + EVERY))[-1]

    assert attempt.dropped
    assert [mail["Subject"] for mail in smtp_sink.messages] == ["1 down: r2"]
    assert outbox.count_waiting(history) == 0
    (dropped,) = outbox.messages_about(history, (Kind.REMOTE, "r1"))
    assert dropped.dropped == "refused: its mail server answers 554 (refused)"


def test_a_server_that_refuses_everything_is_asked_little_and_loses_nothing(
    history: History, smtp_sink: SmtpSink
) -> None:
    """Twelve messages, all refused: a handful of attempts a round; when it takes mail again, all of them arrive."""
    fleet = make_fleet(12)
    destinations = load(smtp_sink.url)
    cast(apprise.NotifyBase, destinations[0].service).request_rate_per_sec = 0
    smtp_sink.stop()
    for number in range(12):
        have_round(history, fleet, destinations, {f"r{one}": "d" for one in range(1, number + 2)}, number)
    smtp_sink.start()
    smtp_sink.refused_text = "r"
    now = START + 12 * EVERY
    for _ in range(6):
        before = smtp_sink.attempts
        send_due(history, destinations, at(now))
        assert 0 < smtp_sink.attempts - before <= 7
        now += timedelta(hours=2)
    assert outbox.count_waiting(history) == 12

    smtp_sink.refused_text = None
    send_due(history, destinations, at(now))

    assert outbox.count_waiting(history) == 0
    subjects = " ".join(str(mail["Subject"]) for mail in smtp_sink.messages)
    assert all(f"r{number}" in subjects for number in range(1, 13))


@pytest.mark.parametrize("refusal", ["535 5.7.8 bad credentials", "530 5.7.0 authentication required"])
def test_a_refused_log_in_is_not_tried_once_for_each_message(
    history: History, smtp_sink: SmtpSink, refusal: str
) -> None:
    """What a destination refuses whatever is in it costs one attempt a round, or it would lock us out."""
    fleet = make_fleet(3)
    destinations = load(smtp_sink.url)
    smtp_sink.refusal = refusal
    for number, found in enumerate([{"r1": "d"}, {"r1": "d", "r2": "d"}]):
        have_round(history, fleet, destinations, found, number)
        send_due(history, destinations, at(START + number * EVERY))
    assert smtp_sink.attempts == 2
    assert outbox.count_waiting(history) == 2


def test_a_server_that_hangs_cannot_hang_the_round(history: History, http_sink: HttpSink) -> None:
    """With a deadline of half a second a silent server costs that, its message waits, and it says so."""
    destinations = load(http_sink.apprise_url)
    http_sink.hangs = True
    have_round(history, make_fleet(), destinations, {"r1": "d"}, 0)
    started = time.monotonic()
    (attempt,) = send_due(history, destinations, Sending(FleetSettings(), TEMPLATES, START, deadline=0.5))
    assert time.monotonic() - started < 2
    assert attempt.error == "no answer within 0.5 s"
    assert outbox.count_waiting(history) == 1


@pytest.mark.parametrize(("left", "attempts"), [(2.0, 1), (-1.0, 0)], ids=["late", "over"])
def test_a_turn_that_begins_late_makes_its_first_attempt(
    left: float, attempts: int, history: History, http_sink: HttpSink
) -> None:
    """Half of the time is over, as on a machine that is busy: the message goes out; after the end nothing is begun."""
    destinations = load(http_sink.apprise_url)
    have_round(history, make_fleet(), destinations, {"r1": "d"}, 0)
    (waiting,) = outbox.due(history, {destinations[0].key: destinations[0].name}, START)
    turn = _Turn(destinations[0], Sending(FleetSettings(), TEMPLATES, START), time.monotonic() + left)
    assert [attempt.taken for _, attempt in turn.send(waiting)] == [True] * attempts
    assert len(http_sink.requests) == attempts


@pytest.mark.parametrize(
    ("status", "permanent", "words"),
    [
        (401, True, "401 (Unauthorized)"),
        (404, True, "404 (Not Found)"),
        (410, True, "410 (Gone)"),
        (429, False, "429 (Too Many Requests)"),
        (500, False, "500 (Internal Server Error)"),
        (503, False, "503 (Service Unavailable)"),
    ],
)
def test_a_wrong_url_is_distinguished_from_a_passing_failure(
    history: History, http_sink: HttpSink, status: int, permanent: bool, words: str
) -> None:
    """An HTTP answer that time does not mend counts as permanent, others as passing; both are kept and tried again."""
    destinations = load(http_sink.apprise_url)
    http_sink.status = status
    have_round(history, make_fleet(), destinations, {"r1": "d"}, 0)
    attempt = send_due(history, destinations, at(START))[-1]
    assert attempt.permanent is permanent
    assert words in attempt.error
    http_sink.status = 200
    assert not any(attempt.failed for attempt in send_due(history, destinations, at(START + timedelta(hours=1))))
    assert outbox.count_waiting(history) == 0


@pytest.mark.parametrize(
    ("refusal", "permanent"), [("451 4.3.0 try again later", False), ("550 5.1.1 no such user", True)]
)
def test_a_mail_servers_refusal_is_known_by_its_code(
    history: History, smtp_sink: SmtpSink, refusal: str, permanent: bool
) -> None:
    """SMTP codes of 4xx are passing, of 5xx permanent, as RFC 5321 has them."""
    destinations = load(smtp_sink.url)
    smtp_sink.refusal = refusal
    have_round(history, make_fleet(), destinations, {"r1": "d"}, 0)
    attempt = send_due(history, destinations, at(START))[-1]
    assert (attempt.permanent, refusal[:3] in attempt.error) == (permanent, True)


def test_an_optional_destination_that_failed_has_failed(history: History, http_sink: HttpSink) -> None:
    """Apprise reports success for `optional=yes` whatever happened; here its message waits."""
    destinations = load(f"{http_sink.apprise_url}?optional=yes")
    http_sink.status = 500
    have_round(history, make_fleet(), destinations, {"r1": "d"}, 0)
    assert [attempt.failed for attempt in send_due(history, destinations, at(START))] == [True]


def test_no_secret_of_a_url_reaches_an_error_a_log_or_the_history(
    history: History, http_sink: HttpSink, capfd: pytest.CaptureFixture[str]
) -> None:
    """A failing URL with secrets in user, password, path, query and header leaves none of them anywhere."""
    logged = Gathered()
    logging.getLogger().addHandler(logged)
    level = logging.getLogger().level
    logging.getLogger().setLevel(logging.DEBUG)
    url = f"json://{SECRET}u:{SECRET}p@127.0.0.1:{http_sink.port}/{SECRET}x?:k={SECRET}q&+X-Token={SECRET}h"
    destinations = load(
        {"url": url, "name": "hook"}, f"jsons://127.0.0.1:1/{SECRET}", f"ntfys://{SECRET}@127.0.0.1:1/a"
    )
    http_sink.status = 401
    have_round(history, make_fleet(), destinations, {"r1": "d"}, 0)
    delivery = send_due(history, destinations, at(START))
    assert [attempt.failed for attempt in delivery] == [True] * 3
    logging.getLogger().setLevel(level)
    logging.getLogger().removeHandler(logged)
    out, err = capfd.readouterr()
    history.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    written = history.path.read_bytes().decode(errors="replace")
    written_anywhere = [repr(delivery), repr(destinations), out, err, written, *logged.lines]
    assert not [text for text in written_anywhere if SECRET.lower() in text.lower()]


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ([f"jsom://{SECRET}@host/x"], 'entry 1: Apprise has no service "jsom://"; did you mean json?'),
        ([f"mailto://user:{SECRET}@"], "entry 1: Apprise cannot use this mailto:// URL"),
        ([f"https://example.com/{SECRET}"], "entry 1: an address alone is not an Apprise URL; write jsons://…"),
        ([SECRET], "entry 1: not an Apprise URL; write for example mailto://… or ntfy://…"),
        ([{"url": f"tgram://{SECRET}", "name": "phone"}], "entry 1 (phone): Apprise cannot use this tgram:// URL"),
        ([f"json://h/{SECRET}", f"json://h/{SECRET}"], "entry 2: the same destination as JSON"),
    ],
)
def test_a_wrong_url_is_a_configuration_error_without_its_secrets(
    entries: list[Any], words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Each wrong entry is named by number and name, with what is wrong and the nearest service, and without the URL."""
    with pytest.raises(ConfigurationError) as raised:
        load(*entries)
    assert words in str(raised.value)
    assert SECRET not in str(raised.value) + "".join(capfd.readouterr())
    assert raised.value.__cause__ is None


def test_all_wrong_entries_are_named_at_once() -> None:
    """Two wrong URLs among three make one error with two problems."""
    with pytest.raises(ConfigurationError) as raised:
        load("jsom://a", "json://host", "nothing")
    assert len(raised.value.problems) == 2


def test_destinations_of_an_apprise_file_have_its_tags(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A configuration file next to the inventory is read with its tags; its broken line is named by number."""
    (tmp_path / "apprise.conf").write_text(f"ops=json://host/{SECRET}\nchat,boss=json://other/{SECRET}\n")
    found = load_destinations("apprise.conf", tmp_path)
    assert [destination.tags for destination in found] == [("ops",), ("boss", "chat")]
    assert len({destination.name for destination in found}) == 2
    (tmp_path / "apprise.conf").write_text(f"ops=json://host/{SECRET}\nchat=jsom://other/{SECRET}\n")
    with pytest.raises(ConfigurationError, match='Apprise has no service "jsom://"; did you mean json') as raised:
        load_destinations("apprise.conf", tmp_path)
    (tmp_path / "apprise.conf").write_text(f"# ours\nmailto://user:{SECRET}@\n")
    with pytest.raises(ConfigurationError, match="line 2: not an entry that Apprise can use"):
        load_destinations("apprise.conf", tmp_path)
    with pytest.raises(ConfigurationError, match="no such file; write a URL") as meant_as_url:
        load_destinations(f"mailto:user:{SECRET}@example.com", tmp_path)
    assert SECRET not in f"{raised.value}{meant_as_url.value}" + "".join(capfd.readouterr())


@pytest.mark.parametrize("text", [None, "", "# nothing here\n", "version: 2\nurls: no\n"])
def test_an_apprise_file_without_destinations_is_an_error(tmp_path: Path, text: str | None) -> None:
    """A missing, empty or unreadable file is never taken for having nobody to notify."""
    if text is not None:
        (tmp_path / "apprise.yml").write_text(text)
    with pytest.raises(ConfigurationError, match=r"apprise\.yml"):
        load_destinations("apprise.yml", tmp_path)


def test_unknown_and_unused_tags_are_problems() -> None:
    """A tag without destination names where it stands and the nearest right one; one that nothing names is said."""
    fleet = make_fleet({"r1": {"notify": "opps"}, "r2": {"escalate": {"after": "1h", "notify": "boss"}}})
    destinations = load({"url": "json://host/a", "name": "mail", "tags": ["ops", "boss"]})
    assert [str(problem) for problem in problems_of_tags(fleet, destinations)] == [
        'r1: remotestatus_notify: no destination of remotestatus_apprise has the tag "opps"; did you mean ops?',
        'remotestatus_apprise (mail): nothing names its tag "ops"; write it into a remotestatus_notify or '
        "remotestatus_escalate, or remove it",
    ]


def test_a_tag_may_be_for_quiet_hours_alone() -> None:
    """A destination can have quiet hours of its own through a tag that no remote names."""
    fleet = make_fleet({"r1": {"notify": "ops"}}, quiet_hours={"from": "22:00", "until": "06:00", "tags": "night"})
    assert problems_of_tags(fleet, load({"url": "json://host/a", "name": "pager", "tags": ["ops", "night"]})) == []


def test_a_named_destination_keeps_its_identity_when_its_url_changes() -> None:
    """With a name, a new password does not make it a new destination that is notified of everything again."""
    one, two = (load({"url": f"json://u:{password}@host", "name": "hook"})[0] for password in ("a", "b"))
    assert one.key == two.key


def test_a_test_message_says_which_destination_failed_and_why(smtp_sink: SmtpSink, http_sink: HttpSink) -> None:
    """`notify --test TAG` reaches the destinations with the tag and says each outcome."""
    http_sink.status = 403
    mail = {"url": smtp_sink.url, "name": "mail", "tags": "ops"}
    destinations = load(mail, {"url": http_sink.apprise_url, "name": "hook"})
    assert [(one.name, attempt.taken) for one, attempt in send_test(destinations, "ops", at(START, title="fleet"))] == [
        ("mail", True)
    ]
    destinations = load(mail, {"url": http_sink.apprise_url, "name": "hook"})
    outcome = {one.name: attempt for one, attempt in send_test(destinations, None, at(START, title="fleet"))}
    assert outcome["mail"].taken
    assert outcome["hook"].error == "its server answers 403 (Forbidden)"
    assert smtp_sink.wait_for(2)[0]["Subject"] == "fleet: test message"


def test_a_destination_that_failed_for_a_day_is_named_to_the_others_once(history: History, http_sink: HttpSink) -> None:
    """After a day of failures the other destination is notified in one message and not again."""
    fleet = make_fleet()
    other = HttpSink()
    with other:
        destinations = load(
            {"url": http_sink.apprise_url, "name": "good"}, {"url": f"json://127.0.0.1:{other.port}/x", "name": "bad"}
        )
        other.status = 500
        for number in (0, 1, 143, 144, 145, 146):
            have_round(history, fleet, destinations, {"r1": "d"}, number)
            send_due(history, destinations, at(START + number * EVERY))
    titles = [json.loads(request.body)["title"] for request in http_sink.requests]
    assert titles == ["1 down: r1", "no messages reach bad"]
    (failing,) = outbox.failing_destinations(history)
    assert failing.name == "bad"
    assert [message.sent_at is None for message in outbox.messages_about(history, (Kind.REMOTE, "r1"))] == [True, False]


def test_the_heartbeat_is_pinged_at_start_end_and_failure(http_sink: HttpSink) -> None:
    """The three signals go where Healthchecks expects them, with the note as body."""
    assert ping(http_sink.url + "?create=1", Signal.START) == ""
    assert ping(http_sink.url, Signal.SUCCESS) == ""
    assert ping(http_sink.url, Signal.FAILURE, "the disk is full") == ""
    assert [request.path for request in http_sink.requests] == ["/hook/start?create=1", "/hook", "/hook/fail"]
    assert http_sink.requests[2].body == b"the disk is full"


def test_a_heartbeat_that_fails_says_why_without_its_url(http_sink: HttpSink) -> None:
    """An answer that is no success, and no answer, are sentences that hold nothing of the URL."""
    http_sink.status = 404
    assert (
        ping(f"{http_sink.url}/{SECRET}", Signal.SUCCESS) == "the heartbeat could not be pinged: its server answers 404"
    )
    http_sink.stop()
    assert (
        ping(f"{http_sink.url}/{SECRET}", Signal.SUCCESS)
        == "the heartbeat could not be pinged: the connection is refused"
    )
