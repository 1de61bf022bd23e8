"""
The types that values of `remotestatus_` variables have: how each may be written, and what the documents call it.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, ClassVar, TypeVar
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)

from remotestatus.model.durations import parse_duration, write_duration


@dataclass(frozen=True, slots=True)
class TypeName:
    """The name of a type in the table of variables, where the Python type says too little."""

    name: str


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(write_duration, return_type=str),
    WithJsonSchema({"type": "string", "pattern": "^([0-9]+[wdhms])+$", "examples": ["10m", "1h30m"]}),
    TypeName("duration"),
]


def _seconds_or_duration(value: object) -> timedelta:
    """Accept a bare number of seconds as Ansible's own timeouts do, or a duration."""
    if isinstance(value, int) and not isinstance(value, bool):
        return parse_duration(f"{value}s")
    return parse_duration(value)


Timeout = Annotated[
    timedelta,
    BeforeValidator(_seconds_or_duration),
    PlainSerializer(write_duration, return_type=str),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 1}, {"type": "string", "pattern": "^([0-9]+[wdhms])+$"}]}),
    TypeName("seconds or duration"),
]


def _as_text(value: object) -> object:
    """Accept a number as text (a nickname `42`)."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return value


def _as_list(value: object) -> object:
    """Accept one value as a list of one."""
    return [value] if isinstance(value, str | dict) else value


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(f'"{name}" is not a time zone; write for example Europe/Berlin or UTC') from error
    return name


Item = TypeVar("Item")
OneOrMore = Annotated[tuple[Item, ...], BeforeValidator(_as_list)]
Text = Annotated[str, BeforeValidator(_as_text), StringConstraints(strip_whitespace=True, max_length=4000)]
Tag = Annotated[str, BeforeValidator(_as_text), StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
Tags = Annotated[OneOrMore[Tag], TypeName("list of tags")]
Port = Annotated[int, Field(ge=1, le=65535)]
Zone = Annotated[str, AfterValidator(_known_zone)]
Url = Annotated[str, StringConstraints(pattern=r"^https?://[^\s]+$"), TypeName("URL")]
Colour = Annotated[str, StringConstraints(pattern=r"^#[0-9A-Fa-f]{6}$"), TypeName("colour")]
VariableValue = str | int | float | bool | None


class SettingsModel(BaseModel):
    """What every part of the settings is: it cannot change, and a key that it does not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)
    text_means: ClassVar[str] = ""
    """The key that a plain text stands for, where one may be written in place of a mapping with this key alone."""

    @model_validator(mode="before")
    @classmethod
    def _read_text(cls, value: object) -> object:
        return {cls.text_means: value} if cls.text_means and isinstance(value, str) else value
