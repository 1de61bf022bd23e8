"""Answers from a phone: codes that nobody can make or use twice, read from an ntfy topic and a mailbox."""

import re
import socket
import string
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from email.message import EmailMessage
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from remotestatus.evaluate.read_replies import is_meant, read_reply
from remotestatus.evaluate.reply_codes import read_code, write_code
from remotestatus.history import acks_windows_notes, outbox, taken_replies
from remotestatus.history.database import History
from remotestatus.model.errors import RoundGivenUp
from remotestatus.model.inventory_variables import AnswerSource
from remotestatus.model.replies import CODE_LIFE, ReadSource, Refusal, Reply, ReplyCommand, ReplyOutcome
from remotestatus.model.states import Kind
from remotestatus.notify import reply_sources
from remotestatus.notify.reply_sources import read_sources
from remotestatus.probe import AnsibleSource, PlaybookRunner
from remotestatus.round import RoundOptions, run_round
from tests.lab import Command, Lab, SmtpSink
from tests.lab.answer_sinks import Mailbox, NtfyTopic
from tests.stories import EVERY, OPS, START, Story, make_fleet

KEY = b"k" * 32
CODE = write_code(KEY, 7)
HOUR = timedelta(hours=1)
R1, R2 = (Kind.REMOTE, "r1"), (Kind.REMOTE, "r2")
SOURCES = (AnswerSource(ntfy="https://ntfy.example.com/answers"),)


@given(st.integers(0, 2**24 - 1), st.text(string.ascii_uppercase + "234567", min_size=16, max_size=16))
@settings(max_examples=60)
def test_only_who_holds_the_key_can_make_a_code(number: int, guess: str) -> None:
    """A code gives its number back; one that was made up or with another key gives none, and neither does a typo."""
    code = write_code(KEY, number)
    assert re.fullmatch(r"[A-Z2-7]{4}(-[A-Z2-7]{4}){3}", code)
    assert read_code(KEY, code) == read_code(KEY, code.lower().replace("-", "")) == number
    assert read_code(b"x" * 32, code) is None
    assert read_code(KEY, guess) is None
    typo = ("B" if code[-1] == "A" else "A").join((code[:-1], ""))
    assert read_code(KEY, typo) is None


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (f"ack {CODE}", Reply(ReplyCommand.ACK, CODE)),
        (f"ACK 4h {CODE.lower()}", Reply(ReplyCommand.ACK, CODE, lasting=timedelta(hours=4))),
        (f"mute r1 2h {CODE}", Reply(ReplyCommand.MUTE, CODE, "r1", timedelta(hours=2))),
        (f"status {CODE}", Reply(ReplyCommand.STATUS, CODE)),
        (f"ack\n\n> To answer, send `ack {CODE}`", Reply(ReplyCommand.ACK, CODE)),
        (f"\nack 1d\nOn Monday the checker wrote: {CODE}", Reply(ReplyCommand.ACK, CODE, lasting=24 * HOUR)),
        (
            f"mute prod-site-edge-cam2 2h {CODE}",
            Reply(ReplyCommand.MUTE, CODE, "prod-site-edge-cam2", 2 * HOUR),
        ),
        (f"ack\n> r1-{CODE}", Reply(ReplyCommand.ACK, CODE)),
        (f"ack\n> A check failed: AAAA-BBBB-CCCC-DDDD.\n> `ack {CODE}`", Reply(ReplyCommand.ACK, CODE)),
        (f"ack\n> edge-{CODE}", Reply(ReplyCommand.ACK, CODE)),
        ("ack", None),
        (f"ack for ever {CODE}", None),
        (f"mute r1 200d {CODE}", None),
        (f"mute {CODE}", None),
    ],
)
def test_an_answer_is_a_command_and_a_code(text: str, answer: Reply | None) -> None:
    """The first line has the command; the code stands in it or in what is quoted below."""
    assert is_meant(text)
    assert read_reply(text, KEY) == answer


@given(st.text(max_size=300))
@settings(max_examples=100)
def test_any_text_is_read_without_harm(text: str) -> None:
    """Whatever comes, it is an answer or none."""
    is_meant(text)
    read_reply(text, KEY)


