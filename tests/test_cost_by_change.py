"""What a round writes to the site: no more than what it says anew, and never something else than a site made anew."""

import shutil
from collections.abc import Callable, Mapping, Set
from dataclasses import fields, is_dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from remotestatus.evaluate import find_renewed, next_state, share_out_time
from remotestatus.evaluate.measurements import renews_measurements
from remotestatus.history import History, acks_windows_notes, add_note, read_past, remove_notes
from remotestatus.model.causes import Cause
from remotestatus.model.check_result import CheckResult, Trouble
from remotestatus.model.facts import Facts
from remotestatus.model.fleet import Fleet, Remote
from remotestatus.model.rounds import Round
from remotestatus.model.states import Kind, Policy
from remotestatus.report import pages
from remotestatus.report.build import build_report
from remotestatus.report.pages import list_pages, page_templates
from remotestatus.report.publish import publish
from tests.made_fleet import Made, make_fleet

TEMPLATES = page_templates()
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
TROUBLES = {
    "up": (),
    "down": (Trouble(Cause.TUNNEL_DOWN, "The tunnel is not up."),),
    "full": (Trouble(Cause.LIMIT_EXCEEDED, "The disk is full."),),
}


class Rounds:
    """Rounds over a fleet, recorded in a real history, and published one after the other into one site."""

    def __init__(self, folder: Path, remotes: int) -> None:
        self.folder, self.site, self.now = folder, folder / "site", NOW
        self.fleet: Fleet = make_fleet(Made(remotes, NOW))
        self.history = History.open(folder / "history.sqlite3")
        self.number = 0

    def run(self, minutes: int, words: Mapping[str, str], load: float = 0.5) -> int:
        """One round; returns how many bytes it wrote to the site."""
        self.now += timedelta(minutes=minutes)
        last, before, measured_at = self.history.states(), self.history.check_results(), self.history.measured_at()
        results, changes = [], []
        for remote in self.fleet.remotes:
            troubles = TROUBLES[words.get(remote.name, "up")]
            measured = (
                Facts() if troubles and troubles[0].cause is Cause.TUNNEL_DOWN else Facts(load=(load, load, load))
            )
            result = CheckResult(remote.name, self.now, troubles, None if measured == Facts() else 80, facts=measured)
            results.append(result)
            change = next_state(
                Kind.REMOTE, remote.name, last.get((Kind.REMOTE, remote.name)), troubles, Policy(), self.now
            )
            changes.append(change)
        changes += [
            next_state(Kind.PROXY, proxy.name, last.get((Kind.PROXY, proxy.name)), (), Policy(), self.now)
            for proxy in self.fleet.proxies
        ]
        renewed = find_renewed({one.name: one for one in results}, before, measured_at)
        days = [
            ((change.state.kind, change.state.name), share)
            for change in changes
            if (state := last.get((change.state.kind, change.state.name)))
            for share in share_out_time(
                state.seen_at, self.now, state.status, maintenance=False, every=timedelta(minutes=10)
            )
        ]
        with self.history.transaction():
            round_ = self.history.record(
                Round(0, self.now, self.now, len(results)), changes, results, days, renewed=renewed
            )
        states = self.history.states()
        found = {result.name: result for result in results}
        report_input = read_past(self.history, self.fleet, round_, states, found, before, self.now)
        self.report = build_report(report_input, self.now)
        was = {path: path.stat().st_ino for path in self.site.rglob("*") if path.is_file()}
        publish(self.report, self.site, TEMPLATES)
        files = [path for path in self.site.rglob("*") if path.is_file()]
        return sum(path.stat().st_size for path in files if was.get(path) != path.stat().st_ino)

    def files(self, site: Path) -> dict[str, bytes]:
        """All files of a site, by their paths."""
        return {str(path.relative_to(site)): path.read_bytes() for path in site.rglob("*") if path.is_file()}

    def anew(self) -> dict[str, bytes]:
        """The site of the last round, made in an empty folder."""
        fresh = self.folder / "fresh"
        shutil.rmtree(fresh, ignore_errors=True)
        publish(self.report, fresh, TEMPLATES)
        return self.files(fresh)


