"""
Finds the shipped folders: the playbook and the templates.

Paths are absolute. In a wheel they are in `_shipped/` inside the package; in a checkout or an editable install, beside
it. Once this module is imported, what the package and the playbook's plugins share can be imported as
`remotestatus_playbook`.
"""

import sys
from contextlib import suppress
from pathlib import Path

from remotestatus.model.errors import RoundError

_PACKAGE = Path(__file__).resolve().parent


def playbooks() -> Path:
    """The folder of the playbook. Raises RoundError when the installation is incomplete."""
    return _folder("playbooks")


def report_templates() -> Path:
    """The folder of the templates. Raises RoundError when the installation is incomplete."""
    return _folder("report_templates")


def _folder(name: str) -> Path:
    for place in (_PACKAGE / "_shipped" / name, _PACKAGE.parent / name):
        if place.is_dir():
            return place
    raise RoundError(f"the folder {name} is missing from this installation: install remotestatus again")


with suppress(RoundError):
    sys.path.append(str(playbooks()))
