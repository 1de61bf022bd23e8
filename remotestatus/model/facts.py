"""
What a remote reports of its own resources; declared where the playbook, which reads it, knows it too.
"""

from remotestatus_playbook.protocol import Disk, Facts

__all__ = ["Disk", "Facts"]
