"""The facts of a remote: types that `remotestatus_playbook/machine_facts.py` declares and fills in."""

from remotestatus_playbook.machine_facts import Disk, Facts, Mount, ReserveState

__all__ = ["Disk", "Facts", "Mount", "ReserveState"]
