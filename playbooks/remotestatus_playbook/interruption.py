"""
Cleans up after a run of the playbook alone that was interrupted: by Ctrl-C, a signal, or an error of Ansible.

Takes the process of ansible-playbook and the private directory. Leaves a process behind that waits until that one has
ended, and then ends what still uses the directory, and removes it. The rule worth knowing: an interrupted task of
Ansible is killed at once, so it can do none of that itself.
"""

import os
import select
import shutil
import signal
from contextlib import suppress
from pathlib import Path


def clean_up_after(owner: int, directory: Path) -> None:
    """Start the process that waits for the end of `owner`; it holds no file open that others may wait for."""
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
    """End every process of ours that was told a path in there: ssh, and the timeout(1) before it."""
    sign = f"{directory}/".encode()
    for arguments in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if sign in arguments.read_bytes():
                os.kill(int(arguments.parent.name), signal.SIGKILL)
