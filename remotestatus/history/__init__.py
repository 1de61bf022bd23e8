"""
One SQLite file: states, transitions, rounds, days, and the outbox.
"""

from remotestatus.history import outbox, queues
from remotestatus.history.database import History
from remotestatus.history.lock import only_round
from remotestatus.history.past import read_past

__all__ = ["History", "only_round", "outbox", "queues", "read_past"]
