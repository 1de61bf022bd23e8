"""
A small real fleet to try remotestatus on: one proxy and five remotes, all on this machine's loopback.

It has real SSH servers, reverse tunnels, log-ins by key and by password, and processes to check. It needs no privileges
and no sshd, only the `demo` extra. The fleet runs in a process of its own
(`fleet_process.py`), so that processes which the caller starts inherit nothing of it.
"""

from remotestatus.demo.demo_fleet import DemoFleet
from remotestatus.demo.made_history import make_up_history
from remotestatus.demo.members import Fault
from remotestatus.demo.message_receiver import ReceivedMessage
