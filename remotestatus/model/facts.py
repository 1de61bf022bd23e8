"""
What a remote reports of itself. `remotestatus_playbook/protocol.py` declares it; the playbook fills it in.
"""

from remotestatus_playbook.machine_facts import Disk, Facts, Mount, ReserveState

__all__ = ["Disk", "Facts", "Mount", "ReserveState"]
