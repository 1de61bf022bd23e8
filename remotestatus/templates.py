"""
Renders Jinja2 templates: the shipped ones, and those in a custom folder that override them by name.

An unknown name in a template is an error, with file and line. Values are escaped in templates that are HTML or XML by
name (`index.html.j2`), not in plain text. A file `x.j2` can be imported as `x.txt.j2` and as `x.html.j2`, so that both
share sentences; the name decides on escaping.
"""

import re
import shlex
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path

import jinja2

from remotestatus.model.durations import say_duration
from remotestatus.model.status_words import APPEARANCES
from remotestatus.model.text import count, join_names, lower_first, say_percent, write_number
from remotestatus.model.times import say_moment, write_time
from remotestatus.shipped import report_templates

Filters = Mapping[str, Callable[..., object]]

_FILTERS: Filters = {
    "rfc3339": write_time,
    "moment": say_moment,
    "span": say_duration,
    "number": write_number,
    "count": count,
    "percent": say_percent,
    "names": join_names,
    "lower_first": lower_first,
    "quoted": shlex.quote,
    "spoken": lambda word: APPEARANCES[word].spoken if word in APPEARANCES else word,
}
"""The filters of every template."""

_CURE = "correct the template, or remove it to use the shipped one"


class TemplateProblem(Exception):
    """A template could not be rendered; the text says where, why, and what to do."""


class Templates:
    """
    Templates by name: those in `folder` override shipped ones. `filters` are added to the common ones.

    `problems` are those of `render_or_shipped`.
    """

    def __init__(self, folder: Path | None = None, filters: Filters | None = None) -> None:
        self.folder = folder
        self.filters = filters or {}
        self.folders = (*([folder] if folder else []), report_templates())
        self.problems: list[str] = []
        self.environment = jinja2.Environment(
            loader=_Loader(self.folders),
            autoescape=_escapes,  # noqa: S701 - all but plain text, see there
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self.environment.filters.update(_FILTERS)
        self.environment.filters.update(self.filters)

    def load(self) -> None:
        """Compile the templates of a usual round in advance; errors are reported on rendering."""
        with suppress(jinja2.TemplateError, OSError, UnicodeDecodeError):
            for name in self.environment.list_templates(
                filter_func=lambda name: name.endswith(".j2") and not name.startswith(("setup/", "messages/"))
            ):
                self.environment.get_template(name)

    def render(self, name: str, values: Mapping[str, object]) -> str:
        """Render one template. Raises TemplateProblem for whatever is wrong with it."""
        try:
            return self.environment.get_template(name).render(values)
        except Exception as error:
            raise TemplateProblem(f"{self._place(name, error)}: {error or type(error).__name__}; {_CURE}") from error

    def render_or_shipped(self, name: str, values: Mapping[str, object]) -> str:
        """
        Render one template; an empty result is an error.

        If a custom one is broken, that is noted in `problems`, and the shipped one is used.
        """
        try:
            written = self.render(name, values).strip()
            if not written:
                raise TemplateProblem(f"{self.environment.get_template(name).filename}: it writes nothing; {_CURE}")
            return written
        except TemplateProblem as problem:
            if not self.folder:
                raise
            if str(problem) not in self.problems:
                self.problems.append(str(problem))
            return self._shipped.render_or_shipped(name, values)

    @cached_property
    def _shipped(self) -> "Templates":
        return Templates(filters=self.filters)

    def _place(self, name: str, error: Exception) -> str:
        if isinstance(error, jinja2.TemplateSyntaxError):
            return f"{error.filename or error.name or name}, line {error.lineno}"
        for frame in reversed(traceback.extract_tb(error.__traceback__)):
            if frame.filename.startswith(tuple(str(folder) for folder in self.folders)):
                return f"{frame.filename}, line {frame.lineno}"
        return f"the template {error.message if isinstance(error, jinja2.TemplateError) and not str(error) else name}"


class _Loader(jinja2.FileSystemLoader):
    """Finds `x.j2` where neither `x.txt.j2` nor `x.html.j2` is a file."""

    def get_source(self, environment: jinja2.Environment, template: str) -> tuple[str, str, Callable[[], bool]]:
        try:
            return super().get_source(environment, template)
        except jinja2.TemplateNotFound:
            shared = re.sub(r"\.(txt|html)\.j2$", ".j2", template)
            if shared not in self.list_templates():
                raise
            return super().get_source(environment, shared)


def _escapes(name: str | None) -> bool:
    return name is None or not name.endswith((".txt.j2", ".yml.j2", ".service.j2", ".timer.j2"))
