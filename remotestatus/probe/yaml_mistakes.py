"""
Finds the first mistake in a YAML file of variables: a text comes in, its line and column go out.
"""

from collections.abc import Iterator
from contextlib import suppress

import yaml


def place_of_mistake(text: str) -> str:
    """Line and column, counted from one, or the line alone; empty when there is no mistake, or the text is vaulted."""
    if text.startswith("$ANSIBLE_VAULT;"):
        return ""
    try:
        node = yaml.compose(text, Loader=yaml.CSafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        return f"{mark.line + 1}:{mark.column + 1}" if mark else "1"
    except (yaml.YAMLError, RecursionError):
        return "1"
    with suppress(RecursionError):
        return next(_odd_keys(node), "")
    return ""


def _odd_keys(node: yaml.Node | None) -> Iterator[str]:
    """Where a key is there twice, or is a template without quotes, which YAML reads as a mapping."""
    seen = set()
    for item in node.value if node is not None and not isinstance(node.value, str) else ():
        key, value = item if isinstance(item, tuple) else (None, item)
        if key is not None and (not isinstance(key.value, str) or key.value in seen):
            yield f"{key.start_mark.line + 1}:{key.start_mark.column + 1}"
        elif key is not None:
            seen.add(key.value)
        yield from _odd_keys(value)
