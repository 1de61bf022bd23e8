"""
The shell script that runs on a worker, around `ansible-runner worker`.

Pure: it ends with the connection. It uses one directory, and kills every process that names this directory before it is
removed.
"""

import shlex

from remotestatus.model.worker_faults import NOT_STARTED
from remotestatus.probe.workers.time_limits import KEEPALIVE_SECONDS

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
The end of the input ends the run, also when a connection breaks. So the rest of the input is read after the program has
ended early. Children call setsid, so killing a process group is not enough; ssh renames itself, so searching the
environment is not enough. ansible-runner does not report a full disk, so the write to `room` at the end makes the
system report it.
"""


def script_on_worker(program: str, seconds: int) -> str:
    """The /bin/sh script on the worker; it ends after `seconds`."""
    return (
        _ON_WORKER.strip()
        .replace("PROGRAM", shlex.quote(program))
        .replace("SECONDS", str(seconds))
        .replace("KEEPALIVE", str(KEEPALIVE_SECONDS))
        .replace("NOT_STARTED", NOT_STARTED)
    )