def test_our_own_messages_are_no_answers() -> None:
    """Where messages are sent to the topic that answers come from, they are not taken for answers."""
    message = Story(make_fleet()).round({"r1": "d"})["ops"]
    assert not is_meant(message.text)
    assert not is_meant(f"> ack {CODE}")
    assert not is_meant("acknowledged, thanks")


class Desk:
    """A fleet with a history, whose last message can be answered."""

    def __init__(self, history: History) -> None:
        self.history, self.story = history, Story(make_fleet(3))
        self.story.round({"r1": "d", "r2": "d"})
        assert self.story.last is not None
        plan = taken_replies.invite(history, self.story.last, SOURCES, START)
        taken_replies.keep_codes(history, plan.codes)
        (notification,) = plan.notifications
        assert notification.answer
        self.code = notification.answer.code

    def say(self, *texts: str, after: timedelta = EVERY) -> list[Refusal]:
        """Answer with these texts; returns why they changed nothing."""
        found = [ReadSource(SOURCES[0].key, texts, "m1")]
        self.taken = taken_replies.take(self.history, found, {}, self.story.states, START + after)
        return list(self.taken.refused)

    @property
    def changed(self) -> bool:
        return bool(
            acks_windows_notes.acknowledgements(self.history) or acks_windows_notes.command_windows(self.history, START)
        )


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with History.open(tmp_path / "h") as history:
        yield Desk(history)


def test_an_answer_acknowledges_what_its_message_is_about(desk: Desk) -> None:
    """Both remotes of the message are acknowledged for so long, and who answered is told so."""
    assert desk.say(f"ack 4h {desk.code}") == []
    found = acks_windows_notes.acknowledgements(desk.history)
    assert found.keys() == {R1, R2}
    assert found[R1].until == START + EVERY + timedelta(hours=4)
    ends = START + EVERY + timedelta(hours=4)
    assert desk.taken.done == ((OPS.key, ReplyOutcome(ReplyCommand.ACK, ("r1", "r2"), ends)),)
    desk.story.memory = replace(desk.story.memory, replies=desk.taken)
    assert "- Acknowledged until 16:10 UTC: r1, r2." in desk.story.round({"r1": "d", "r2": "d"})["ops"].text
    assert taken_replies.read_until(desk.history, SOURCES[0].key) == "m1"


def test_an_answer_mutes_one_remote_of_its_message(desk: Desk) -> None:
    """It opens a maintenance window."""
    assert desk.say(f"mute r2 2h {desk.code}") == []
    (window,) = acks_windows_notes.command_windows(desk.history, START)
    assert (window.target, window.until) == ("r2", START + EVERY + timedelta(hours=2))


@pytest.mark.parametrize(
    ("text", "after", "refusal"),
    [
        ("ack AAAA-BBBB-CCCC-DDDD", EVERY, Refusal.FORGED),
        (f"ack {CODE}", EVERY, Refusal.FORGED),
        ("mute r3 2h CODE", EVERY, Refusal.FOREIGN),
        ("mute all 2h CODE", EVERY, Refusal.FOREIGN),
        ("ack CODE", CODE_LIFE, Refusal.EXPIRED),
        ("ack now please CODE", EVERY, Refusal.UNREADABLE),
        ("status", EVERY, Refusal.UNREADABLE),
    ],
)
def test_what_is_forged_foreign_or_too_late_changes_nothing(
    desk: Desk, text: str, after: timedelta, refusal: Refusal
) -> None:
    """It is counted by its reason."""
    assert desk.say(text.replace("CODE", desk.code), after=after) == [refusal]
    assert not desk.changed
    desk.say(text.replace("CODE", desk.code), after=after)
    assert taken_replies.refused_so_far(desk.history) == {refusal: 2}


def test_an_answer_that_is_replayed_changes_nothing(desk: Desk) -> None:
    """A code is good for one answer: whoever sees it later, in the topic for example, can do nothing with it."""
    desk.say(f"ack {desk.code}")
    acks_windows_notes.clear_acknowledgement(desk.history, R1)
    acks_windows_notes.clear_acknowledgement(desk.history, R2)
    assert desk.say(f"ack {desk.code}", f"mute r1 2h {desk.code}") == [Refusal.REPLAYED, Refusal.REPLAYED]
    assert not desk.changed


