"""
Writes the rows of the table of remotes as data, for the script of a page that is too large to hold them.

RemoteViews come in; a script file that only assigns one value goes out, so that it also works from a file. The order of
a row's values is that of `ROW` in `assets/page.js`.
"""

import json
from collections.abc import Mapping, Sequence
from itertools import groupby

from remotestatus.model.text import say_percent
from remotestatus.report.build import Group
from remotestatus.report.remote_view import RemoteView

_FOR_SCRIPT = str.maketrans({"<": "\\u003c", "\u2028": "\\u2028", "\u2029": "\\u2029"})


def write_row(remote: RemoteView) -> Sequence[object]:
    """What the table says of one remote."""
    percent = remote.uptime["90d"].percent
    trouble = remote.trouble
    return (
        remote.slug,
        remote.title,
        remote.name if remote.nickname else "",
        remote.word,
        remote.status.label if remote.maintenance is not None and remote.status.value != "up" else "",
        trouble.cause.value if trouble else "",
        remote.note,
        remote.running,
        int(remote.since.timestamp()),
        remote.location,
        remote.proxy or "",
        remote.remote_port,
        remote.virtual_port,
        "".join(f"{letter}{sum(1 for _ in run)}" for letter, run in groupby(remote.past.letters)),
        "" if percent is None else say_percent(percent),
    )


def write_rows(groups: Sequence[Group], rows: Mapping[str, Sequence[object]]) -> bytes:
    """The script file: the rows of each group, in the order of the page's groups; `rows` has those of each remote."""
    listed = [[rows[remote.name] for remote in group.remotes] for group in groups]
    text = json.dumps(listed, ensure_ascii=False, separators=(",", ":")).translate(_FOR_SCRIPT)
    return f'"use strict";\nconst fleetRows = {text};\n'.encode("utf-8", "replace")
