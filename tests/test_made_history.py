"""The ninety days before the demo's first round: made up, the same each time, and marked as such."""

import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

from remotestatus.demo import make_up_history
from remotestatus.history import History, current_notes
from remotestatus.model.states import Kind
from remotestatus.model.status_words import Status

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def test_demo_has_ninety_days_behind_it(tmp_path: Path) -> None:
    """Incidents that are over, one that came again and again, and nothing that is wrong now; a note says what it is."""
    database = tmp_path / "history.sqlite3"
    make_up_history(database, NOW)
    with History.open(database) as history:
        states = history.states()
        assert {state.status for state in states.values()} == {Status.UP}
        assert not any(state.flapping for state in states.values())
        (note,) = current_notes(history, NOW)
        assert "made up" in note.text
    with sqlite3.connect(database) as db:
        outages = dict(
            db.execute(
                "SELECT name, count(*) FROM transitions JOIN subjects s ON s.id = subject_id "
                "WHERE stage = 'seen' AND after = 'down' GROUP BY name"
            )
        )
        (days,) = db.execute("SELECT min(n) FROM (SELECT count(*) AS n FROM days GROUP BY subject_id)").fetchone()
    db.close()
    assert outages["upload-1"] == 6
    assert days == 90


def test_what_is_made_up_is_the_same_each_time(tmp_path: Path) -> None:
    """It depends on the time alone, and a history that is there already is left alone."""
    texts = []
    for name in ("one", "other"):
        make_up_history(tmp_path / name, NOW)
        with sqlite3.connect(tmp_path / name) as db:
            texts.append("\n".join(db.iterdump()))
        db.close()
    assert texts[0] == texts[1]
    make_up_history(tmp_path / "one", NOW + timedelta(days=3))
    with History.open(tmp_path / "one") as history:
        last = history.last_round()
        assert last is not None
        assert last.finished_at < NOW
        assert (Kind.REMOTE, "shop-1") in history.states()
