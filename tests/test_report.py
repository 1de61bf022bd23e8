"""What the page says: incidents, root causes, first sentence, slugs, public mode, and the shapes of its charts."""

import json
import re
import sqlite3
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remotestatus.evaluate.state_machine import next_state
from remotestatus.evaluate.uptime import DaySums
from remotestatus.history.database import History
from remotestatus.history.past import read_past
from remotestatus.model.acknowledgement import Acknowledgement
from remotestatus.model.causes import Cause
from remotestatus.model.check_result import CheckResult, Trouble
from remotestatus.model.fleet import Worker
from remotestatus.model.inventory_variables import WorkerSpec
from remotestatus.model.processes import Process, ProcessResult
from remotestatus.model.report_input import ReportInput
from remotestatus.model.rounds import Sample
from remotestatus.model.states import Kind, Policy, State, Transition
from remotestatus.model.status_words import Status
from remotestatus.report.build import Report, build_report
from remotestatus.report.charts import draw_chart, letter_paths, shares, troubled_days
from remotestatus.report.formats.status_json import write_status
from remotestatus.report.incidents import Incident, build_incidents
from remotestatus.report.publish import publish
from remotestatus.report.remote_view import say_unconfirmed
from remotestatus.report.slugs import make_slugs
from tests.made_fleet import Made, make_report_input

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
TUNNEL = Trouble(Cause.TUNNEL_DOWN, "The tunnel is not up.")
PROXY = Trouble(Cause.PROXY_UNREACHABLE, "Its proxy does not answer.")
DISK = Trouble(Cause.LIMIT_EXCEEDED, "The disk is full.")


def minutes(number: float) -> datetime:
    return NOW + timedelta(minutes=number)


def live(
    *checks: tuple[float, tuple[Trouble, ...]], kind: Kind = Kind.REMOTE, policy: Policy | None = None
) -> tuple[State, list[Transition]]:
    """Check a subject at some minutes after NOW."""
    state: State | None = None
    seen: list[Transition] = []
    for at, troubles in checks:
        change = next_state(kind, "one", state, troubles, policy or Policy(), minutes(at))
        state = change.state
        if change.seen:
            seen.append(change.seen)
    assert state is not None
    return state, seen


def incidents_of(seen: list[Transition], state: State, note: Acknowledgement | None = None) -> tuple[Incident, ...]:
    subject = (state.kind, state.name)
    return build_incidents(seen, {subject: state}, {subject: note} if note else {})[subject]


def report_of(tmp_path: Path, made: Made) -> Report:
    return build_report(make_report_input(made, tmp_path / "history.sqlite3"), made.now)


# -- incidents -------------------------------------------------------------------------------------------------------


def test_incident_lasts_from_trouble_to_recovery() -> None:
    """An incident begins with the check that found trouble and ends with the check that found none."""
    state, seen = live((0, ()), (10, (TUNNEL,)), (20, (TUNNEL,)), (30, ()))
    (incident,) = incidents_of(seen, state)
    assert (incident.started_at, incident.ended_at) == (minutes(10), minutes(30))
    assert incident.status is Status.DOWN
    assert incident.cause is Cause.TUNNEL_DOWN
    assert incident.lasted(NOW) == timedelta(minutes=20)


def test_incident_keeps_its_changes_of_cause() -> None:
    """Degraded, then down, then degraded again is one incident with three phases; over, it counts as what was worst."""
    state, seen = live((0, ()), (10, (DISK,)), (20, (TUNNEL,)), (30, (DISK,)), (40, ()))
    (incident,) = incidents_of(seen, state)
    assert [phase.status for phase in incident.phases] == [Status.DEGRADED, Status.DOWN, Status.DEGRADED]
    assert [phase.ended_at for phase in incident.phases] == [minutes(20), minutes(30), minutes(40)]
    assert incident.status is Status.DOWN


def test_open_incident_speaks_of_now() -> None:
    """An open incident has no end, and its cause is the present one even if the status never changed."""
    state, seen = live((0, ()), (10, (TUNNEL,)), (20, (Trouble(Cause.SSHD_DOWN, "No sshd."),)))
    (incident,) = incidents_of(seen, state)
    assert incident.ended_at is None
    assert incident.cause is Cause.SSHD_DOWN
    assert incident.lasted(minutes(25)) == timedelta(minutes=15)


