"""
Reads and changes the file of trusted host keys; a change keeps all lines of others.

`ssh-keygen -F` looks a name up, so hashed names, patterns and markers mean what they mean to `ssh`. Its `-R` is not
used: it removes whole lines, with their other names and patterns, leaves a copy of the file, and replaces a symbolic
link by a file. A line without a key is kept.
"""

import base64
import hashlib
import os
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from remotestatus.model.errors import RoundError

_KINDS = {"ssh-ed25519": "ED25519", "ssh-rsa": "RSA", "ssh-dss": "DSA"}
_FOUND = re.compile(r"^# Host .* found: line (\d+) ?(CA|REVOKED)?\n([^\n]*)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class HostKey:
    """A public host key: its type as in the file (`ssh-ed25519`), and the key itself in base64."""

    type: str
    blob: str

    @property
    def fingerprint(self) -> str:
        """Its fingerprint as in `ssh-keygen -l`: `SHA256:` and 43 letters."""
        return "SHA256:" + base64.b64encode(hashlib.sha256(base64.b64decode(self.blob)).digest()).decode().rstrip("=")

    @property
    def kind(self) -> str:
        """The type as `ssh` shows it: `ED25519`, `ECDSA`, `RSA`."""
        return kind_of(self.type)

    def __str__(self) -> str:
        return f"{self.type} {self.blob}"


def kind_of(key_type: str) -> str:
    """The short name of a key type: `ED25519` for `ssh-ed25519`."""
    return _KINDS.get(key_type, "ECDSA" if key_type.startswith("ecdsa-") else key_type)


def read_line(text: str) -> tuple[str, HostKey] | None:
    """The names and the key of one line without a marker; None for other lines."""
    words = re.findall(r"[^ \t\r\n]+", text)
    if len(words) < 3 or words[0].startswith(("#", "@")):
        return None
    names, key_type, blob = words[:3]
    try:
        key = base64.b64decode(blob, validate=True)
    except ValueError:
        return None
    # The key's own first field is its type (RFC 4253, 6.6).
    return (names, HostKey(key_type, blob)) if key[4 : 4 + int.from_bytes(key[:4])] == key_type.encode() else None


def list_keys(text: str) -> Iterator[tuple[HostKey, tuple[str, ...]]]:
    """Each trusted key with the names that can be read: those that are neither hashed nor patterns."""
    for line in text.split("\n"):
        if read := read_line(line):
            yield read[1], tuple(name for name in read[0].split(",") if not re.search(r"[*?!|]", name))


def keys_of(text: str, name: str) -> tuple[HostKey, ...]:
    """The keys that are trusted for the host of this name."""
    return tuple(dict.fromkeys(key for _, marker, key in _look_up(text, name) if not marker))


def is_known(text: str, name: str) -> bool:
    """Whether this host is trusted: by its key, or by a certificate authority."""
    return any(marker != "REVOKED" for _, marker, _ in _look_up(text, name))


def find_untrusted(file: Path, names: Iterable[str], more: str = "") -> list[str]:
    """The names without a trusted key in the file or in `more`. Raises RoundError."""
    text = f"{read_file(file)}\n{more}"
    plain = {name for _, found in list_keys(text) for name in found}
    return [name for name in names if name.lower() not in plain and not is_known(text, name)]


def add(text: str, name: str, key: HostKey) -> str:
    """Trust one more key for this host."""
    if key in keys_of(text, name):
        return text
    start = text if not text or text.endswith("\n") else text + "\n"
    return f"{start}{name} {key}\n"


def replace(text: str, name: str, key: HostKey) -> str:
    """Trust this key for the host, instead of those trusted by its own name."""
    own = {number for number, marker, _ in _look_up(text, name) if not marker}
    lines = enumerate(text.split("\n"), start=1)
    kept = (_without(line, name) if number in own else line for number, line in lines)
    return add("\n".join(line for line in kept if line is not None), name, key)


def _without(line: str, name: str) -> str | None:
    """A line without this name; None when nothing is left of it. A pattern stays, for the other hosts that it fits."""
    names = line.split()[0]
    kept = [
        one
        for one in names.split(",")
        if re.search(r"[*?!]", one) or not (one.startswith("|1|") or one.lower() == name.lower())
    ]
    return line.replace(names, ",".join(kept), 1) if kept else None


def _look_up(text: str, name: str) -> list[tuple[int, str, HostKey]]:
    """The lines about the host of this name: number, marker (`CA`, `REVOKED` or none) and key."""
    try:
        done = subprocess.run(
            ["ssh-keygen", "-F", name, "-f", "/dev/stdin"],
            input=text.encode("utf-8", "surrogateescape"),
            capture_output=True,
            check=False,
        )
    except OSError as error:
        raise RoundError(f"ssh-keygen could not be started: {error.strerror}; install openssh-client") from error
    shown = done.stdout.decode("utf-8", "surrogateescape")
    return [
        (int(number), marker, read[1])
        for number, marker, line in _FOUND.findall(shown)
        if (read := read_line(re.sub(r"^@\S+[ \t]+", "", line)))
    ]


# -- the file


def read_file(path: Path) -> str:
    """The text of a known_hosts file; empty when there is none. Raises RoundError when it can't be read."""
    try:
        with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
            return file.read()
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise RoundError(f"{path} cannot be read: {error.strerror}") from error


def change_file(path: Path, change: Callable[[str], str]) -> None:
    """
    Change a known_hosts file atomically.

    It keeps its owner if possible, and gets mode 0644, since host keys are no secret. Raises RoundError, with the cure,
    when that fails.
    """
    target = path.resolve()
    text = change(read_file(target))
    unfinished = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor, unfinished = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(descriptor)
            os.fchmod(descriptor, 0o644)
            with suppress(FileNotFoundError, PermissionError):
                before = target.stat()
                os.fchown(descriptor, before.st_uid, before.st_gid)
        Path(unfinished).rename(target)
    except OSError as error:
        if unfinished is not None:
            Path(unfinished).unlink(missing_ok=True)
        raise RoundError(
            f"{path} cannot be written: {error.strerror}; make its folder writable, or name another file in "
            "remotestatus_known_hosts"
        ) from error
