"""
Fleet -> answers: runs the playbook through ansible-runner. `probe.attempts` calls it as often as a
round needs.

A round waits for Ansible's start, so this face loads nothing that is not needed for it.
"""

from remotestatus.probe.ansible_configuration import locale_is_utf8, read_configuration
from remotestatus.probe.ansible_source import AnsibleSource, TypedPasswords
from remotestatus.probe.playbook_run import Answers, PlaybookRunner, Progress
from remotestatus.probe.runtime_directories import remove_dead_directories
