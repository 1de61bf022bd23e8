"""The description of all variables: JSON Schema, table, and the nearest name to a wrong one."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from remotestatus.inventory.json_schema import json_schema, nearest, variables_table
from remotestatus.model.inventory_variables import FleetSettings, RemoteSettings, fleet_names, remote_names
from tests.lab import Command

NAMES = (*remote_names(), *fleet_names())

RIGHT = [
    "remotestatus_nickname: Hall A",
    "remotestatus_nickname: 42",
    "remotestatus_forwarded_port: 1001",
    "remotestatus_forwarded_port: '{{ base_port + 1 }}'",
    "remotestatus_processes: ssh",
    "remotestatus_processes: [ssh, {name: tunnel, command: ssh, min: 1, max: 2, user: tunnel}]",
    "remotestatus_limits: {disk: 90%, memory: 80, load: 2.5, clock: 30}",
    "remotestatus_limits: {disk: {/: 90%, /srv: 70}}",
    "remotestatus_checks: {name: disk, command: check_disk -w 10%, timeout: 5s}",
    "remotestatus_every: 10m",
    "remotestatus_timeout: 45",
    "remotestatus_timeout: 1m30s",
    "remotestatus_notify: admins",
    "remotestatus_notify: [admins, night]",
    "remotestatus_maintenance: {cron: '0 3 * * 0', for: 2h, timezone: Europe/Berlin}",
    "remotestatus_escalate: [{after: 1h, notify: boss}]",
    "remotestatus_apprise: apprise.yml",
    "remotestatus_apprise: [{url: 'json://localhost', tags: [admins]}]",
    "remotestatus_apprise: ['json://localhost']",
    "remotestatus_forks: auto",
    "remotestatus_forks: 20",
    "remotestatus_public: true",
    "ansible_host: 127.0.0.1",
]

WRONG = [
    "remotestatus_nickname: [a]",
    "remotestatus_forwarded_port: 70000",
    "remotestatus_proceses: ssh",
    "remotestatus_processes: [{comand: ssh}]",
    "remotestatus_limits: {dsk: 90%}",
    "remotestatus_every: ten",
    "remotestatus_public: perhaps",
    "remotestatus_forks: 0",
    "remotestatus_accent: red",
    "remotestatus_heartbeat: example.com",
]


def _schema_errors(text: str) -> list[Any]:
    return list(jsonschema.Draft202012Validator(json_schema()).iter_errors(yaml.safe_load(text)))


def test_the_schema_is_a_valid_schema() -> None:
    """It is JSON Schema, draft 2020-12, and survives being written as JSON."""
    jsonschema.Draft202012Validator.check_schema(json.loads(json.dumps(json_schema())))


@pytest.mark.parametrize("text", RIGHT)
def test_the_schema_takes_what_the_validator_takes(text: str) -> None:
    """A right value is right for the editor too, templates and short forms included."""
    assert _schema_errors(text) == []
    values = {name.removeprefix("remotestatus_"): value for name, value in yaml.safe_load(text).items()}
    for name, value in values.items():
        if "{{" not in str(value) and name in NAMES:
            model = RemoteSettings if name in remote_names() else FleetSettings
            model.model_validate({name: value})


@pytest.mark.parametrize("text", WRONG)
def test_the_schema_refuses_what_is_wrong(text: str) -> None:
    """A wrong value or an unknown name of ours is an error in the editor."""
    assert _schema_errors(text)


def test_every_variable_is_described() -> None:
    """Schema and table name every variable once, each with a meaning."""
    assert sorted(json_schema()["properties"]) == sorted(f"remotestatus_{name}" for name in NAMES)
    table = variables_table()
    for name in NAMES:
        assert table.count(f"| `remotestatus_{name}` |") == 1
    rows = [line for line in table.splitlines() if line.startswith("| `")]
    assert len(rows) == len(NAMES)
    assert all(len(row.split(" | ")) == 4 and row.split(" | ")[3].strip(" |") for row in rows)


@pytest.mark.parametrize("name", NAMES)
def test_a_right_name_is_its_own_nearest(name: str) -> None:
    """With and without prefix, in capitals and with dashes."""
    full = f"remotestatus_{name}"
    assert nearest(full) == nearest(name) == nearest(full.upper()) == nearest(full.replace("_", "-")) == full


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("remotestatus_proceses", "remotestatus_processes"),
        ("remotestatus_nick_name", "remotestatus_nickname"),
        ("remotestatusEvery", "remotestatus_every"),
        ("remote_status_sites", "remotestatus_site"),
        ("remotestatus_frequency", "remotestatus_every"),
        ("remotestatus_virtual_port", "remotestatus_forwarded_port"),
        ("remotestatus_limit", "remotestatus_limits"),
        ("proceses", "remotestatus_processes"),
        ("remotestatus_zzzzzz", None),
        ("remotestatus_", None),
        ("", None),
        ("ansible_timeout", None),
        ("ansible_port", None),
        ("http_port", None),
    ],
)
def test_a_near_miss_finds_what_was_meant(wrong: str, right: str | None) -> None:
    """A misspelt name gives the right one; what is far from everything, or not ours, gives none."""
    assert nearest(wrong) == right


def test_the_command_prints_both(remotestatus: Command, tmp_path: Path) -> None:
    """`remotestatus schema` prints JSON, with --markdown the table, and needs no inventory."""
    assert json.loads(remotestatus("schema", folder=tmp_path).stdout) == json_schema()
    assert remotestatus("schema", "--markdown", folder=tmp_path).stdout == variables_table()