def test_open_incident_without_transitions_is_not_lost() -> None:
    """What went down before the first transition that is kept is open since the time that its state gives."""
    state, _ = live((0, ()), (10, (TUNNEL,)))
    (incident,) = incidents_of([], state)
    assert incident.started_at == minutes(10)


def test_proxys_outage_is_folded() -> None:
    """A remote that could not be checked because of its proxy has a folded incident; one that was down has not."""
    alone, seen = live((0, ()), (10, (PROXY,)), (20, ()))
    assert incidents_of(seen, alone)[0].folded
    mixed, seen = live((0, ()), (10, (TUNNEL,)), (20, (PROXY,)), (30, ()))
    assert not incidents_of(seen, mixed)[0].folded


def test_note_belongs_to_the_incident_it_was_made_in() -> None:
    """An acknowledgement is shown with the incident that lasted when it was made, and with no other."""
    state, seen = live((0, ()), (10, (TUNNEL,)), (20, ()), (30, (TUNNEL,)))
    note = Acknowledgement(minutes(15), note="I know")
    newest, oldest = incidents_of(seen, state, note)
    assert newest.ended_at is None
    assert newest.notes == ()
    assert oldest.notes == (note,)


@given(st.lists(st.sampled_from([(), (TUNNEL,), (DISK,), (PROXY,)]), min_size=1, max_size=30))
def test_incidents_are_the_stretches_that_are_not_up(checks: list[tuple[Trouble, ...]]) -> None:
    """Whatever is seen, incidents never overlap, and are open exactly when the subject is not up now."""
    state, seen = live(*enumerate(checks))
    incidents = incidents_of(seen, state)
    assert any(incident.ended_at is None for incident in incidents) == (state.status is not Status.UP)
    oldest_first = sorted(incidents, key=lambda incident: incident.started_at)
    for one, after in pairwise(oldest_first):
        assert one.ended_at is not None
        assert one.ended_at < after.started_at
    wrong = {minutes(at) for at, troubles in enumerate(checks) if troubles}
    covered = {
        at for at in wrong if any(i.started_at <= at and (i.ended_at is None or at < i.ended_at) for i in incidents)
    }
    assert covered == wrong


# -- root causes -----------------------------------------------------------------------------------------------------


def test_dead_proxy_is_one_root_cause(tmp_path: Path) -> None:
    """A dead proxy is one entry, with every remote behind it, and none of them is listed on its own."""
    report = report_of(tmp_path, Made(56, NOW, dead_proxy=True))
    first = report.problems[0]
    behind = [remote for remote in report.remotes if remote.proxy == "tunnel-proxy" and remote.needs_attention]
    assert first.subject == "Proxy tunnel-proxy"
    assert {remote.name for remote in first.affected} == {remote.name for remote in behind}
    assert not {problem.name for problem in report.problems} & {remote.name for remote in behind}
    assert report.verdict == f"Proxy tunnel-proxy does not answer: {len(behind)} of 56 remotes cannot be checked"


def test_dead_proxy_is_one_incident(tmp_path: Path) -> None:
    """The remotes behind a dead proxy have no incidents of their own: the proxy's is the one."""
    report = report_of(tmp_path, Made(56, NOW, dead_proxy=True))
    still = [incident for incident in report.incidents if incident.ended_at is None]
    assert [incident.name for incident in still if incident.cause is Cause.PROXY_UNREACHABLE] == []
    assert [incident.name for incident in still if incident.kind is Kind.PROXY] == ["tunnel-proxy"]


def test_same_fault_at_the_same_time_is_one_problem(tmp_path: Path) -> None:
    """Remotes behind one answering proxy that lose their tunnels in the same round are one entry; two are two."""
    report_input = make_report_input(Made(20, NOW, all_up=True), tmp_path / "history.sqlite3")
    behind = [remote.name for remote in report_input.fleet.remotes if remote.proxy == "tunnel-proxy"]

    def broken(number: int, words: Trouble = TUNNEL) -> Report:
        states = dict(report_input.states)
        for name in behind[:number]:
            trouble = replace(words, message=f"{name} {words.message}")
            states[Kind.REMOTE, name] = next_state(
                Kind.REMOTE, name, states[Kind.REMOTE, name], (trouble,), Policy(), NOW
            ).state
        return build_report(replace(report_input, states=states), NOW)

    (one,) = broken(7).problems
    assert one.subject == "7 remotes behind tunnel-proxy"
    assert len(one.affected) == 7
    assert [problem.kind for problem in broken(2).problems] == ["remote", "remote"]
    # What the checker itself cannot do has a cure of its own, which is not lost.
    (ours,) = broken(7, Trouble(Cause.CHECKER_ERROR, "was not checked", "chmod it", "Bad owner")).problems
    assert ours.trouble == Trouble(Cause.CHECKER_ERROR, f"{behind[0]} was not checked", "chmod it", "Bad owner")
    # A daemon that has stopped is no broken network.
    contained = [replace(one, connection="docker") for one in report_input.fleet.remotes]
    report_input = replace(report_input, fleet=replace(report_input.fleet, remotes=tuple(contained)))
    (gone,) = broken(7, Trouble(Cause.CONNECTION_LOST, "is gone", "", "no daemon")).problems
    assert gone.trouble is not None
    assert gone.trouble.message == "Ansible's connection docker did not reach them."
    assert gone.trouble.detail == "no daemon"
    assert "the program behind that connection" in gone.trouble.hint


