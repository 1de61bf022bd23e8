"""
Describes every `remotestatus_` variable as JSON Schema and Markdown table, and finds the nearest to a wrong name.

Made from the two models of `inventory_variables`, as the validator is. The schema also accepts what the validator
accepts beyond the type (one process in place of a list, a number as text).
"""

import difflib
import re
import types
import typing
from datetime import timedelta
from typing import get_args, get_origin, get_type_hints

from annotated_types import Ge, Le
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic.json_schema import JsonSchemaValue as Schema
from remotestatus_playbook.protocol import PREFIX

from remotestatus.model.durations import write_duration
from remotestatus.model.inventory_variables import FleetSettings, RemoteSettings, fleet_names, remote_names
from remotestatus.model.setting_types import SettingsModel, TypeName

_TEMPLATE: Schema = {"type": "string", "pattern": r"\{\{|\{%", "title": "a template"}

_ALSO_TEXT = {model.__name__ for model in SettingsModel.__subclasses__() if model.text_means}
"""Models that a plain text may stand for."""

_OTHER_WORDS = {
    "alias": "nickname",
    "check_frequency": "every",
    "display_name": "nickname",
    "frequency": "every",
    "history": "database",
    "interval": "every",
    "label": "nickname",
    "local_port": "forwarded_port",
    "mail": "apprise",
    "name": "nickname",
    "notifications": "apprise",
    "output": "site",
    "place": "location",
    "process": "processes",
    "retries": "attempts",
    "users_to_notify": "apprise",
    "virtual_port": "forwarded_port",
}


def json_schema() -> Schema:
    """A JSON Schema (draft 2020-12) for a mapping of Ansible variables: a group_vars or host_vars file."""
    definitions: Schema = {}
    properties: Schema = {}
    for model, scope in ((RemoteSettings, "per remote or group"), (FleetSettings, "for the whole inventory")):
        schema = model.model_json_schema(by_alias=True)
        definitions |= schema.get("$defs", {})
        for name, field in model.model_fields.items():
            properties[f"{PREFIX}{name}"] = _property(schema["properties"][name], field, scope)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Variables of remotestatus in an Ansible inventory",
        "type": "object",
        "properties": properties,
        "propertyNames": {"if": {"pattern": f"^{PREFIX}"}, "then": {"enum": sorted(properties)}},
        "$defs": {name: _definition(name, schema) for name, schema in sorted(definitions.items())},
    }


def _property(schema: Schema, field: FieldInfo, scope: str) -> Schema:
    return {"description": f"{field.description} ({scope}; default: {_default(field)})", **_any_way(schema)}


def _definition(name: str, schema: Schema) -> Schema:
    if "properties" not in schema:
        return schema
    properties = {
        key: {word: value[word] for word in ("description",) if word in value} | _any_way(value)
        for key, value in schema["properties"].items()
    }
    model: Schema = {
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
        **({"required": schema["required"]} if "required" in schema else {}),
    }
    if name in _ALSO_TEXT:
        model = {"anyOf": [{"type": "string", "minLength": 1}, model]}
    return model | {"description": schema["description"]}


def _any_way(schema: Schema) -> Schema:
    """A property's schema, for each way to write its value and for a template."""
    body = {word: part for word, part in schema.items() if word not in ("default", "description", "title")}
    return {"anyOf": [*_alternatives(body), _TEMPLATE]}


def _alternatives(schema: Schema) -> list[Schema]:
    """The ways to write a value, with what the validators take beyond the type."""
    ways: list[Schema] = []
    for way in schema.get("anyOf", [schema]):
        match way:
            case {"type": "null"}:
                continue
            case {"type": "array", "items": items}:
                ways += [dict(way), *_alternatives(items)]
            case {"type": "string", "maxLength": _}:
                ways.append({**way, "type": ["string", "number"]})
            case {"type": "object", "additionalProperties": dict() as share}:
                ways += [dict(way), *_alternatives(share)]
            case _:
                ways.append(dict(way))
    return list({repr(way): way for way in ways}.values())


def variables_table() -> str:
    """A Markdown table for each of the two scopes: name, type, default, meaning."""
    parts = []
    for model, head in (
        (RemoteSettings, "Per remote, so also per group"),
        (FleetSettings, "For the whole inventory, in `group_vars/all`"),
    ):
        hints = get_type_hints(model, include_extras=True)
        rows = [
            f"| `{PREFIX}{name}` | {_name_type(hints[name])} | {_code(_default(field))} "
            f"| {_cell(field.description or '')} |"
            for name, field in model.model_fields.items()
        ]
        parts.append(
            "\n".join([f"**{head}**", "", "| variable | type | default | meaning |", "|---|---|---|---|", *rows])
        )
    return "\n\n".join(parts) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _code(text: str) -> str:
    return text if text == "none" else f"`{_cell(text)}`"


def _default(field: FieldInfo) -> str:
    """A default as written in the inventory; `none` where there is none."""
    match field.get_default(call_default_factory=True, validated_data={}):
        case None | "" | ():
            return "none"
        case bool() as value:
            return "true" if value else "false"
        case timedelta() as value if value.seconds == 0:
            return f"{value.days}d"
        case timedelta() as value:
            return write_duration(value)
        case BaseModel():
            return "none"
        case value:
            return str(value)


def _name_type(annotation: object) -> str:
    """What kind of value a setting takes, in words."""
    metadata = getattr(annotation, "__metadata__", ())
    bounds = {type(one): one for field in metadata if isinstance(field, FieldInfo) for one in field.metadata}
    for name in metadata:
        if isinstance(name, TypeName):
            return name.name
    match get_origin(annotation) or annotation:
        case types.UnionType | typing.Union:
            return " or ".join(_name_type(one) for one in get_args(annotation) if one is not types.NoneType)
        case typing.Literal:
            return " or ".join(f"`{word}`" for word in get_args(annotation))
        case typing.Annotated if bounds:
            return f"{bounds[Ge].ge} to {bounds[Le].le}"
        case typing.Annotated:
            return _name_type(get_args(annotation)[0])
        case origin if origin is tuple:
            return "list of texts or mappings" if get_args(annotation)[0].text_means else "list of mappings"
        case origin if origin is bool:
            return "true or false"
        case origin if isinstance(origin, type) and issubclass(origin, BaseModel):
            return "mapping"
        case _:
            return "text"


def nearest(name: str) -> str | None:
    """
    The variable that a wrong name most likely meant, or None: `remotestatus_proceses`, `Remotestatus-Nickname`,
    `nickname` without its prefix, or another word for the same thing.
    """
    plain = re.sub(r"[^a-z0-9]+", "_", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()).strip("_")
    short = re.sub(r"^(remotes?_?stat[a-z]*|rs)(_|$)", "", plain)
    prefixed = short != plain
    known = dict.fromkeys((*remote_names(), *fleet_names()))
    if short in known:
        return PREFIX + short
    if short in _OTHER_WORDS and (prefixed or short not in ("name", "process", "history", "output", "mail")):
        return PREFIX + _OTHER_WORDS[short]
    squeezed = {word.replace("_", ""): word for word in known}
    if short.replace("_", "") in squeezed:
        return PREFIX + squeezed[short.replace("_", "")]
    # A name without our prefix may well be another tool's variable, so it has to be closer.
    close = difflib.get_close_matches(short, (*known, *_OTHER_WORDS), n=1, cutoff=0.6 if prefixed else 0.85)
    return PREFIX + _OTHER_WORDS.get(close[0], close[0]) if close else None
