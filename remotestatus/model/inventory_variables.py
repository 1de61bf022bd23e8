"""
The one definition of every `remotestatus_` variable.

The validator, the JSON Schema (`remotestatus schema`) and the table in the documents are made from the two models here:
RemoteSettings (per remote, so also per group) and FleetSettings (one value for the whole inventory). Names have no
prefix here. The models validate a value; the inventory reader says where it was found.
"""

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from pathlib import PurePath
from typing import Annotated, Generic, Literal, Self, TypeVar
from urllib.parse import unquote, urlsplit

from cronsim import CronSim, CronSimError
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    WrapValidator,
    field_validator,
    model_validator,
)
from remotestatus_playbook.protocol import CHECK_SECONDS, REMOTE_SECONDS, whole_unit

from remotestatus.model.setting_types import (
    Colour,
    Duration,
    OneOrMore,
    Port,
    SettingsModel,
    Tag,
    Tags,
    Text,
    Timeout,
    Url,
    VariableValue,
    Zone,
)
from remotestatus.model.status_words import Severity
from remotestatus.model.windows import Window


@dataclass(frozen=True, slots=True)
class ForProbe:
    """Marks a setting of a remote that its probe needs. Only these are sent to workers."""


class ProcessSpec(SettingsModel):
    """A process that has to run: exactly one of `words`, `command`, `regex`, `contains` says which."""

    text_means = "words"
    name: Text | None = Field(default=None, description="its name on the page")
    words: Text | None = Field(default=None, description="these words, consecutive, somewhere in the argv")
    command: Text | None = Field(default=None, description="the program's name: the last path component of argv[0]")
    regex: Text | None = Field(default=None, description="a regular expression searched in the command line")
    contains: Text | None = Field(default=None, description="text that the command line contains")
    user: Text | None = Field(default=None, description="only processes of this user count")
    min: Annotated[int, Field(ge=0, le=100000)] = Field(default=1, description="at least so many")
    max: Annotated[int, Field(ge=0, le=100000)] | None = Field(default=None, description="at most so many")
    severity: Severity = Field(
        default=Severity.CRITICAL, description="how bad it is that too few or too many run: `critical` or `warning`"
    )

    @field_validator("regex")
    @classmethod
    def _compiles(cls, value: str | None) -> str | None:
        if value is not None:
            import regex  # takes as long to load as much else

            try:
                regex.compile(value)
            except (regex.error, OverflowError, RecursionError) as error:
                raise ValueError(f"{value!r} is not a regular expression: {error}") from error
        return value

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if sum(bool(way) for way in (self.words, self.command, self.regex, self.contains)) != 1:
            raise ValueError("write exactly one of words, command, regex or contains")
        if self.max is not None and self.max < self.min:
            raise ValueError(f"max ({self.max}) is smaller than min ({self.min})")
        return self

    @property
    def title(self) -> str:
        """The process's name: as given, else the words, command, expression or text."""
        return self.name or self.words or self.command or self.regex or self.contains or ""


def _percent(value: object) -> float:
    """Read `90%`, `90` or `90.5` as a share in percent."""
    text = str(value).strip().removesuffix("%")
    try:
        number = float(text)
    except ValueError:
        raise ValueError(f'"{value}" is not a percentage; write for example 90%') from None
    if not 0 < number <= 100:
        raise ValueError(f'"{value}" is not a percentage between 0 and 100')
    return number


_Schema = dict[str, object]
_SHARE_SCHEMAS: tuple[_Schema, ...] = ({"type": "number"}, {"type": "string", "pattern": "^[0-9.]+ *%?$"})
_TIME_SCHEMAS: tuple[_Schema, ...] = (
    {"type": "integer", "minimum": 1},
    {"type": "string", "pattern": "^([0-9]+[wdhms])+$"},
)
_NUMBER_SCHEMAS: tuple[_Schema, ...] = ({"type": "number"},)

