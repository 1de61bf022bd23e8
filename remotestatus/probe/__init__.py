"""
Fleet -> answers: runs the playbook through ansible-runner, and retries what failed.
"""

from remotestatus.probe.check_fleet import FleetResults, check_fleet
from remotestatus.probe.playbook_run import AnsibleSource, Look, PlaybookRunner, Progress

__all__ = ["AnsibleSource", "FleetResults", "Look", "PlaybookRunner", "Progress", "check_fleet"]
