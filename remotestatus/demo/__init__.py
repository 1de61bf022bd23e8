"""
A small real fleet to try remotestatus on: one proxy and five remotes, all on this machine's loopback.

Everything in it is real but small: SSH servers, reverse tunnels, logins by key and by password, and processes to look
for. It needs no privileges and no sshd, only the `demo` extra. `Fleet` in fleet.py is all that callers use; the fleet
itself lives in a process of its own (serve.py), so that nothing of it is inherited by what the caller forks.
"""

from remotestatus.demo.demo_fleet import Fleet
from remotestatus.demo.messages import Message

__all__ = ["Fleet", "Message"]