Percent = Annotated[float, BeforeValidator(_percent), WithJsonSchema({"anyOf": [*_SHARE_SCHEMAS]})]
Load = Annotated[float, Field(gt=0)]
Degrees = Annotated[float, Field(ge=-50, le=200)]
Value = TypeVar("Value", float, timedelta)


class Bounds(SettingsModel, Generic[Value]):
    """The bounds for warning and critical; one of them may be missing."""

    warning: Value | None = None
    critical: Value | None = None

    @model_validator(mode="after")
    def _some(self) -> Self:
        if self.warning is None and self.critical is None:
            raise ValueError("write one bound, or a mapping with `warning` and `critical`")
        return self


def _bounds(value: object, validate: ValidatorFunctionWrapHandler) -> object:
    """Accept one value as the warning bound; its errors name the limit."""
    if isinstance(value, dict | Bounds):
        return validate(value)
    try:
        return validate({"warning": value})
    except ValidationError as error:
        (first, *_) = error.errors(include_url=False)
        raise first.get("ctx", {}).get("error") or ValueError(f"{value!r}: {first['msg']}") from None


def _rising(bounds: Bounds[Value]) -> Bounds[Value]:
    if bounds.warning is not None and bounds.critical is not None and not bounds.warning < bounds.critical:
        raise ValueError("`critical` has to be larger than `warning`")
    return bounds


def _falling(bounds: Bounds[Value]) -> Bounds[Value]:
    if bounds.warning is not None and bounds.critical is not None and not bounds.warning > bounds.critical:
        raise ValueError("`critical` has to be shorter than `warning`")
    return bounds


def _bounds_schema(*ways: _Schema) -> WithJsonSchema:
    """The schema of bounds whose values can be written in these ways."""
    value = {"anyOf": [*ways]}
    both = {"type": "object", "properties": {"warning": value, "critical": value}, "additionalProperties": False}
    return WithJsonSchema({"anyOf": [*ways, {**both, "minProperties": 1}]})


Shares = Annotated[Bounds[Percent], WrapValidator(_bounds), AfterValidator(_rising), _bounds_schema(*_SHARE_SCHEMAS)]
Loads = Annotated[Bounds[Load], WrapValidator(_bounds), AfterValidator(_rising), _bounds_schema(*_NUMBER_SCHEMAS)]
Temperatures = Annotated[
    Bounds[Degrees], WrapValidator(_bounds), AfterValidator(_rising), _bounds_schema(*_NUMBER_SCHEMAS)
]
Offsets = Annotated[Bounds[Timeout], WrapValidator(_bounds), AfterValidator(_rising), _bounds_schema(*_TIME_SCHEMAS)]
TimesLeft = Annotated[
    Bounds[Duration], WrapValidator(_bounds), AfterValidator(_falling), _bounds_schema(*_TIME_SCHEMAS)
]


def _disks(value: object) -> object:
    """Apply bounds without a mount point to every disk."""
    per_mount = isinstance(value, dict) and not value.keys() <= {"warning", "critical"}
    return value if per_mount else {"*": value}


SharesByMount = Annotated[dict[str, Shares], BeforeValidator(_disks)]


class Limits(SettingsModel):
    """Bounds of a remote's own resources; over one of them it is degraded. One bound alone is a warning."""

    disk: SharesByMount = Field(
        default_factory=dict, description="used space: `90%` for every disk, or a mapping of mount point to share"
    )
    inodes: SharesByMount = Field(default_factory=dict, description="used inodes, written as `disk` is")
    memory: Shares | None = Field(default=None, description="used memory, without what the system could free")
    swap: Shares | None = Field(default=None, description="used swap")
    load: Loads | None = Field(default=None, description="load average of 5 minutes, per CPU")
    clock: Offsets | None = Field(default=None, description="how far its clock may be off the checker's")
    disk_full_within: TimesLeft | None = Field(
        default=None, description="in how much time a disk may be full at the rate of the last days"
    )
    temperature: Temperatures | None = Field(default=None, description="the hottest sensor, in degrees Celsius")


_LIMITS = [f"`{name}`" for name in Limits.model_fields]


