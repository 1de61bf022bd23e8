"""What is said of a wrong value of a setting, and that it never holds a secret."""

import pytest
from pydantic import BaseModel, ValidationError

from remotestatus.inventory.validation_messages import say_errors
from remotestatus.model.inventory_variables import FleetSettings, RemoteSettings

SECRET = "hunter2"


def _errors(model: type[BaseModel], **values: object) -> list[str]:
    with pytest.raises(ValidationError) as raised:
        model.model_validate(values)
    return [f"{variable}: {message}" for variable, message in say_errors(raised.value, model)]


@pytest.mark.parametrize(
    ("model", "values", "said"),
    [
        (RemoteSettings, {"checks": f"check_web -p {SECRET}"}, "remotestatus_checks[0]: input should be"),
        (RemoteSettings, {"checks": [{"command": f"check_web -p {SECRET}"}]}, "remotestatus_checks[0].name: field"),
        (RemoteSettings, {"checks": {"name": "web", "command": ["-p", SECRET]}}, "remotestatus_checks[0].command: in"),
        (RemoteSettings, {"checks": {"name": "web", "comand": SECRET}}, "no such key; did you mean command?"),
        (RemoteSettings, {"checks": {"name": "w", "command": "x", "timeout": f"-p {SECRET}"}}, "is not a duration"),
        (RemoteSettings, {"checks": [{"name": f"ssh://kim:{SECRET}@a"}]}, "remotestatus_checks[0].command: field"),
        (RemoteSettings, {"notify": [f"mailto://kim:{SECRET}@example.com"]}, "remotestatus_notify[0]: string should"),
        (
            RemoteSettings,
            {"limits": {f"mailto://kim:{SECRET}@x.org": 1}},
            "remotestatus_limits: no such key; there are",
        ),
        (RemoteSettings, {"forwarded_port": {"url": SECRET}}, "remotestatus_forwarded_port: input should be"),
        (
            FleetSettings,
            {"heartbeat": f"htps://kim:{SECRET}@example.com/ping"},
            "remotestatus_heartbeat: string",
        ),
        (FleetSettings, {"url": f"htps://kim:{SECRET}@example.com"}, "remotestatus_url: string should match"),
        (FleetSettings, {"every": f"https://kim:{SECRET}@example.com"}, "is not a duration"),
        (FleetSettings, {"every": [{"url": f"mailto://kim:{SECRET}@x.org"}]}, "is not a duration"),
        (RemoteSettings, {"checks": [{SECRET: "x"}]}, "remotestatus_checks[0]: no such key; there are name"),
        (
            FleetSettings,
            {"apprise": [{f"mailto://kim:{SECRET}@example.com": ["a"]}]},
            "no such key; there are url",
        ),
        (FleetSettings, {"apprise": [{"ulr": f"mailto://kim:{SECRET}@x.org"}]}, "apprise[0].ulr: no such key; did you"),
        (FleetSettings, {"apprise": {"url": f"mailto://kim:{SECRET}@x.org"}}, "remotestatus_apprise: input should be"),
    ],
)
def test_no_error_quotes_what_may_be_a_secret(model: type[BaseModel], values: dict[str, object], said: str) -> None:
    """Of commands, URLs and keys that are URLs an error says where it stands and what is wrong, and no more."""
    errors = "\n".join(_errors(model, **values))
    assert said in errors
    assert SECRET not in errors


@pytest.mark.parametrize(
    ("model", "values", "said"),
    [
        (RemoteSettings, {"attempts": 9}, "remotestatus_attempts: 9 is wrong: input should be less than or equal to 5"),
        (
            RemoteSettings,
            {"limits": {"disk": {"/srv": "much"}}},
            'remotestatus_limits.disk./srv: "much" is not a perc',
        ),
        (
            FleetSettings,
            {"every": "ten"},
            'remotestatus_every: "ten" is not a duration; write for example 10m',
        ),
        (FleetSettings, {"accent": "red"}, 'remotestatus_accent: "red" is wrong: string should match pattern'),
    ],
)
def test_any_other_value_is_quoted(model: type[BaseModel], values: dict[str, object], said: str) -> None:
    """A wrong number or word stands in the error, so that it is found in the inventory."""
    assert "\n".join(_errors(model, **values)).startswith(said)