def test_a_topic_and_a_mailbox_are_read_once() -> None:
    """Each text comes once, quoted mail too; a wrong password is a failure without it; the box is only read."""
    mail = EmailMessage()
    mail["Subject"], mail["From"] = "Re: 1 down: r1", "me@example.com"
    mail.set_content(f"ack 4h\n\n> send `ack {CODE}`\n")
    with NtfyTopic() as topic, Mailbox() as mailbox:
        topic.messages.append(f"ack {CODE}")
        mailbox.mails.append(mail.as_bytes())
        sources = (AnswerSource(ntfy=topic.url, token="tk_secret"), AnswerSource(imap=mailbox.url))
        first = {one.key: one for one in read_sources([(source, "") for source in sources])}
        assert [first[source.key].failure for source in sources] == ["", ""]
        assert first[sources[0].key].texts == (f"ack {CODE}",)
        (text,) = first[sources[1].key].texts
        assert read_reply(text, KEY) == Reply(ReplyCommand.ACK, CODE, lasting=timedelta(hours=4))
        again = read_sources([(source, first[source.key].position) for source in sources])
        assert [one.texts for one in again] == [(), ()]
        assert topic.authorizations == ["Bearer tk_secret"] * 2
        assert not {"STORE", "UID STORE", "EXPUNGE"} & set(mailbox.commands)
        (refused,) = read_sources([(AnswerSource(imap=mailbox.url.replace("secret", "hunter2")), "")])
        assert refused.failure == "its mail server refuses the log-in or the mailbox"
    gone = read_sources([(source, "") for source in sources])
    assert {one.failure for one in gone} == {"the connection is refused"}


@pytest.mark.parametrize("starttls", [False, True])
def test_a_mail_server_without_a_good_certificate_gets_no_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, starttls: bool
) -> None:
    """Over imaps and over STARTTLS, a certificate that nobody vouches for ends it before the log-in."""
    pem = tmp_path / "own.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-subj", "/CN=mail", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2", "-keyout", str(pem)]
    subprocess.run([*command, "-out", str(tmp_path / "cert")], capture_output=True, check=True)
    pem.write_text(pem.read_text() + (tmp_path / "cert").read_text())
    with Mailbox(certificate=pem, starttls=starttls) as mailbox:
        mailbox.mails.append(b"Subject: x\r\n\r\nack")
        source = AnswerSource(imap=mailbox.url)
        (refused,) = read_sources([(source, "")])
        assert refused.failure == "its certificate is not accepted"
        assert "LOGIN" not in mailbox.commands
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert"))
        (read,) = read_sources([(source, "")])
        assert (read.failure, len(read.texts)) == ("", 1)


def test_a_password_leaves_this_machine_only_over_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mail server elsewhere that offers no STARTTLS is not logged in to."""
    with Mailbox() as mailbox:
        monkeypatch.setattr("socket.create_connection", to_loopback(mailbox.port))
        (refused,) = read_sources([(AnswerSource(imap="imap://me:secret@mail.example.com"), "")])
        assert "offers no STARTTLS" in refused.failure
        assert "LOGIN" not in mailbox.commands


def to_loopback(port: int) -> Callable[..., socket.socket]:
    """What connects to a port of loopback, whatever it is asked for: names of the tests are found nowhere."""
    connect = socket.create_connection
    return lambda _, *more, **options: connect(("127.0.0.1", port), *more, **options)


HOSTILE_MAILS = {
    "brackets": b"Content-Type: text/plain; " + b"(" * 30_000 + b"\r\n\r\nack",
    "parts": b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(2000)),
    "charset": b"Content-Type: text/plain; charset=no-such\r\n\r\nack",
    "transfer": b"Content-Transfer-Encoding: base64\r\n\r\n!!!",
    "nothing": b"",
}


def test_a_hostile_mail_stops_nothing() -> None:
    """Mails that cannot be read count as read, and the answer behind them is taken."""
    with Mailbox() as mailbox:
        mailbox.mails += [*HOSTILE_MAILS.values(), f"Subject: x\r\n\r\nack {CODE}".encode()]
        source = AnswerSource(imap=mailbox.url)
        (found,) = read_sources([(source, "")])
        assert (found.failure, found.position) == ("", f"7 {len(mailbox.mails)}")
        assert f"ack {CODE}" in found.texts[-1]


def test_mails_that_take_too_long_are_left_for_the_next_round(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the time is over, what was read is returned, one mail at least; the next round goes on behind it."""
    monkeypatch.setattr(reply_sources, "READING", 0.0)
    with Mailbox() as mailbox:
        source = AnswerSource(imap=mailbox.url)
        mailbox.mails += [b"Subject: %d\r\n\r\n" % number for number in range(1, 3)]
        (one,) = read_sources([(source, "7 0")])
        (two,) = read_sources([(source, one.position)])
        assert [(found.failure, found.texts, found.position) for found in (one, two)] == [
            ("", ("\n1",), "7 1"),
            ("", ("\n2",), "7 2"),
        ]


