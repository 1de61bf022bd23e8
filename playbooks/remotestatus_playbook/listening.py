"""
Parses the listening TCP ports and their owners from the probe's output on a proxy.

The lines are those of /proc/net/tcp (proc(5)) and of `ls -l /proc/PID/fd`. Nothing here raises: what cannot be read is
left out.
"""

import ipaddress
import re

from remotestatus_playbook.probe_frame import Frame
from remotestatus_playbook.process_list import user_names
from remotestatus_playbook.protocol import MAX_LISTENERS, Listener

_MAX_LINES = 100_000

_SOCKET = re.compile(
    rb" {0,9}\d{1,9}: ([0-9A-F]{8}|[0-9A-F]{32}):([0-9A-F]{4}) ([0-9A-F]{8}|[0-9A-F]{32}):[0-9A-F]{4} (0A|01)"
    rb" [0-9A-F]{8}:[0-9A-F]{8} [0-9A-F]{2}:[0-9A-F]{8} [0-9A-F]{8} {1,9}(\d{1,10}) {1,9}\d{1,10} (\d{1,19})\b"
)
"""Address, port, the other end's address, state, user and inode of a socket: 0A listens, 01 is connected."""

_FOLDER = re.compile(rb"/\S{0,100}/(\d{1,10})/fd:")
_DESCRIPTOR = re.compile(rb"\S.{0,200} -> socket:\[(\d{1,19})\]$")


def read_listeners(frame: Frame) -> tuple[Listener, ...] | None:
    """Read the listening ports; None if not asked for, or unreadable."""
    section = frame.finished("listeners")
    if section is None:
        return None
    sockets: list[re.Match[bytes]] = []
    holders: dict[bytes, list[int]] = {}
    pid: int | None = None
    for line in frame.lines(section, _MAX_LINES):
        if found := _SOCKET.match(line):
            sockets.append(found)
        elif found := _FOLDER.match(line):
            pid = int(found[1])
        elif line.startswith(b"/"):
            pid = None  # that of the probe's own shell
        elif pid is not None and (found := _DESCRIPTOR.match(line)):
            holders.setdefault(found[1], []).append(pid)
    if not sockets:
        return None
    names = user_names(frame)
    silent: dict[int, set[str]] = {}
    for one in sockets:
        for holder in holders.get(one[6], ()) if one[4] == b"01" else ():
            silent.setdefault(holder, set()).add(_address(one[3]))
    listening = [one for one in sockets if one[4] == b"0A"][:MAX_LISTENERS]
    return tuple(_listener(one, names, holders.get(one[6], []), silent) for one in listening)


def _address(text: bytes) -> str:
    """An address as the kernel prints it: 32-bit words in the machine's byte order, little-endian here."""
    raw = bytes.fromhex(text.decode("ascii"))
    words = b"".join(raw[at : at + 4][::-1] for at in range(0, len(raw), 4))
    address = ipaddress.ip_address(words)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def _listener(found: re.Match[bytes], names: dict[int, str], pids: list[int], silent: dict[int, set[str]]) -> Listener:
    peers = sorted({peer for pid in pids for peer in silent.get(pid, ())})
    user = names.get(int(found[5]), str(int(found[5])))
    return Listener(int(found[2], 16), _address(found[1]), user, tuple(sorted(set(pids))[:5]), tuple(peers[:5]))
