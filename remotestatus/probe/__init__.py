"""
Runs the playbook through ansible-runner, and reads its answers. `probe.attempts` does so as often as a round needs.

This module imports only what Ansible's start needs, because a round waits for that.
"""

from remotestatus.probe.ansible_configuration import locale_is_utf8, read_configuration
from remotestatus.probe.ansible_source import AnsibleSource, TypedPasswords
from remotestatus.probe.playbook_run import Answers, PlaybookRunner, Progress
from remotestatus.probe.runtime_directories import remove_dead_directories