def test_a_mailbox_with_new_numbers_is_read_as_for_the_first_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """After its UIDVALIDITY has changed, the newest mails are read, and the position is one of the new numbers."""
    monkeypatch.setattr(reply_sources, "MOST", 2)
    with Mailbox() as mailbox:
        mailbox.validity = 8
        source = AnswerSource(imap=mailbox.url)
        (empty,) = read_sources([(source, "7 500")])
        assert empty.position == "8 0"
        mailbox.mails += [b"Subject: %d\r\n\r\n" % number for number in range(1, 5)]
        (found,) = read_sources([(source, "7 500")])
        assert ([text.strip() for text in found.texts], found.position) == (["3", "4"], "8 4")
        (found,) = read_sources([(source, "8 1")])
        assert ([text.strip() for text in found.texts], found.position) == (["2", "3"], "8 3")


def test_places_and_keys_hold_no_secrets() -> None:
    """What is shown and stored of a source does not change with its password."""
    one, two = (AnswerSource(imap=f"imaps://me%40example.com:{word}@mail.example.com/INBOX") for word in ("a", "b"))
    assert (one.key, one.place) == (two.key, two.place) == (one.key, "me@example.com")
    assert AnswerSource(ntfy="https://me:pw@ntfy.example.com/boxes").place == "ntfy.example.com/boxes"


def test_real_rounds_do_what_was_answered(lab: Lab, remotestatus: Command, smtp_sink: SmtpSink) -> None:
    """A mail has a code; sent to the topic it acknowledges, sent again it changes nothing, and the round says so."""
    lab.local("here", variables={"remotestatus_processes": ["no such process"]})
    with NtfyTopic() as topic:
        inventory = lab.write_inventory(
            remotestatus_apprise=[{"url": smtp_sink.url, "name": "mail"}],
            remotestatus_answers=[{"ntfy": topic.url}],
            remotestatus_remind_every="1s",
        )
        assert remotestatus("run", "-i", inventory).returncode == 0
        body = smtp_sink.wait_for(1)[0].get_body(("plain",))
        assert body is not None
        found = re.search(r"`status ([A-Z2-7-]{19})`", " ".join(str(body.get_content()).split()))
        assert found, body.get_content()
        topic.messages.append(f"ack 4h {found[1]}")
        assert remotestatus("run", "-i", inventory).returncode == 0
        assert smtp_sink.wait_for(2)[1]["Subject"] == "your answer"
        topic.messages.append(f"ack 4h {found[1]}")
        done = remotestatus("run", "-i", inventory)
    assert done.returncode == 0, done.stderr
    assert "1 answer to messages changed nothing: 1 replayed" in done.stdout + done.stderr
    assert "acknowledged by an answer" in remotestatus("ack", "--list", "-i", inventory).stdout
    assert len(smtp_sink.messages) == 2


def test_a_round_that_is_stopped_takes_no_answers(lab: Lab) -> None:
    """Answers and the notice of a repair are not lost with a round: the topic is not read, and the notice waits."""
    lab.local("here")
    stopped = False

    def clock() -> datetime:
        nonlocal stopped
        stopped = True
        return START

    with NtfyTopic() as topic:
        inventory = lab.write_inventory(
            remotestatus_apprise=[{"url": "json://127.0.0.1:9", "name": "ops"}],
            remotestatus_answers=[{"ntfy": topic.url}],
        )
        database = lab.directory / "history.sqlite3"
        database.write_bytes(b"oh dear" * 1000)
        with PlaybookRunner(AnsibleSource((inventory,))) as runner, pytest.raises(RoundGivenUp):
            run_round(runner, RoundOptions(clock, cancel=lambda: stopped))
        assert topic.paths == []
    with History.open(database) as history:
        assert outbox.count_waiting(history) == 1