class CheckSpec(SettingsModel):
    """A command that speaks the Nagios plugin convention (exit 0 to 3, one line of text, perfdata)."""

    name: Text
    command: Annotated[str, StringConstraints(min_length=1, max_length=8000)]
    timeout: Timeout = timedelta(seconds=CHECK_SECONDS)


def _bytes(value: object) -> int:
    """Read a size such as `500`, `64k`, `1M` or `2G`: bytes, or powers of 1024 of them as find(1) takes them."""
    found = re.fullmatch(r"(\d{1,15})\s*(?:([kKMGT])(?:i?B)?|B)?", str(value).strip(), re.ASCII)
    if not found or isinstance(value, bool):
        raise ValueError(f'"{value}" is not a size; write for example 500, 64k, 1M or 2G')
    return int(found[1]) << 10 * " KMGT".index((found[2] or " ").upper())


Size = Annotated[
    int,
    BeforeValidator(_bytes),
    WithJsonSchema(
        {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": "^[0-9]+ *[kKMGTiB]*$"}]}
    ),
]
WORSE = "how bad it is when it is wrong: `warning` or `critical`"


class FileSpec(SettingsModel):
    """A file that has to exist, new and large enough: the newest match of a pattern."""

    text_means = "path"
    name: Text | None = Field(default=None, description="its name on the page")
    path: Annotated[str, StringConstraints(min_length=1, max_length=1000, pattern=r"^[^\x00\n]+$")] = Field(
        description="a path, or a pattern of the shell; the newest file that it finds is looked at"
    )
    newer_than: Timeout | None = Field(default=None, description="how old it may be")
    min_size: Size | None = Field(default=None, description="how large it has to be: bytes, or 64k, 1M, 2G")
    severity: Severity = Field(default=Severity.CRITICAL, description=WORSE)

    @property
    def title(self) -> str:
        """Its name: as given, else its path."""
        return self.name or self.path


class DeviceSpec(SettingsModel):
    """A device behind a remote, probed over TCP through the remote's SSH connection."""

    name: Text | None = Field(default=None, description="its name on the page")
    host: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=253, pattern=r"^\S+$")] = (
        Field(description="its name or address, as the remote sees it")
    )
    port: Port = Field(description="the TCP port that it listens on")
    tls: bool = Field(default=False, description="whether it speaks TLS there; then its certificate is looked at, too")
    severity: Severity = Field(default=Severity.CRITICAL, description=WORSE)

    @property
    def title(self) -> str:
        """Its name: as given, else host and port."""
        return self.name or f"{self.host}:{self.port}"


class UnitSpec(SettingsModel):
    """A systemd unit that has to be active, or the rule that no unit may have failed."""

    text_means = "unit"
    unit: (
        Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9:_.@\\-]{1,200}$"), AfterValidator(whole_unit)] | None
    ) = Field(default=None, description="a unit's name; without an ending it is a service")
    failed: Literal["none"] | None = Field(default=None, description="`none`: no unit at all may have failed")
    severity: Severity = Field(default=Severity.CRITICAL, description=WORSE)

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.unit is None) == (self.failed is None):
            raise ValueError("write either a unit, or `failed: none`")
        return self

    @property
    def title(self) -> str:
        """The unit's name, or the rule for all units."""
        return self.unit or "failed units"


class Escalation(SettingsModel):
    """Whom else to notify when a problem lasts."""

    after: Duration = Field(description="how long the problem has to last")
    notify: Tags = Field(description="the further tags to tell then")


