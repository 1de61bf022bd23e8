"""
Cleans up after a run of the playbook alone that was interrupted: by Ctrl-C, a signal, or an error of Ansible.

It starts a background process, which waits for the end of ansible-playbook, ends the processes that use the private
directory, and removes it. An interrupted task of Ansible is killed at once, so it cannot do that itself.
"""

import os
import select
import shutil
import signal
from contextlib import suppress
from pathlib import Path


def clean_up_after(owner: int, directory: Path) -> None:
    """Start the background process for `owner`; it keeps no inherited file open."""
    if os.fork():
        return
    try:
        os.setsid()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        os.closerange(0, 1 << 20)
        for _ in range(3):
            os.open(os.devnull, os.O_RDWR)
        with suppress(ProcessLookupError):
            select.select([os.pidfd_open(owner)], [], [])
        if directory.exists():
            _end_users_of(directory)
            shutil.rmtree(directory, ignore_errors=True)
    finally:
        os._exit(0)


def _end_users_of(directory: Path) -> None:
    """End all our processes that have a path in it among their arguments: ssh, and timeout(1)."""
    sign = f"{directory}/".encode()
    for arguments in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if sign in arguments.read_bytes():
                os.kill(int(arguments.parent.name), signal.SIGKILL)