NAMES = [remote.name for remote in make_fleet(Made(5, NOW)).remotes]
STEPS = st.lists(
    st.tuples(
        st.sampled_from([5, 10, 70, 1500]),
        st.dictionaries(st.sampled_from(NAMES), st.sampled_from(list(TROUBLES)), max_size=3),
        st.sampled_from([0.1, 0.5]),
        st.sampled_from(["", "note", "clear", "window", "ack", "touch", "drop"]),
    ),
    min_size=1,
    max_size=5,
)


@settings(max_examples=10)
@given(STEPS)
def test_the_site_is_that_of_its_last_round(steps: list[tuple[int, dict[str, str], float, str]]) -> None:
    """After any rounds, notes, windows, and files that others spoilt, it is what an empty folder would have become."""
    with TemporaryDirectory() as folder:
        rounds = Rounds(Path(folder), 5)
        with rounds.history as history:
            for minutes, words, load, event in steps:
                if event == "note":
                    add_note(history, NAMES[0], "A word.", rounds.now, rounds.now + timedelta(hours=1))
                elif event == "clear":
                    remove_notes(history, NAMES[0])
                elif event == "window":
                    acks_windows_notes.open_window(
                        history, "all", rounds.now, rounds.now + timedelta(minutes=30), "cables"
                    )
                elif event == "ack":
                    acks_windows_notes.acknowledge(history, (Kind.REMOTE, NAMES[1]), rounds.now, note="Sam")
                elif event == "touch" and rounds.site.exists():
                    (rounds.site / "remotes" / f"{NAMES[0]}.html").write_text("cut")
                elif event == "drop" and rounds.site.exists():
                    (rounds.site / "index.html").unlink()
                rounds.run(minutes, words, load)
                assert rounds.files(rounds.site) == rounds.anew()


def nickname(remote: Remote, name: str) -> Remote:
    return replace(remote, settings=remote.settings.model_copy(update={"nickname": name}))


CHANGES: dict[str, Callable[[tuple[Remote, ...]], tuple[Remote, ...]]] = {
    "one is renamed": lambda all_: (nickname(all_[0], "Elsewhere"), *all_[1:]),
    "two change groups": lambda all_: (
        all_[0],
        replace(all_[1], groups=all_[3].groups),
        all_[2],
        replace(all_[3], groups=all_[1].groups),
        *all_[4:],
    ),
    "there are more": lambda all_: make_fleet(Made(14, NOW)).remotes,
    "there are fewer": lambda all_: all_[:3],
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_changed_inventory_is_on_every_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[tuple[Remote, ...]], tuple[Remote, ...]]
) -> None:
    """Whatever changes in the inventory, no page keeps an old name, an old group or the link to an old round file."""
    monkeypatch.setattr(pages, "_PAGES_EACH", 12)
    rounds = Rounds(tmp_path, 5)
    rounds.fleet = replace(rounds.fleet, remotes=tuple(nickname(one, "") for one in rounds.fleet.remotes))
    with rounds.history:
        rounds.run(10, {NAMES[0]: "down"})
        rounds.run(10, {})
        rounds.fleet = replace(rounds.fleet, remotes=change(rounds.fleet.remotes))
        rounds.run(0, {})  # so that nothing else is new
        assert rounds.files(rounds.site) == rounds.anew()


def sets_in(value: object) -> bool:
    """Whether there is a set anywhere in it."""
    if is_dataclass(value):
        value = [getattr(value, field.name) for field in fields(value)]
    if isinstance(value, Mapping):
        value = [*value.keys(), *value.values()]
    return isinstance(value, Set) or (isinstance(value, list | tuple) and any(sets_in(one) for one in value))


