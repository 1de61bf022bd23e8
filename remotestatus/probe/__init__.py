"""
Fleet -> answers: runs the playbook through ansible-runner, and retries what failed.
"""

from remotestatus.probe.ansible_source import AnsibleSource
from remotestatus.probe.check_fleet import FleetResults, check_fleet
from remotestatus.probe.playbook_run import Answers, PlaybookRunner, Progress

__all__ = ["AnsibleSource", "Answers", "FleetResults", "PlaybookRunner", "Progress", "check_fleet"]
