"""
Reads and changes the text of a known_hosts file, as sshd(8) describes it under SSH_KNOWN_HOSTS FILE FORMAT.

Text comes in and goes out; no files. A line that is not understood is kept as it is, and so are comments, the lines of
other hosts, certificate authorities and revoked keys. Names are looked up as OpenSSH does: in lower case, with `*`,
`?`, `!` and hashed names understood.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterator
from dataclasses import dataclass

_KINDS = {"ssh-ed25519": "ED25519", "ssh-rsa": "RSA", "ssh-dss": "DSA"}


@dataclass(frozen=True, slots=True)
class HostKey:
    """A public host key: its type as in the file (`ssh-ed25519`), and the key itself in base64."""

    type: str
    blob: str

    @property
    def fingerprint(self) -> str:
        """What `ssh` and `ssh-keygen -l` show of it: `SHA256:` and 43 letters."""
        return fingerprint_of(base64.b64decode(self.blob))

    @property
    def kind(self) -> str:
        """The type as `ssh` says it to people: `ED25519`, `ECDSA`, `RSA`."""
        return kind_of(self.type)

    def __str__(self) -> str:
        return f"{self.type} {self.blob}"


@dataclass(frozen=True, slots=True)
class Line:
    """One line that trusts a key, or revokes it, or trusts an authority: `marker` is empty, or begins with @."""

    marker: str
    names: str
    key: HostKey
    comment: str = ""

    def speaks_of(self, name: str) -> bool:
        """Whether this line is about the host of this name."""
        found = False
        for pattern in self.names.split(","):
            refused = pattern.startswith("!")
            if _fits(pattern.removeprefix("!"), name.lower()):
                if refused:
                    return False
                found = True
        return found

    @property
    def plain_names(self) -> tuple[str, ...]:
        """The names that can be read: neither hashed nor patterns."""
        return tuple(name for name in self.names.split(",") if not re.search(r"[*?!|]", name))

    def without(self, name: str) -> str | None:
        """
        This line without the host of this name; None when nothing of it is left.

        A pattern goes on to speak of the other hosts that it fits, and so does not go.
        """
        kept = [
            pattern
            for pattern in self.names.split(",")
            if re.search(r"[*?!]", pattern) or not _fits(pattern, name.lower())
        ]
        if not kept:
            return None
        return " ".join(filter(None, (self.marker, ",".join(kept), str(self.key), self.comment)))


def kind_of(key_type: str) -> str:
    """How people call a key type: `ED25519` for `ssh-ed25519`."""
    return _KINDS.get(key_type, "ECDSA" if key_type.startswith("ecdsa-") else key_type)


def fingerprint_of(key: bytes) -> str:
    """The SHA256 fingerprint of a public key's bytes, as OpenSSH writes it."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(key).digest()).decode().rstrip("=")


def read_line(text: str) -> Line | None:
    """Read one line; None for comments, empty lines and what is no key."""
    words = re.findall(r"[^ \t\r\n]+", text)
    if not words or words[0].startswith("#"):
        return None
    marker = words.pop(0) if words[0].startswith("@") else ""
    if len(words) < 3:
        return None
    names, key_type, blob, *comment = words
    try:
        key = base64.b64decode(blob, validate=True)
    except (binascii.Error, ValueError):
        return None
    # The key's own first field is its type (RFC 4253, 6.6).
    if key[4 : 4 + int.from_bytes(key[:4])] != key_type.encode():
        return None
    return Line(marker, names, HostKey(key_type, blob), " ".join(comment))


def fingerprints(text: str) -> dict[str, str]:
    """Each trusted key's fingerprint (`SHA256:…`) with the first name it is trusted for; hashed names are left out."""
    found: dict[str, str] = {}
    for line in lines_of(text):
        if not line.marker and line.plain_names:
            found.setdefault(line.key.fingerprint, line.plain_names[0])
    return found


def keys_of(text: str, name: str) -> tuple[HostKey, ...]:
    """The keys that are trusted for the host of this name."""
    found = (line.key for line in lines_of(text) if not line.marker and line.speaks_of(name))
    return tuple(dict.fromkeys(found))


def is_known(text: str, name: str) -> bool:
    """Whether anything here lets this host be trusted: a key of its own, or a certificate authority."""
    return any(line.speaks_of(name) for line in lines_of(text) if line.marker in ("", "@cert-authority"))


def add(text: str, name: str, key: HostKey) -> str:
    """Trust one more key for this host."""
    if key in keys_of(text, name):
        return text
    start = text if not text or text.endswith("\n") else text + "\n"
    return f"{start}{name} {key}\n"


def replace(text: str, name: str, key: HostKey) -> str:
    """Trust this key for the host, and none of those that had been trusted for it by its own name."""
    kept = []
    for written in re.findall(r"[^\n]*\n|[^\n]+", text):
        line = read_line(written)
        if line is None or line.marker or not line.speaks_of(name):
            kept.append(written)
        elif rest := line.without(name):
            kept.append(written if rest.split() == written.split() else rest + "\n")
    return add("".join(kept), name, key)


def lines_of(text: str) -> Iterator[Line]:
    """The lines that are understood, in their order."""
    return (line for written in text.split("\n") if (line := read_line(written)))


def _fits(pattern: str, name: str) -> bool:
    """Whether a name in lower case is the one that a pattern, or a hashed name, means."""
    if pattern.startswith("|1|"):
        try:
            salt, hashed = (base64.b64decode(part, validate=True) for part in pattern[3:].split("|"))
        except (binascii.Error, ValueError):
            return False
        # HashKnownHosts of ssh_config(5) hashes with HMAC-SHA1.
        return hmac.compare_digest(hmac.digest(salt, name.encode(), "sha1"), hashed)
    glob = "".join({"*": ".*", "?": "."}.get(letter, re.escape(letter)) for letter in pattern.lower())
    return re.fullmatch(glob, name) is not None
