"""
Makes SSH keys.

One rule: a key belongs to one purpose (the checker, the tunnels, one server each), so a log line that names a
fingerprint says who came.
"""

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Key:
    """A key pair on disk: the private half at `path`, the public half in an authorized_keys line."""

    path: Path
    public: str
    fingerprint: str


def make_key(path: Path, comment: str) -> Key:
    """Make an ed25519 key pair at `path`, in the place of one that is there."""
    public_path = path.with_name(path.name + ".pub")
    path.unlink(missing_ok=True)
    public_path.unlink(missing_ok=True)
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path)], check=True, capture_output=True
    )
    listing = subprocess.run(
        ["ssh-keygen", "-l", "-E", "sha256", "-f", str(path)], check=True, capture_output=True, text=True
    )
    public = " ".join(public_path.read_text().split()[:2])
    return Key(path=path, public=public, fingerprint=listing.stdout.split()[1])
