"""The regular report: when it is due, and what it says of a week, also of one in which nothing happened."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from remotestatus.evaluate.regular_report import is_report_due, make_period_report
from remotestatus.history import acks_windows_notes, period
from remotestatus.history.database import History
from remotestatus.model.causes import Cause
from remotestatus.model.days import DayShare
from remotestatus.model.fleet import LimitedPage
from remotestatus.model.inventory_variables import PageSpec, RegularReport
from remotestatus.model.notification import Receiver
from remotestatus.model.period_report import Period, PeriodReport
from remotestatus.model.states import Kind
from remotestatus.model.status_words import Status
from remotestatus.model.windows import PlannedWindow
from remotestatus.notify.compose import compose_report
from remotestatus.notify.page_links import told_of
from tests.lab import Command, Lab, SmtpSink
from tests.stories import OPS, START, TEMPLATES, make_fleet, record_round

WEEK = timedelta(days=7)
R1, R2 = (Kind.REMOTE, "r1"), (Kind.REMOTE, "r2")
MONDAY = datetime(2026, 3, 2, 7, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("spec", "last", "now", "due"),
    [
        ({"every": "1w"}, MONDAY, MONDAY + WEEK, True),
        ({"every": "1w"}, MONDAY, MONDAY + WEEK - timedelta(seconds=30), True),
        ({"every": "1w"}, MONDAY, MONDAY + timedelta(days=6), False),
        ({"cron": "0 8 * * MON"}, MONDAY, MONDAY + timedelta(minutes=59), False),
        ({"cron": "0 8 * * MON"}, MONDAY, MONDAY + timedelta(hours=1), True),
        ({"cron": "0 8 * * MON", "timezone": "Europe/Berlin"}, MONDAY - timedelta(hours=1), MONDAY, True),
        ({"cron": "0 8 * * MON"}, MONDAY, MONDAY + 3 * WEEK, True),
    ],
)
def test_a_report_is_due_by_its_cron_expression_or_its_span(
    spec: dict[str, str], last: datetime, now: datetime, due: bool
) -> None:
    """A cron expression goes by the wall clock of its zone; what was missed is made up for once."""
    assert is_report_due(RegularReport.model_validate(spec), last, now) is due


def week_of(
    history: History, rounds: list[dict[str, str]], receiver: Receiver = OPS, until: datetime | None = None
) -> PeriodReport:
    """Record a round every eight hours from START, and report on the time since."""
    fleet = make_fleet({"r1": {"notify": "chat"}, "r2": {}})
    now = START
    for found in rounds:
        states = record_round(history, fleet, found, (OPS,), now)
        subjects = [(Kind.REMOTE, name) for name in ("r1", "r2")]
        shares = [(subject, DayShare(now.date(), **{states[subject].status.value: 8 * 3600.0})) for subject in subjects]
        with history.transaction() as db:
            db.executemany(
                "INSERT INTO days SELECT id, ?, ?, ?, ?, ?, 0 FROM subjects WHERE kind = ? AND name = ? "
                "ON CONFLICT (subject_id, day) DO UPDATE SET up = up + excluded.up, degraded = degraded + "
                "excluded.degraded, down = down + excluded.down, unknown = unknown + excluded.unknown",
                [
                    (share.day.isoformat(), share.up, share.degraded, share.down, share.unknown, *subject)
                    for subject, share in shares
                ],
            )
        now += timedelta(hours=8)
    span = period.read_period(history, START - timedelta(days=1), now)
    acks_windows_notes.acknowledge(history, R2, START, until, note="spare part is ordered")
    acknowledged = acks_windows_notes.acknowledgements(history)
    return make_period_report(span, told_of(fleet, receiver), history.states(), acknowledged, ())


@pytest.mark.parametrize(("until", "holds"), [(None, True), (START + WEEK, True), (START + timedelta(hours=1), False)])
def test_an_acknowledgement_that_has_ended_is_not_told(tmp_path: Path, until: datetime | None, holds: bool) -> None:
    """Nobody takes care of a problem whose acknowledgement is over."""
    with History.open(tmp_path / "h") as history:
        report = week_of(history, [{}, {"r2": "d"}], Receiver("id all", "all", ("chat",)), until)
    assert [bool(one.acknowledged) for one in report.lasting if one.name == "r2"] == [holds]


def test_a_week_says_what_happened(tmp_path: Path) -> None:
    """Uptime with how much was observed, incidents by cause, and what lasts with its acknowledgement."""
    with History.open(tmp_path / "h") as history:
        everybody = Receiver("id all", "all", ("chat",))
        report = week_of(history, [{}, {"r1": "d"}, {}, {"r1": "d"}, {}, {"r2": "g"}], everybody)
    assert report.incidents == ((Cause.TUNNEL_DOWN, 2), (Cause.PROCESS_MISSING, 1))
    assert report.percent == pytest.approx(100 * 10 / 12)
    assert [one.name for one in report.least] == ["r1"]
    (lasting,) = report.lasting
    assert (lasting.name, lasting.status) == ("r2", Status.DEGRADED)
    message = compose_report(report, everybody, make_fleet(2), TEMPLATES)
    assert message.subject == "report of 3 d: 3 incidents, 1 open"
    for words in (
        "2 remotes could be reached 83.3 % of the observed time; 57.1 % of the time was observed.",
        "- tunnel-down: 2",
        "- r1: 66.7 % (57.1 % observed)",
        "r2 is degraded since",
        "Acknowledged: spare part is ordered",
    ):
        assert words in message.text
    assert "<li>tunnel-down: 2</li>" in message.html


def test_a_receiver_reads_only_of_what_it_is_told(tmp_path: Path) -> None:
    """A remote with tags is not in the report of a destination that has none of them."""
    with History.open(tmp_path / "h") as history:
        report = week_of(history, [{}, {"r1": "d"}, {}])
    assert (report.remotes, report.incidents, report.is_quiet) == (1, (), True)


@pytest.mark.parametrize("hours", [1, 9, 24, 36])
def test_a_checker_that_never_stopped_has_observed_all_of_the_time(hours: int) -> None:
    """The first day counts whole, and so does the time that it is compared with."""
    since, midnight = START, START.replace(hour=0)
    until = since + timedelta(hours=hours)
    seconds = (until - midnight).total_seconds()
    days = [DayShare(midnight.date(), up=min(seconds, 86400.0)), DayShare(until.date(), up=max(0.0, seconds - 86400))]
    report = make_period_report(Period(since, until, {R1: days}), [R1], {}, {}, ())
    assert (report.percent, report.observed) == (100, 100)


def test_the_first_day_of_the_span_is_read(tmp_path: Path) -> None:
    """What was recorded on the day that the span begins in is there, and nothing from before it."""
    with History.open(tmp_path / "h") as history:
        week_of(history, [{}])
        assert period.read_period(history, START, START + WEEK).days.keys() == {R1, R2}
        assert period.read_period(history, START + timedelta(days=1), START + WEEK).days == {}


def test_planned_work_names_only_what_its_receiver_may_hear_of() -> None:
    """A window for a whole group is told with the names that the receiver knows, and links to its own page."""
    window = PlannedWindow(START, START + WEEK, "all", frozenset({"r1", "r2"}))
    period_ = Period(START, START + WEEK)
    for names, title in ((["r2"], "r2"), (["r1", "r2"], "all")):
        subjects = [(Kind.REMOTE, name) for name in names]
        (planned,) = make_period_report(period_, subjects, {}, {}, [window]).planned
        assert (planned.title, planned.names) == (title, frozenset(names))


def test_the_report_links_to_the_page_of_its_receiver() -> None:
    """A receiver that may see only a limited page is sent there for what is left out, and not to everything."""
    fleet = make_fleet({"r1": {"notify": "chat"}, "r2": {"notify": "ops"}}, url="https://all.example.com/")
    spec = PageSpec.model_validate({"site": "chat", "limit": "r1", "url": "https://chat.example.com/"})
    fleet = replace(fleet, pages=(LimitedPage(spec, frozenset({"r1"})),))
    chat = Receiver("id chat", "chat", ("chat",))
    report = make_period_report(Period(START, START + WEEK), told_of(fleet, chat), {}, {}, ())
    report = replace(report, flapped=tuple(f"r{number}" for number in range(30)))
    text = compose_report(report, chat, fleet, TEMPLATES).text
    assert "https://chat.example.com/" in text
    assert "all.example.com" not in text


def test_a_week_in_which_nothing_happened_says_so(tmp_path: Path) -> None:
    """Its subject and its first line say that nothing happened."""
    with History.open(tmp_path / "h") as history:
        message = compose_report(week_of(history, [{}, {}, {}]), OPS, make_fleet(2), TEMPLATES)
    assert message.subject == "report: nothing happened in 2 d"
    assert message.text.startswith("Nothing happened from ")
    assert "1 remote could be reached 100 % of the observed time" in message.text


def test_real_rounds_send_the_report_when_it_is_due(lab: Lab, remotestatus: Command, smtp_sink: SmtpSink) -> None:
    """The first round only notes when it was; a later one sends the report, and its page stays; the next sends none."""
    lab.local("here")
    inventory = lab.write_inventory(
        remotestatus_apprise=[{"url": smtp_sink.url, "name": "mail"}], remotestatus_report={"every": "1h"}
    )
    assert remotestatus("run", "-i", inventory).returncode == 0
    assert smtp_sink.messages == []
    with History.open(lab.directory / "history.sqlite3") as history:
        noted = period.last_report_at(history)
        assert noted
        period.note_report(history, noted - timedelta(hours=2))
    assert remotestatus("run", "-i", inventory).returncode == 0
    assert smtp_sink.wait_for(1)[0]["Subject"] == "report: nothing happened in 2 h"
    assert remotestatus("run", "-i", inventory).returncode == 0
    assert len(smtp_sink.messages) == 1
    page = lab.directory / "site" / "report.html"
    assert "Nothing happened from" in page.read_text()
    assert 'href="report.html"' in (lab.directory / "site" / "index.html").read_text()