class RemoteSettings(SettingsModel):
    """What can be set per remote, and so per group."""

    nickname: Text = Field(default="", description="the name shown to people")
    description: Text = Field(default="", description="what the remote is for")
    location: Text = Field(default="", description="where it stands")
    forwarded_port: Port | None = Field(
        default=None,
        description="the virtual port: a port on your machine that `remotestatus tunnel` maps to the remote",
    )
    processes: OneOrMore[ProcessSpec] = Field(
        default=(),
        description="processes that have to run: words as text, or a mapping with `command`, `regex` or `contains`",
    )
    limits: Limits = Field(default=Limits(), description=f"bounds for {', '.join(_LIMITS[:-1])} and {_LIMITS[-1]}")
    checks: Annotated[OneOrMore[CheckSpec], ForProbe()] = Field(
        default=(), description="commands that speak the Nagios plugin convention: `name`, `command`, `timeout`"
    )
    files: Annotated[OneOrMore[FileSpec], ForProbe()] = Field(
        default=(), description="files that have to be there: `name`, `path`, `newer_than`, `min_size`, `severity`"
    )
    units: Annotated[OneOrMore[UnitSpec], ForProbe()] = Field(
        default=(), description="systemd units that have to be active: names, or `unit`, `severity`; `failed: none`"
    )
    devices: Annotated[OneOrMore[DeviceSpec], ForProbe()] = Field(
        default=(), description="devices behind it: `name`, `host`, `port`, `tls`, `severity`"
    )
    look_at_proxies: bool = Field(
        default=False,
        description="of a proxy: whether it is probed as a remote is, which needs a shell there; its own processes, "
        "limits, checks, files, units and devices count then",
    )
    attempts: Annotated[int, Field(ge=1, le=5)] = Field(
        default=2, description="tries in one round before a remote counts as unreachable"
    )
    fail_after: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=1, description="bad rounds in a row before people are told"
    )
    recover_after: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=1, description="good rounds in a row before people are told"
    )
    timeout: Annotated[Timeout, ForProbe()] = Field(
        default=timedelta(seconds=REMOTE_SECONDS), description="what a remote may cost one round, all attempts together"
    )
    notify: Tags = Field(default=(), description="Apprise tags to tell; none given: every destination is told")
    escalate: OneOrMore[Escalation] = Field(
        default=(), description="`after` and `notify`: further tags when a problem lasts"
    )
    remind_every: Duration | None = Field(default=None, description="how often a problem that lasts is told again")
    maintenance: OneOrMore[Window] = Field(
        default=(), description="windows in which nobody is told and uptime is not counted"
    )

    @field_validator("processes", "checks", "files", "units", "devices")
    @classmethod
    def _distinct(
        cls, value: tuple[ProcessSpec | CheckSpec | FileSpec | UnitSpec | DeviceSpec, ...], info: ValidationInfo
    ) -> object:
        names = [spec.name if isinstance(spec, CheckSpec) else spec.title for spec in value]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice and info.field_name == "units":
            raise ValueError(f"the unit {twice[0]!r} is written twice")
        if twice:
            noun = {"processes": "process", "checks": "check", "files": "file"}.get(info.field_name or "", "device")
            raise ValueError(f"two entries have the same name {twice[0]!r}; give one {noun} another `name`")
        return value


class DestinationSpec(SettingsModel):
    """One destination of messages."""

    text_means = "url"
    url: Annotated[str, StringConstraints(min_length=1)] = Field(description="an Apprise URL; a secret, best vaulted")
    tags: Tags = Field(default=(), description="the tags that it is told for")
    name: Text | None = Field(default=None, description="its name wherever it is mentioned")
    from_: Severity = Field(
        default=Severity.WARNING, alias="from", description="`critical`: it is told of nothing that is less severe"
    )


class AnswerSource(SettingsModel):
    """A source of replies to messages: exactly one of `ntfy` and `imap`."""

    ntfy: Url | None = Field(default=None, description="the URL of an ntfy topic; a secret, best vaulted")
    token: Annotated[str, StringConstraints(min_length=1)] | None = Field(
        default=None, description="the access token of the ntfy topic"
    )
    imap: Annotated[str, StringConstraints(pattern=r"^imaps?://[^/\s]+:[^/\s]+@[^\s]+$")] | None = Field(
        default=None, description="a mailbox, `imaps://user:password@host/INBOX`; a secret, best vaulted"
    )
    address: Text | None = Field(default=None, description="where people are told to answer to")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.ntfy is None) == (self.imap is None):
            raise ValueError("write exactly one of ntfy or imap")
        if self.token and not self.ntfy:
            raise ValueError("`token` is for ntfy; write the mailbox's user and password into its URL")
        return self

    @property
    def place(self) -> str:
        """The address for replies, without secrets."""
        parts = urlsplit(str(self.ntfy or self.imap))
        if self.ntfy:
            return self.address or f"{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}"
        user = unquote(parts.username or "")
        return self.address or (user if "@" in user else f"{user}@{parts.hostname}")

    @property
    def key(self) -> str:
        """Its key in the history: a hash of its address without secrets."""
        parts = urlsplit(str(self.ntfy or self.imap))
        user = parts.username if self.imap else ""
        address = f"{user}@{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}"
        return hashlib.sha256(address.encode()).hexdigest()[:16]