def test_remote_in_maintenance_is_no_problem(tmp_path: Path) -> None:
    """What is in maintenance is counted there and only there, and is not listed as wrong."""
    report_input = make_report_input(Made(8, NOW), tmp_path / "history.sqlite3")
    wrong = next(name for (kind, name), state in report_input.states.items() if state.troubles and kind is Kind.REMOTE)
    report = build_report(replace(report_input, maintenance={wrong: "until 14:00 UTC"}), NOW)
    assert report.summary == {"down": 0, "degraded": 0, "unknown": 0, "maintenance": 1, "up": 7}
    assert report.problems == ()
    assert report.verdict == "All 7 remotes are up"
    assert report.aside == "1 in maintenance"


@pytest.mark.parametrize(
    ("made", "verdict"),
    [
        (Made(0, NOW), "No remotes to check"),
        (Made(1, NOW, all_up=True), "The remote is up"),
        (Made(5, NOW, all_up=True), "All 5 remotes are up"),
        (Made(4, NOW), "1 of 4 remotes needs attention"),
        (Made(41, NOW), "3 of 41 remotes need attention"),
    ],
)
def test_verdict(tmp_path: Path, made: Made, verdict: str) -> None:
    """The first sentence says how many remotes need attention."""
    assert report_of(tmp_path, made).verdict == verdict


def test_unconfirmed_says_how_far() -> None:
    """A status that people were not told of yet says how many rounds it has been seen and how many it takes."""
    policy = Policy(fail_after=3, recover_after=2)
    once, _ = live((0, ()), (10, (TUNNEL,)), policy=policy)
    assert say_unconfirmed(once, 3, 2) == "not yet confirmed, 1 of 3"
    thrice, _ = live((0, ()), *((at, (TUNNEL,)) for at in (10, 20, 30)), policy=policy)
    assert say_unconfirmed(thrice, 3, 2) == ""
    better, _ = live((0, ()), *((at, (TUNNEL,)) for at in (10, 20, 30)), (40, ()), policy=policy)
    assert say_unconfirmed(better, 3, 2) == "recovery not yet confirmed, 1 of 2"


def test_restarted_is_told_from_running_on(tmp_path: Path) -> None:
    """A process is restarted when it ran before, runs now, and none of the processes is the same one."""
    report_input = make_report_input(Made(1, NOW, all_up=True), tmp_path / "history.sqlite3")
    name = report_input.fleet.remotes[0].name
    checked = report_input.check_results[name]

    def ran(pid: int, started: int) -> ReportInput:
        process = Process(pid, 1, "remote_user", "S", started, 1, ("python",), exact=True, kernel=False, own=False)
        result = ProcessResult(checked.processes[0].name, True, 1, 1, None, (process,))
        return replace(report_input, before={name: replace(checked, processes=(result,))})

    now = checked.processes[0].matched[0]
    assert now.started is not None
    for pid, started, restarted in (
        (now.pid, now.started, False),
        (now.pid, now.started - 1, False),
        (now.pid, now.started - 999, True),
        (now.pid + 1, now.started - 999, True),
    ):
        assert build_report(ran(pid, started), NOW).remotes[0].latest.processes[0].restarted is restarted
    assert not build_report(replace(report_input, before={}), NOW).remotes[0].latest.processes[0].restarted


def test_next_round_and_overdue_follow_from_the_interval(tmp_path: Path) -> None:
    """The next round is due one interval after the last, and overdue after one and a half and a minute."""
    report = report_of(tmp_path, Made(1, NOW, settings={"every": "20m"}))
    assert report.next_expected_at == NOW + timedelta(minutes=20)
    assert report.overdue_at == NOW + timedelta(minutes=31)


