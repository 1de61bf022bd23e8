"""
Fetches host keys of servers with the `ssh` client.

It returns the key that the server presented, and whether `ssh` trusts it. There is no log-in: the connection ends after
the key. `ssh` decides with a round's own files whether a key is trusted, so certificate authorities and all key types
work as in a round.
"""

import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from remotestatus.model.errors import RoundError
from remotestatus.setup.known_hosts import HostKey, read_line

SECONDS = 30
"""The time limit of one scan: ConnectTimeout does not cover a server that is silent after its banner."""

CONNECT_SECONDS = 12

_SEEN = re.compile(r"^debug1: Server host (?:key|certificate): (\S+) (SHA256:\S+)", re.MULTILINE)
_CHANGED = re.compile(r"host identification has changed", re.IGNORECASE)
_REVOKED = re.compile(r"revoked host key|is marked as revoked", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class KeyScan:
    """
    The result of one scan.

    `key` is set unless it is trusted already, or `revoked`; then only `type` and `fingerprint` are set. `name` is what
    `ssh` looks the key up by. `text` is what `ssh` printed, for the diagnosis, when there was no key at all.
    """

    trusted: bool = False
    revoked: bool = False
    key: HostKey | None = None
    name: str = ""
    type: str = ""
    fingerprint: str = ""
    text: str = ""
    timed_out: bool = False


def ask(config: Path, arguments: Sequence[str], trusted: Sequence[str], environment: Mapping[str, str]) -> KeyScan:
    """
    Fetch the host key of one server.

    `arguments` lead `ssh -F config` to it, `trusted` are the known_hosts files that count, as ssh_config(5) spells
    them, and `environment` is added to ours. Raises RoundError when there is no `ssh`.
    """
    with tempfile.TemporaryDirectory(prefix="remotestatus-key-") as folder:
        offered = Path(folder) / "offered"
        text, timed_out = _run_ssh(config, arguments, [f'"{offered}"', *trusted], environment)
        seen = _SEEN.search(text)
        if seen is None:
            return KeyScan(text=text, timed_out=timed_out)
        if not offered.exists() and _CHANGED.search(text):
            # ssh prints only the fingerprint of a changed key; the key itself only if it knows none.
            _run_ssh(config, [*_KNOW_NOTHING, *arguments], [f'"{offered}"'], environment)
        if offered.exists() and (line := read_line(offered.read_text())):
            names, key = line
            return KeyScan(key=key, name=names.split(",")[0], type=key.type, fingerprint=key.fingerprint, text=text)
        revoked = _REVOKED.search(text) is not None
        trusted_already = not revoked and not _CHANGED.search(text)
        return KeyScan(trusted=trusted_already, revoked=revoked, type=seen[1], fingerprint=seen[2], text=text)


_KNOW_NOTHING = ("-o", "GlobalKnownHostsFile=/dev/null")

# The first value that ssh meets counts, so these beat what follows them. LogLevel, unlike -v, is not passed on to the
# ssh of a jump, whose own host key would otherwise be taken for this server's.
_OPTIONS = (
    "StrictHostKeyChecking=accept-new",
    "PreferredAuthentications=none",
    "BatchMode=yes",
    "LogLevel=DEBUG1",
    "ControlMaster=no",
    "ControlPath=none",
    "HashKnownHosts=no",
    "CheckHostIP=no",
    "UpdateHostKeys=no",
    "ClearAllForwardings=yes",
    f"ConnectTimeout={CONNECT_SECONDS}",
)


def _run_ssh(
    config: Path, arguments: Sequence[str], files: Sequence[str], environment: Mapping[str, str]
) -> tuple[str, bool]:
    options = [*_OPTIONS, f"UserKnownHostsFile={' '.join(files)}"]
    command = ["ssh", "-F", str(config), "-n", "-T", *(word for option in options for word in ("-o", option))]
    try:
        process = subprocess.Popen(
            # A server without authentication lets us in: then do nothing there.
            [*command, *arguments, "exit"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={**os.environ, **environment, "LC_ALL": "C.UTF-8"},
            start_new_session=True,
        )
    except OSError as error:
        raise RoundError(f"ssh could not be started: {error.strerror}; install openssh-client") from error
    with process:
        try:
            _, raw = process.communicate(timeout=SECONDS)
            timed_out = False
        except subprocess.TimeoutExpired:
            # The jump's ssh is in the same process group.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            _, raw = process.communicate()
            timed_out = True
    return raw[:100_000].decode("utf-8", "replace"), timed_out


def without_debugging(text: str) -> str:
    """What `ssh` would have printed without LogLevel=DEBUG1."""
    return "\n".join(line for line in text.splitlines() if not line.startswith("debug1: "))