class RegularReport(SettingsModel):
    """A regular report: by cron expression, or at an interval."""

    cron: Text | None = Field(default=None, description="five fields: when it is sent")
    every: Duration | None = Field(default=None, description="how often it is sent, for example 1w")
    timezone: Zone = Field(default="UTC", description="the zone of the cron expression")
    notify: Tags = Field(default=(), description="the tags that get it; none given: all")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.cron is None) == (self.every is None):
            raise ValueError("write exactly one of cron or every")
        return self

    @field_validator("cron")
    @classmethod
    def _can_be_read(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                CronSim(value, datetime(2026, 1, 1, tzinfo=UTC))
            except CronSimError as error:
                raise ValueError(
                    f'"{value}" is not a cron expression ({error}); write for example "0 8 * * MON"'
                ) from error
        return value


class QuietHours(SettingsModel):
    """Hours in which receivers are not notified: messages are held, then sent as a digest."""

    from_: time = Field(alias="from")
    until: time
    timezone: Zone = "UTC"
    tags: Tags = Field(default=(), description="the tags these hours are for; none given: all")
    let_down_pass: bool = Field(default=False, description="tell at once what is down all the same")

    @field_validator("from_", "until", mode="before")
    @classmethod
    def _sexagesimal(cls, value: object) -> object:
        """YAML 1.1 reads an unquoted 22:00 as the number 1320: minutes, in base sixty."""
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 24 * 60:
            return time(*divmod(value, 60))
        return value


CHECKER = "checker"
"""The name of the machine that runs the rounds, beside the names of workers."""


class WorkerSpec(SettingsModel):
    """Another machine that probes for the checker, by ansible-runner's `transmit | worker | process`."""

    text_means = "name"
    name: Tag = Field(description="a host of the inventory, or any name where `command` is given")
    only: Text | None = Field(
        default=None, description="an Ansible pattern: it looks at these remotes, and nobody else"
    )
    program: Text = Field(default="ansible-runner", description="where ansible-runner is on that host")
    command: Text | None = Field(
        default=None, description="what turns a transmit stream into a process stream, in place of SSH to that host"
    )
    vars: dict[Text, VariableValue] = Field(
        default_factory=dict, description="variables of what it looks at, as they are there"
    )
    secrets: bool = Field(default=False, description="whether passwords may be sent there")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.name == CHECKER:
            raise ValueError(f'"{CHECKER}" means the machine that runs the rounds; take another name')
        if self.command is not None and "program" in self.model_fields_set:
            raise ValueError("write either program or command, not both")
        if not self.secrets and any("pass" in name for name in self.vars):
            raise ValueError("a password in `vars` needs `secrets: true`")
        return self


class PageSpec(SettingsModel):
    """A further page of the same round, of all or a part of the fleet, public or not."""

    site: Text = Field(description="the folder that it is written to")
    limit: Text | None = Field(
        default=None, description="an Ansible pattern: it shows these remotes and tells of no others"
    )
    public: bool | None = Field(default=None, description="as `remotestatus_public`, which holds if it is not given")
    title: Text | None = Field(default=None, description="its title")
    logo: Text | None = Field(default=None, description="an image file shown beside the title")
    accent: Colour | None = Field(default=None, description="its accent colour, as #rrggbb")
    url: Url | None = Field(default=None, description="where it is served; messages link to it")
    templates: Text | None = Field(default=None, description="a folder of templates of its own")


class FleetSettings(SettingsModel):
    """What is set once for the whole inventory, in `group_vars/all`."""

    title: Text = Field(default="remotestatus", description="the page's title")
    logo: Text | None = Field(default=None, description="an image file shown beside the title")
    accent: Colour | None = Field(default=None, description="the page's accent colour, as #rrggbb")
    url: Url | None = Field(default=None, description="where the page is served")
    every: Duration = Field(default=timedelta(minutes=10), description="how often a round is run")
    site: Text = Field(default="site", description="the folder that the page is written to")
    database: Text = Field(default="history.sqlite3", description="the file that keeps the history")
    known_hosts: Text = Field(
        default="known_hosts", description="the file of trusted host keys, a line per remote and proxy under its name"
    )
    apprise: Annotated[str, StringConstraints(min_length=1)] | tuple[DestinationSpec, ...] = Field(
        default=(), description="Apprise URLs with their `tags`, or the path of an Apprise configuration file"
    )
    quiet_hours: OneOrMore[QuietHours] = Field(
        default=(), description="`from`, `until`, `timezone`, `tags`, `let_down_pass`"
    )
    answers: OneOrMore[AnswerSource] = Field(
        default=(), description="where messages are answered: `ntfy` (and `token`) or `imap`, and `address`"
    )
    report: RegularReport | None = Field(
        default=None, description="a regular report of what happened: `cron` (and `timezone`) or `every`, and `notify`"
    )
    heartbeat: Url | None = Field(default=None, description="a URL that is pinged after each finished round")
    retention: Duration = Field(default=timedelta(days=400), description="how long history is kept")
    backups: Annotated[int, Field(ge=0, le=366)] = Field(
        default=7, description="how many daily copies of the history are kept beside it; 0: none is made"
    )
    public: bool = Field(default=False, description="leave addresses, ports, users and raw errors off the page")
    forks: Annotated[int, Field(ge=1, le=500)] | Literal["auto"] = Field(
        default="auto", description="how many remotes are checked at the same time; `auto`: by the fleet's size"
    )
    keep_connections: bool = Field(default=False, description="keep SSH connections to the remotes between rounds")
    workers: OneOrMore[WorkerSpec] = Field(
        default=(), description="other machines that look too: `name`, `only`, `program`, `command`, `vars`, `secrets`"
    )

    pages: OneOrMore[PageSpec] = Field(
        default=(),
        description="further pages, of all or a part of the fleet: `site`, `limit`, `public`, `title`, `logo`, "
        "`accent`, `url`, `templates`",
    )

    @field_validator("pages")
    @classmethod
    def _apart(cls, value: tuple[PageSpec, ...], info: ValidationInfo) -> tuple[PageSpec, ...]:
        folders = [PurePath(str(info.data.get("site", "site"))), *(PurePath(page.site) for page in value)]
        for number, one in enumerate(folders):
            for other in folders[:number]:
                if one.is_relative_to(other) or other.is_relative_to(one):
                    raise ValueError(f'the site "{one}" of a page lies in that of another; give each one of its own')
        return value

    @field_validator("workers")
    @classmethod
    def _distinct_workers(cls, value: tuple[WorkerSpec, ...]) -> tuple[WorkerSpec, ...]:
        names = [worker.name for worker in value]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two workers have the same name {twice[0]!r}")
        return value


SECRET_SETTINGS = frozenset({"answers", "apprise", "checks", "heartbeat", "workers"})
"""Settings that may hold a password (in a URL, in a command): no error quotes their values."""


def remote_names() -> tuple[str, ...]:
    """The names, without prefix, of what can be set per remote."""
    return tuple(RemoteSettings.model_fields)


def probe_names() -> tuple[str, ...]:
    """Those that the probe needs."""
    return tuple(name for name, field in RemoteSettings.model_fields.items() if ForProbe() in field.metadata)


def fleet_names() -> tuple[str, ...]:
    """The names, without prefix, of what is set once for the whole inventory."""
    return tuple(FleetSettings.model_fields)
