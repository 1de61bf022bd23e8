"""
The command that reaches a worker: its input is a transmit stream, its output a process stream.

Pure: what runs on the worker itself is in `script_on_worker`.
"""

import shlex
from collections.abc import Sequence
from pathlib import PurePath

from remotestatus.model.fleet import Worker
from remotestatus.probe.workers.script_on_worker import script_on_worker

SSH_OPTIONS = (
    *("BatchMode=yes", "ConnectTimeout=10", "ServerAliveInterval=5", "ServerAliveCountMax=3", "ControlMaster=no"),
    *("ControlPath=none", "ForwardAgent=no", "ForwardX11=no", "RequestTTY=no", "EscapeChar=none", "LogLevel=ERROR"),
)


def worker_words(worker: Worker, ssh_config: PurePath, seconds: int) -> Sequence[str]:
    """The command that turns a transmit stream into a process stream; `ssh_config` leads to the worker by its name."""
    settings = worker.settings
    if settings.command is not None:
        return ["timeout", "-k", "5", str(seconds), "/bin/sh", "-c", settings.command]
    options = [word for option in SSH_OPTIONS for word in ("-o", option)]
    script = f"exec /bin/sh -c {shlex.quote(script_on_worker(settings.program, seconds))}"
    return ["ssh", "-F", str(ssh_config), *options, "--", worker.name, script]
