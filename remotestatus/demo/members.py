"""
The members of the demo fleet, and the faults that they can have.

The inventory is written from this data and the servers are started from it, so the two cannot differ.
"""

from dataclasses import dataclass
from enum import StrEnum

PROXY = "tunnel-proxy"
PROXY_USER = "proxy-user"
TUNNEL_USER = "tunnel"


class Fault(StrEnum):
    """Something that can be broken and repaired while the fleet runs."""

    TUNNEL = "tunnel"
    """The remote's reverse tunnel is cut: nothing listens on its remote port."""
    PROCESS = "process"
    """The last of the remote's programs is stopped."""
    SSHD = "sshd"
    """The tunnel stays, and nothing answers SSH behind it: connections are closed at once."""
    STALE = "stale"
    """The tunnel stays, and connections are accepted but never answered."""
    PROXY = "proxy"
    """The proxy is stopped, and with it every tunnel."""


@dataclass(frozen=True, slots=True)
class Program:
    """A process that a remote runs: its arguments, with a space between two, and how many of it run."""

    words: str
    setting: str = ""
    """Its entry in `remotestatus_processes`, as YAML; the words, unless given."""
    count: int = 1


@dataclass(frozen=True, slots=True)
class Member:
    """One remote of the fleet. `faults` are those that it has at the start."""

    name: str
    group: str
    nickname: str
    description: str
    location: str
    user: str
    programs: tuple[Program, ...]
    by_password: bool = False
    faults: frozenset[Fault] = frozenset()


MEMBERS = (
    Member(
        name="capture-1",
        group="recorders",
        nickname="Video Capture Box",
        description="Records the talks in the great hall.",
        location="Hall A",
        user="recorder",
        programs=(
            Program("python manage.py capture_videos.py"),
            Program(
                "python manage.py encode_videos.py --preset fast",
                "{name: encoder, regex: 'encode_videos[.]py --preset (fast|slow)', max: 2}",
            ),
        ),
    ),
    Member(
        name="upload-1",
        group="recorders",
        nickname="Upload Station",
        description="Sends finished recordings to the archive at night.",
        location="Control room",
        user="uploader",
        by_password=True,
        programs=(
            Program(
                "python manage.py upload_videos.py",
                "{name: uploaders, words: python manage.py upload_videos.py, min: 2, max: 4}",
                count=2,
            ),
        ),
    ),
    Member(
        name="kiosk-1",
        group="displays",
        nickname="Entrance Kiosk",
        description="Shows visitors the programme of the day.",
        location="Main entrance",
        user="kiosk",
        programs=(
            Program("python kiosk.py --screen entrance"),
            Program("python player.py --playlist welcome"),
        ),
        faults=frozenset({Fault.PROCESS}),
    ),
    Member(
        name="sensors-1",
        group="buildings",
        nickname="Sensor Hub",
        description="Collects temperature and humidity from the storage rooms.",
        location="Basement, rack 2",
        user="sensors",
        programs=(Program("python collect.py --rooms storage"),),
        faults=frozenset({Fault.TUNNEL}),
    ),
    Member(
        name="shop-1",
        group="buildings",
        nickname="Shop Server",
        description="Takes orders and prints receipts in the museum shop.",
        location="Museum shop",
        user="shop",
        programs=(
            Program("python manage.py take_orders.py"),
            Program("python manage.py print_receipts.py"),
        ),
    ),
)
"""The fleet: at its start three remotes are up, one is degraded and one is down."""
