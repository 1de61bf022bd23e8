"""
The command that reaches a worker, and what runs there.

Pure: takes a worker and how its host is reached; returns words of a command whose input is a transmit stream and whose
output is a process stream. What runs there ends with the connection: a directory of its own holds everything, and every
process that knows this directory is killed before it is removed.
"""

import shlex
from collections.abc import Sequence
from pathlib import PurePath

from remotestatus.model.fleet import Worker
from remotestatus.model.worker_faults import NOT_STARTED
from remotestatus.probe.workers.time_limits import KEEPALIVE_SECONDS

SSH_OPTIONS = (
    *("BatchMode=yes", "ConnectTimeout=10", "ServerAliveInterval=5", "ServerAliveCountMax=3", "ControlMaster=no"),
    *("ControlPath=none", "ForwardAgent=no", "ForwardX11=no", "RequestTTY=no", "EscapeChar=none", "LogLevel=ERROR"),
)

_ON_WORKER = """
umask 077
dir=$(mktemp -d "${XDG_RUNTIME_DIR:-${TMPDIR:-/tmp}}/rs-worker.XXXXXX") || exit 73
export REMOTESTATUS_WORKER="$dir" TMPDIR="$dir" XDG_RUNTIME_DIR="$dir"
export ANSIBLE_HOME="$dir/ansible" ANSIBLE_LOCAL_TEMP="$dir/ansible/tmp"
program=PROGRAM
case $program in "~/"*) program=$HOME/${program#??} ;; esac
case $program in */*) PATH=${program%/*}:$PATH ;; esac
finish() {
  exec 2>/dev/null
  for round in 1 2 3; do
    for file in $(grep -slF -e "$dir" /proc/[0-9]*/environ /proc/[0-9]*/cmdline); do
      pid=${file#/proc/}; kill -9 "${pid%/*}" 2>/dev/null
    done
  done
  rm -rf "$dir"
}
mkfifo "$dir/in"
exec 3<&0
{ cat <&3 >"$dir/in"; cat <&3; finish; } >/dev/null 2>&1 &
timeout -k 5 SECONDS "$program" worker --private-data-dir "$dir/job" --keepalive-seconds KEEPALIVE <"$dir/in" 3<&-
code=$?
case $code in 126|127) echo "NOT_STARTED" >&2 ;; esac
LC_ALL=C head -c 2097152 /dev/zero >"$dir/room"
finish
exit $code
"""
"""
The end of the input is the end of the run, whatever still runs: that is also how a broken connection ends it. So the
rest of the input is read, too, when the program has ended early and is about to say why. Children call setsid, so a
process group is not enough, and ssh renames itself, so the environment alone is not either. What ansible-runner says
where there is no room is not why: what is written to `room` at the end makes the system say so.
"""


def script_on_worker(program: str, seconds: int) -> str:
    """What /bin/sh does on the worker, for so many seconds at most."""
    return (
        _ON_WORKER.strip()
        .replace("PROGRAM", shlex.quote(program))
        .replace("SECONDS", str(seconds))
        .replace("KEEPALIVE", str(KEEPALIVE_SECONDS))
        .replace("NOT_STARTED", NOT_STARTED)
    )


def worker_words(worker: Worker, ssh_config: PurePath, seconds: int) -> Sequence[str]:
    """The command that turns a transmit stream into a process stream; `ssh_config` leads to the worker by its name."""
    settings = worker.settings
    if settings.command is not None:
        return ["timeout", "-k", "5", str(seconds), "/bin/sh", "-c", settings.command]
    options = [word for option in SSH_OPTIONS for word in ("-o", option)]
    script = f"exec /bin/sh -c {shlex.quote(script_on_worker(settings.program, seconds))}"
    return ["ssh", "-F", str(ssh_config), *options, "--", worker.name, script]
