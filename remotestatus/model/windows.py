"""
Maintenance windows: of the inventory, given by command, and those that are open or to come.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Self
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator, model_validator

from remotestatus.model.setting_types import Duration, SettingsModel, Text, Zone


class Window(SettingsModel):
    """A maintenance window: one-off (`from`, `until`) or recurring (`cron` or `rrule`, with `for`)."""

    from_: datetime | None = Field(default=None, alias="from", description="start of a one-off window, or of a rrule")
    until: datetime | None = Field(default=None, description="end of a one-off window")
    cron: Text | None = Field(default=None, description="five fields: when a recurring window starts")
    rrule: Text | None = Field(default=None, description="RFC 5545 recurrence rule: when a recurring window starts")
    for_: Duration | None = Field(default=None, alias="for", description="how long a recurring window lasts")
    timezone: Zone = Field(default="UTC", description="the zone its times are in, unless they carry an offset")
    note: Text = ""

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        recurring = [kind for kind in (self.cron, self.rrule) if kind]
        if len(recurring) > 1:
            raise ValueError("write either cron or rrule, not both")
        if recurring and not self.for_:
            raise ValueError("a recurring window needs `for`, for example 2h")
        if not recurring and not (self.from_ and self.until):
            raise ValueError("write `from` and `until`, or `cron` (or `rrule`) and `for`")
        if not recurring and self.from_ and self.until and self._aware(self.until) <= self._aware(self.from_):
            raise ValueError("`until` is not after `from`")
        return self

    def _aware(self, moment: datetime) -> datetime:
        return moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(self.timezone))

    @field_validator("from_", "until", mode="before")
    @classmethod
    def _not_a_number(cls, value: object) -> object:
        if isinstance(value, int | float):
            raise ValueError("write a date and time, for example 2026-01-31 22:00")  # noqa: TRY004 - pydantic reads it
        return value


@dataclass(frozen=True, slots=True)
class CommandWindow:
    """A one-off window given by `remotestatus maintenance`. `target` is a remote, a proxy, a group or `all`."""

    id: int
    target: str
    starts: datetime
    until: datetime
    note: str = ""


@dataclass(frozen=True, slots=True)
class OpenWindow:
    """A window that is open now."""

    until: datetime
    note: str = ""


@dataclass(frozen=True, slots=True)
class PlannedWindow:
    """
    One occurrence of a window that is open or to come.

    `title` says what it is for: a group, `all`, or names. `names` are all remotes and proxies that it is for.
    """

    starts: datetime
    until: datetime
    title: str
    names: frozenset[str]
    note: str = ""
