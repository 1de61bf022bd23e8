"""
Cleans text that came from elsewhere, once, before it is shown: for the page and what goes with it.

What the remotes, the inventory and ssh said comes in; single lines that HTML, XML and UTF-8 can carry go out. Escaping
is the templates' part.

Pure: the same inputs always give the same values.
"""

import re
from dataclasses import replace

from remotestatus.model.check_result import Finding, Trouble
from remotestatus.model.notification import Acknowledgement
from remotestatus.model.untrusted_text import one_line
from remotestatus.model.watched import DeviceResult, FileResult, UnitResult

_UNPRINTABLE = re.compile("[\ud800-\udfff\ufffe\uffff]")


def clean(text: str, limit: int = 300) -> str:
    """Fold text to one line that HTML, XML and UTF-8 can carry."""
    return _UNPRINTABLE.sub("\ufffd", one_line(text, limit))


def clean_trouble(trouble: Trouble) -> Trouble:
    """The same trouble in clean text."""
    return replace(
        trouble,
        message=clean(trouble.message, 800),
        hint=clean(trouble.hint, 800),
        detail=clean(trouble.detail),
        proxy=clean(trouble.proxy),
        what=clean(trouble.what),
        phrase=clean(trouble.phrase, 800),
        log=tuple(map(clean, trouble.log)),
    )


def clean_finding(finding: Finding) -> Finding:
    """The same finding in clean text."""
    return replace(
        finding,
        name=clean(finding.name),
        value=clean(finding.value, 500),
        wanted=clean(finding.wanted),
        perfdata=clean(finding.perfdata, 1000),
    )


def clean_file(file: FileResult) -> FileResult:
    """The same file in clean text."""
    return replace(file, name=clean(file.name), path=clean(file.path, 1000), sentence=clean(file.sentence))


def clean_unit(unit: UnitResult) -> UnitResult:
    """The same unit in clean text."""
    return replace(unit, unit=clean(unit.unit), sentence=clean(unit.sentence))


def clean_device(device: DeviceResult) -> DeviceResult:
    """The same device in clean text."""
    return replace(device, name=clean(device.name), host=clean(device.host), sentence=clean(device.sentence))


def clean_note(acknowledgement: Acknowledgement) -> Acknowledgement:
    """The same acknowledgement in clean text."""
    return replace(acknowledgement, note=clean(acknowledgement.note, 1000))