# -- slugs -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["capture-1", "cam.example.com", "A_b-9", "x" * 100])
def test_plain_name_is_its_own_slug(name: str) -> None:
    """A name of letters, digits, dots, dashes and underscores is used as it is."""
    assert make_slugs([name]) == {name: name}


@pytest.mark.parametrize(
    "name",
    ["../../etc/passwd", ".htaccess", "a b", "", "ü", "x" * 101, "a/b", "a\x00b", "\ud800", "ü" * 43, "漢" * 28],
)
def test_odd_name_becomes_a_safe_slug(name: str) -> None:
    """Anything else becomes letters, digits and dashes with a hash, never a path or a hidden file."""
    slug = make_slugs([name])[name]
    assert slug != name
    assert slug.replace("-", "").isalnum()
    assert slug.isascii()
    assert len(slug) < 80


@given(st.lists(st.text(max_size=6), unique=True))
def test_slugs_never_clash(names: list[str]) -> None:
    """No two names share a slug, not even where upper and lower case are the same file."""
    slugs = make_slugs(names)
    assert set(slugs) == set(names)
    assert len({slug.casefold() for slug in slugs.values()}) == len(names)
    assert make_slugs(reversed(names)) == slugs


# -- the history that it is made of ------------------------------------------------------------------------------------


def test_damaged_row_costs_itself_alone(tmp_path: Path) -> None:
    """A row that nobody can read is left out, and the page is made of all others."""
    database = tmp_path / "history.sqlite3"
    made = make_report_input(Made(8, NOW), database)
    before = {remote.name: made.samples(remote.name) for remote in made.fleet.remotes}
    with sqlite3.connect(database) as db:
        db.execute("UPDATE transitions SET after = 'nonsense' WHERE id = (SELECT max(id) FROM transitions)")
        db.execute("UPDATE days SET day = '2026-02-30' WHERE subject_id = 1 AND day = '2026-02-28'")
        db.execute("UPDATE days SET down = 'long' WHERE subject_id = 2 AND day = '2026-02-28'")
        db.execute("UPDATE samples SET connect_ms = 'soon' WHERE at = (SELECT max(at) FROM samples)")
        db.execute("UPDATE subjects SET first_seen = '' WHERE id = 1")
        db.execute("UPDATE rounds SET troubles = '[' WHERE id = (SELECT max(id) FROM rounds)")
        db.execute("UPDATE messages SET at = 'once'")
    db.close()
    with History.open(database) as history:
        found = read_past(history, made.fleet, made.round, made.states, made.check_results, {}, NOW)
        assert len(history.rounds()) == 1
        for remote in made.fleet.remotes:
            assert len(found.samples(remote.name)) == len(before[remote.name]) - (1 if before[remote.name] else 0)
    assert len(found.transitions) == len(made.transitions) - 1
    lost = [one for one, days in found.days.items() if days.letters.count(".") > made.days[one].letters.count(".")]
    assert len(lost) == 2
    assert len(found.first_seen) == len(made.first_seen) - 1
    assert build_report(found, NOW).incidents


# -- charts --------------------------------------------------------------------------------------------------------


def test_bar_joins_equal_days() -> None:
    """Days of one kind in a row are one shape, and trouble is taller than quiet days."""
    assert letter_paths("uudu") == (
        ("up", "M0 0h2v16h-2zM3 0h1v16h-1z"),
        ("down", "M2 0h1v16h-1z"),
    )


def test_a_day_that_was_not_observed_is_not_up() -> None:
    """The bar has each of its days, and one without any check is `none`; those with trouble say how long it was."""
    rows = [("2026-03-01", 3600.0, 0.0, 0.0, 0.0, 0.0), ("2026-02-28", 5.0, 0.0, 9.0, 0.0, 0.0)]
    past = DaySums(NOW).sum_up(rows)
    assert past.letters == "." * 88 + "du"
    ((place, cell),) = troubled_days(past)
    assert (place, cell.day, cell.word, cell.down) == (88, date(2026, 2, 28), "down", timedelta(seconds=9))


def test_shares_fill_the_line() -> None:
    """The parts of the line fill it exactly, and even one of a thousand can be seen."""
    parts = shares({"down": 1, "up": 999})
    assert [part[0] for part in parts] == ["down", "up"]
    assert parts[0][2] > 5
    assert parts[-1][1] + parts[-1][2] == pytest.approx(1000, abs=0.2)


