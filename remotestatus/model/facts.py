"""
What a remote reports of its own resources. `remotestatus_playbook/protocol.py` declares it; the playbook fills it in.
"""

from remotestatus_playbook.protocol import Disk, Facts

__all__ = ["Disk", "Facts"]
