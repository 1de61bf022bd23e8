"""
Turns pydantic's errors about settings into a sentence for each wrong variable.

A value is quoted only if it cannot hold a secret: never of a setting that may hold one, never a list or a mapping,
never a URL, because it may name a user and a password. Keys of a mapping that may hold a secret are quoted only if they
are valid keys, or nearly.
"""

import json
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from remotestatus_playbook.protocol import PREFIX

from remotestatus.model.inventory_variables import SECRET_SETTINGS

_LONGEST = 60


def say_errors(error: ValidationError, model: type[BaseModel]) -> Iterator[tuple[str, str]]:
    """Each error: the variable, with the path to the wrong part of its value, and what is wrong with it."""
    for detail in error.errors(include_url=False, include_input=True, include_context=True):
        name = str(detail["loc"][0])
        secret = name in SECRET_SETTINGS
        steps = (detail["loc"][: end + 1] for end in range(1, len(detail["loc"])))
        path = "".join(_say_step(step, model, secret=secret) for step in steps)
        yield f"{PREFIX}{name}{path}", _say_error(detail, model, secret=secret)


def _say_step(path: Sequence[int | str], model: type[BaseModel], *, secret: bool) -> str:
    """The last step of a path, with its separator."""
    step = path[-1]
    if isinstance(step, int):
        return f"[{step}]"
    # pydantic also names the branches of a union, which are no part of the inventory.
    if step.startswith(("tuple[", "function-", "constrained-", "literal[", "str")):
        return ""
    hidden = not get_close_matches(step, _keys_beside(model, path)) if secret else _may_be_url(step)
    return "" if hidden else f".{step}"


def _say_error(detail: ErrorDetails, model: type[BaseModel], *, secret: bool) -> str:
    value = detail["input"]
    quotable = isinstance(value, str | int | float) and not secret and not _may_be_url(str(value))
    cause = detail.get("ctx", {}).get("error")
    if isinstance(cause, Exception):
        # Our own validators quote the value as it stands.
        return str(cause) if quotable else str(cause).replace(str(value), "...")
    message = detail["msg"][:1].lower() + detail["msg"][1:]
    if detail["type"] == "extra_forbidden":
        keys = _keys_beside(model, detail["loc"])
        near = get_close_matches(str(detail["loc"][-1]), keys, n=1)
        return f"no such key; did you mean {near[0]}?" if near else f"no such key; there are {', '.join(keys)}"
    if quotable and detail["type"] != "missing":
        return f"{json.dumps(value, ensure_ascii=False)[:_LONGEST]} is wrong: {message}"
    return message


def _may_be_url(text: str) -> bool:
    return "://" in text or "@" in text


def _keys_beside(model: type[BaseModel], path: Sequence[int | str]) -> list[str]:
    """
    The keys that may stand in place of a wrong one, as the inventory spells them.

    `path` leads from the model to the wrong key, as pydantic's errors give it: steps that are no fields (an index, a
    branch of a union) are passed over.
    """
    models = [model]
    for step in path[:-1]:
        annotations = [
            field.annotation
            for one in models
            for name, field in one.model_fields.items()
            if step in (name, field.alias)
        ]
        models = [inside for annotation in annotations for inside in _models_in(annotation)] or models
    return list(dict.fromkeys(field.alias or name for one in models for name, field in one.model_fields.items()))


def _models_in(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inside in get_args(annotation):
        yield from _models_in(inside)