def test_chart_is_interrupted_where_nothing_was_measured() -> None:
    """A gap in the samples is a gap in the line."""
    samples = [Sample(minutes(10 * at), 100 + at) for at in (*range(10), *range(60, 70))]
    chart = draw_chart(samples)
    assert chart is not None
    assert chart.line.count("M") == 2
    assert (chart.fastest, chart.slowest, chart.top_ms) == (100, 169, 200)
    assert draw_chart(samples[:1]) is None


# -- public mode -----------------------------------------------------------------------------------------------------


SECRETS = (
    "127.0.0.1",
    "192.0.2.",
    "198.51.100.20",
    "proxy.example.com",
    "8004",
    "1004",
    "8009",
    "remote_user",
    "proxy-user",
    "capture_videos",
    "manage.py",
    "/dev/video0",
    "refused by peer",
    "Permission denied",
    "frames a second",
    "kim",
    "HTTP 503",
    "mail.example.com",
    "on call",
)


@pytest.mark.parametrize("dead_proxy", [False, True])
def test_public_site_tells_no_secrets(tmp_path: Path, dead_proxy: bool) -> None:
    """In public mode no file of the site holds an address, a port, a user, an argument or a raw error."""
    made = Made(41, NOW, dead_proxy=dead_proxy, names=("192.0.2.7", "cam.example.com"))
    private, public = (
        build_report(make_report_input(replace(made, public=is_public), tmp_path / f"{is_public}.sqlite3"), NOW)
        for is_public in (False, True)
    )

    def everything(report: Report) -> str:
        site = tmp_path / f"site-{report.public}"
        publish(report, site)
        files = [path for path in site.rglob("*") if path.is_file() and path.parent.name != "assets"]
        text = "\n".join(f"{path.relative_to(site)}\n{path.read_text()}" for path in files)
        return re.sub(r'data-version="\w+"|nonce[-=]"?\w+|\?v=\w+|urn:uuid:[\w-]+', "", text)  # hashes hold any number

    shown, hidden = everything(private), everything(public)
    assert sum(secret in shown for secret in SECRETS) > 10, "else there was nothing to hide"
    assert [secret for secret in SECRETS if secret in hidden] == []
    assert "encoder" in hidden, "a name that was given to a process is for people"


def test_public_page_blames_the_worker_and_does_not_name_its_address(tmp_path: Path) -> None:
    """In public mode a worker whose name is an address has another one, and is the root cause of what only it sees."""
    made = make_report_input(Made(8, NOW, public=True, all_up=True), tmp_path / "history.sqlite3")
    address, seen, unseen = "192.0.2.77", made.fleet.remotes[0].name, made.fleet.remotes[1].name
    gone = Trouble(Cause.WORKER_UNREACHABLE, f"{address} does not answer.")
    worker = next_state(Kind.WORKER, address, None, (gone,), Policy(), NOW).state
    states = {
        **made.states,
        (Kind.WORKER, address): worker,
        (Kind.REMOTE, unseen): next_state(Kind.REMOTE, unseen, None, (gone,), Policy(), NOW).state,
    }
    results = {
        **made.check_results,
        seen: replace(made.check_results[seen], worker=address),
        unseen: CheckResult(unseen, NOW, (gone,), worker=address),
    }
    fleet = replace(made.fleet, workers=(Worker(address, WorkerSpec(name=address), frozenset((seen, unseen))),))
    report = build_report(replace(made, fleet=fleet, states=states, check_results=results), NOW)
    assert [(one.name, one.looked_at) for one in report.workers] == [("worker-1", 2)]
    assert [(one.subject, one.names) for one in report.problems] == [("Worker worker-1", ("worker-1", unseen))]
    assert address not in write_status(report)


def test_public_status_keeps_its_form(tmp_path: Path) -> None:
    """In public mode status.json has the same keys, with null for what is left out."""
    private, public = (
        json.loads(
            write_status(
                build_report(make_report_input(Made(12, NOW, public=is_public), tmp_path / f"{is_public}.sqlite3"), NOW)
            )
        )
        for is_public in (False, True)
    )
    for one, other in zip(private["remotes"], public["remotes"], strict=True):
        assert one.keys() == other.keys()
        assert other["remote_port"] is None
        assert other["virtual_port"] is None
        assert one["status"] == other["status"]
        assert len(one["processes"]) == len(other["processes"])
