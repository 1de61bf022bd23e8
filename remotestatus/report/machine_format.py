"""
What a machine format is: the files that it writes into the site, and the functions that make their text.

A module of `formats/` declares one as FORMAT. `publish` writes the files of all of them: a new format is a new module
there and nothing else.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from remotestatus.report.build import Report
from remotestatus.report.remote_view import RemoteView


@dataclass(frozen=True, slots=True)
class MachineFormat:
    """
    The files of one format, by their path in the site, with the function that returns a file's text.

    `remote_files` are written for each remote, with its slug in the place of `{slug}`. The functions of `templates`
    return the values for the template of the path's name instead: `feed.xml` is made by `feed.xml.j2`.
    """

    files: Mapping[str, Callable[[Report], str]] = field(default_factory=dict)
    remote_files: Mapping[str, Callable[[RemoteView], str]] = field(default_factory=dict)
    templates: Mapping[str, Callable[[Report], Mapping[str, object]]] = field(default_factory=dict)
