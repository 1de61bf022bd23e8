"""
Renders Jinja2 templates: the shipped ones, and those in a folder of somebody's own that stand in for them by name.

An unknown name in a template is an error, and an error names the file and the line. What is HTML or XML by its name
(`index.html.j2`) has every value escaped; plain text has none.
"""

import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from jinja2 import ChoiceLoader, Environment, FileSystemLoader, StrictUndefined, TemplateError, TemplateSyntaxError

from remotestatus.model.durations import say_duration
from remotestatus.model.text import count
from remotestatus.model.times import write_time
from remotestatus.shipped import report_templates

Filters = Mapping[str, Callable[..., object]]

_FILTERS: Filters = {"rfc3339": write_time, "span": say_duration, "count": count}
"""What every template has."""


class TemplateProblem(Exception):
    """A template could not be rendered; the text says where, why, and what to do."""


class Templates:
    """Templates by name: those in `folder` stand in for shipped ones. `filters` are added to the common ones."""

    def __init__(self, folder: Path | None = None, filters: Filters | None = None) -> None:
        self.folder = folder
        self.folders = (*([folder] if folder else []), report_templates())
        self.environment = Environment(
            loader=ChoiceLoader([FileSystemLoader(folder) for folder in self.folders]),
            autoescape=_escapes,  # noqa: S701 - all but plain text, see there
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self.environment.filters.update(_FILTERS)
        self.environment.filters.update(filters or {})

    def load(self) -> None:
        """Compile them all, where there is time for it; what is wrong with one is said when it is rendered."""
        with suppress(TemplateError, OSError, UnicodeDecodeError):
            for name in self.environment.list_templates(extensions=["j2"]):
                self.environment.get_template(name)

    def render(self, name: str, values: Mapping[str, object]) -> str:
        """Render one template. Raises TemplateProblem for whatever is wrong with it."""
        try:
            return self.environment.get_template(name).render(values)
        except Exception as error:
            raise TemplateProblem(
                f"{self._place(name, error)}: {error or type(error).__name__}; correct the template, or remove it to "
                "use the shipped one"
            ) from error

    def _place(self, name: str, error: Exception) -> str:
        if isinstance(error, TemplateSyntaxError):
            return f"{error.filename or error.name or name}, line {error.lineno}"
        for frame in reversed(traceback.extract_tb(error.__traceback__)):
            if frame.filename.startswith(tuple(str(folder) for folder in self.folders)):
                return f"{frame.filename}, line {frame.lineno}"
        return f"the template {error.message if isinstance(error, TemplateError) and not str(error) else name}"


def _escapes(name: str | None) -> bool:
    return name is None or not name.endswith((".txt.j2", ".yml.j2", ".service.j2", ".timer.j2"))