def test_every_process_says_the_same(tmp_path: Path) -> None:
    """What decides whether a page is made again has no set in it, of which each process has another order."""
    rounds = Rounds(tmp_path, 5)
    with rounds.history:
        acks_windows_notes.open_window(rounds.history, "all", NOW, NOW + timedelta(hours=1), "cables")
        acks_windows_notes.open_window(rounds.history, NAMES[0], NOW, NOW + timedelta(hours=2), "")
        add_note(rounds.history, NAMES[0], "A word.", NOW, None)
        rounds.run(10, {NAMES[0]: "down", NAMES[1]: "full"})
        assert rounds.report.planned
        assert [page.path for page in list_pages(rounds.report) if sets_in(page.says)] == []


def test_a_quiet_round_writes_next_to_nothing(tmp_path: Path) -> None:
    """Where only loads and log-in times differ, no page is written; an hour later each remote's page once."""
    rounds = Rounds(tmp_path, 60)
    with rounds.history:
        first = rounds.run(10, {})
        for _ in range(2):
            rounds.run(1440, {})
        quiet = [rounds.run(10, {}, load=number / 10) for number in range(1, 12)]
        machines = sum((tmp_path / "site" / name).stat().st_size for name in ("status.json", "metrics.prom"))
        within_an_hour = sum(quiet[:6]) - 6 * machines
        pages = sum(path.stat().st_size for path in (tmp_path / "site" / "remotes").glob("*.html"))
        assert within_an_hour < 1.3 * pages, "each page once, and the round files"
        assert max(quiet[:6]) - machines < 0.6 * pages, "not all in one round"
        assert max(quiet[:6]) < 0.5 * first
        one = rounds.run(10, {NAMES[2]: "down"})
        assert one < 0.6 * first


def test_a_page_of_this_round_is_made_of_what_is_known_of_it(tmp_path: Path) -> None:
    """What this round has measured is not read again for the page; what an earlier one has measured is."""
    read: list[str] = []
    rounds = Rounds(tmp_path, 5)
    rounds.now += timedelta(microseconds=123456)
    with rounds.history as history:
        history.connection.set_trace_callback(lambda text: read.append(text) if "AS shown" in text else None)
        rounds.run(10, {})
        assert [remote.measurements().at for remote in rounds.report.remotes] == [rounds.now] * 5
        assert read == []
        first = rounds.now
        rounds.run(1, {}, load=3.0)
        assert first in {remote.measurements().at for remote in rounds.report.remotes}
        assert read


@pytest.mark.parametrize(
    ("minutes", "before", "now", "renewed"),
    [
        (10, {}, {}, False),
        (10, {}, {"load": (9.0, 9.0, 9.0)}, False),
        (60, {}, {"load": (9.0, 9.0, 9.0)}, True),
        (60, {}, {}, True),
        (10, {"troubles": TROUBLES["full"]}, {"load": (9.0, 9.0, 9.0)}, True),
        (10, {"troubles": TROUBLES["down"]}, {"troubles": TROUBLES["down"]}, False),
        (10, {}, {"troubles": TROUBLES["full"]}, True),
        (10, {"notes": ("it could not be looked at",)}, {}, True),
    ],
)
def test_measurements_are_renewed(
    minutes: int, before: dict[str, object], now: dict[str, object], renewed: bool
) -> None:
    """Once an hour while a remote is up, at once when something is wrong, and never when all is the same."""

    def result(values: dict[str, object], at: datetime) -> CheckResult:
        down = values.get("troubles") == TROUBLES["down"]
        facts = Facts(load=values.get("load", (0.1, 0.1, 0.1)), notes=values.get("notes", ()))  # type: ignore[arg-type]
        return CheckResult("one", at, values.get("troubles", ()), None if down else 80, facts=facts)  # type: ignore[arg-type]

    busy: dict[str, object] = {"load": (9.0, 9.0, 9.0)}
    later = timedelta(minutes=10)
    starts = [NOW + timedelta(minutes=shift) for shift in (0, 15)]
    # One of them is not within ten minutes of the beginning of its hour.
    at = next(one for one in starts if not renews_measurements(one, result({}, one), result(busy, one + later)))
    assert renews_measurements(at, result(before, at), result(now, at + timedelta(minutes=minutes))) is renewed
