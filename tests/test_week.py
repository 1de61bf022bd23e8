"""
A week of a fleet, with everything that happens to fleets: what reaches people has to be little, right and readable.

Real servers, tunnels and a real mail server; only the clock is the test's own, and steps by ten minutes.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from remotestatus.probe import AnsibleSource, PlaybookRunner
from remotestatus.round import RoundOptions, run_round
from tests.lab import Lab, SmtpSink

pytestmark = pytest.mark.takes_minutes
BEHIND = 12
START = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
STEP = timedelta(minutes=10)


@dataclass
class Week:
    """Runs rounds ten minutes apart; `mails` are those that each part of the week brought."""

    inventory: Path
    sink: SmtpSink
    now: datetime = START
    seen: int = 0
    mails: list[EmailMessage] = field(default_factory=list)

    def rounds(self, count: int, before: Callable[[int], object] = lambda _: None) -> list[str]:
        """Run so many rounds, with something done before each; return the subjects of the mails they brought."""
        for number in range(count):
            before(number)
            with PlaybookRunner(AnsibleSource((self.inventory,))) as playbooks:
                finished = run_round(playbooks, RoundOptions(clock=lambda: self.now))
            assert not finished.round.troubles
            self.now += STEP
        fresh = self.sink.messages[self.seen :]
        self.seen += len(fresh)
        self.mails = fresh
        return [str(mail["Subject"]) for mail in fresh]


def text_of(mail: EmailMessage) -> str:
    body = mail.get_body(("plain",))
    assert body is not None
    return str(body.get_content())


def settings(sink: SmtpSink) -> dict[str, Any]:
    """What the week's inventories have in common: messages are sent after two bad rounds."""
    return {
        "remotestatus_apprise": [{"url": sink.url, "tags": ["ops"]}],
        "remotestatus_notify": ["ops"],
        "remotestatus_fail_after": 2,
        "remotestatus_remind_every": "1d",
        "remotestatus_url": "https://status.example.com",
        "remotestatus_attempts": 1,
    }


def test_a_proxy_that_dies_with_a_dozen_behind_it_is_two_messages(lab: Lab, smtp_sink: SmtpSink) -> None:
    """One when it dies, one when it is back, and nothing about the dozen."""
    shared = lab.proxy("shared-proxy", sshd_config={"MaxStartups": "100"})
    lab.bulk(BEHIND, proxy=shared)
    week = Week(lab.write_inventory(**settings(smtp_sink)), smtp_sink)
    assert week.rounds(2) == []

    shared.sshd.stop()
    assert week.rounds(3) == ["proxy shared-proxy down with 12 remotes behind it"]
    lines = text_of(week.mails[0]).splitlines()
    assert lines[0] == "The proxy shared-proxy is down, and 12 remotes behind it."
    assert lines[1].startswith("Do: On shared-proxy, look at `systemctl status ssh`")
    assert sum("remote-01" in line for line in lines) == 1
    assert len(lines) < 12

    shared.restore()
    assert week.rounds(2) == ["proxy shared-proxy recovered"]
    assert "answers again after 30 min" in text_of(week.mails[0])


def test_a_week_brings_few_right_and_readable_messages(lab: Lab, smtp_sink: SmtpSink) -> None:
    """A blip, a mail server that is away, a window over an outage, and days without a round."""
    steady = lab.remote("steady")
    window = {"from": "2026-03-03 16:00", "until": "2026-03-03 18:00", "note": "new disk"}
    serviced = lab.remote("serviced", variables={"remotestatus_maintenance": [window]})
    week = Week(lab.write_inventory(**settings(smtp_sink)), smtp_sink)
    assert week.rounds(1) == []

    # A blip that is over by the next round is no message.
    assert week.rounds(3, lambda number: (steady.restore if number else steady.cut_tunnel)()) == []

    # The mail server is away for five rounds, in which something goes down.
    smtp_sink.stop()
    assert week.rounds(5, lambda number: steady.cut_tunnel() if number == 0 else None) == []
    smtp_sink.start()
    assert week.rounds(7) == ["1 down: steady (late)"]
    assert text_of(week.mails[0]).startswith("This message is late: it is about 08:50 UTC, ")
    steady.restore()
    assert week.rounds(2) == ["1 recovered: steady"]

    # An outage that begins and ends inside a window is nobody's business; one that outlasts it is.
    week.now = datetime(2026, 3, 3, 16, 30, tzinfo=UTC)
    assert week.rounds(2, lambda number: serviced.cut_tunnel() if number == 0 else None) == []
    assert week.rounds(1, lambda number: serviced.restore()) == []
    week.now = datetime(2026, 3, 3, 17, 40, tzinfo=UTC)
    assert week.rounds(4, lambda number: serviced.cut_tunnel() if number == 0 else None) == ["1 down: serviced"]
    assert week.now > datetime(2026, 3, 3, 18, 0, tzinfo=UTC)

    # Nobody ran a round for days: what is open is reminded of, once.
    week.now += timedelta(days=3)
    assert week.rounds(2) == ["1 still down: serviced"]
    assert len(smtp_sink.messages) == 4
