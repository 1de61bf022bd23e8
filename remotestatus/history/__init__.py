"""
One SQLite file: states, transitions, rounds, days, and the outbox.
"""

from remotestatus.history import outbox, queues
from remotestatus.history.database import History
from remotestatus.history.lock import only_round
from remotestatus.history.notes import add_note, current_notes, remove_notes
from remotestatus.history.past import read_past

__all__ = ["History", "add_note", "current_notes", "only_round", "outbox", "queues", "read_past", "remove_notes"]
