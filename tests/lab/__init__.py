"""
A test laboratory: real OpenSSH servers, tunnels, processes, mail and web servers on loopback, and their faults.
"""

from tests.lab.bastion import RecordingBastion
from tests.lab.command import Command, run_command
from tests.lab.jump_ways import JumpWay
from tests.lab.lab import Lab, lab_folders
from tests.lab.link import BadLink
from tests.lab.proxy import Proxy
from tests.lab.remote import LocalRemote, Remote
from tests.lab.requirements import require_program, require_root
from tests.lab.sinks import HttpSink, Request, SmtpSink

__all__ = [
    "BadLink",
    "Command",
    "HttpSink",
    "JumpWay",
    "Lab",
    "LocalRemote",
    "Proxy",
    "RecordingBastion",
    "Remote",
    "Request",
    "SmtpSink",
    "lab_folders",
    "require_program",
    "require_root",
    "run_command",
]
