"""
Finds the machine formats: the modules of `formats/`, each of which declares its files as FORMAT.
"""

from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from remotestatus.report import formats


@cache
def all_formats() -> Mapping[str, Callable[[Any], str | Mapping[str, object]]]:
    """
    Return what writes each file, by its path in the site. One with `{slug}` in its path is written for each remote.

    Its function takes the report, or the remote, and returns the text, or the values for the template of the path's
    name: `feed.xml` is made by `feed.xml.j2`.
    """
    modules = sorted(found.name for found in iter_modules(formats.__path__))
    return {
        path: write for name in modules for path, write in import_module(f"{formats.__name__}.{name}").FORMAT.items()
    }
