"""The machine formats of a round: each module turns one Report into the text of one kind of file."""

from remotestatus.report.formats.badges import (
    write_fleet_badge,
    write_fleet_endpoint,
    write_remote_badge,
    write_remote_endpoint,
)
from remotestatus.report.formats.feed import write_feed
from remotestatus.report.formats.metrics import write_metrics
from remotestatus.report.formats.status_json import write_status

__all__ = [
    "write_feed",
    "write_fleet_badge",
    "write_fleet_endpoint",
    "write_metrics",
    "write_remote_badge",
    "write_remote_endpoint",
    "write_status",
]
