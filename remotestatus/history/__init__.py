"""
One SQLite file: states, transitions, rounds, days, and the outbox.
"""

from remotestatus.history import acks_windows_notes, outbox, period, taken_replies
from remotestatus.history.acks_windows_notes import add_note, current_notes, remove_notes
from remotestatus.history.backup import back_up
from remotestatus.history.database import History
from remotestatus.history.lock import only_round
from remotestatus.history.past import read_past
from remotestatus.history.retention import forget
from remotestatus.history.salvage import open_or_repair, repair, what_is_damaged
