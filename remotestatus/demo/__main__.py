"""
`python -m remotestatus.demo DIRECTORY [--keep]`: the process that a demo fleet lives in, until standard input closes.

With --keep it goes to the background and runs until it is stopped, for a day at most.
"""

import asyncio
import json
import os
import sys
from pathlib import Path

from remotestatus.demo.demo_fleet import APPRISE_VARIABLE, READY
from remotestatus.demo.fleet_process import serve
from remotestatus.demo.layout import Layout


def say_ready() -> None:
    """Tell the caller that all of the fleet runs."""
    sys.stdout.write(READY + "\n")
    sys.stdout.flush()
    # Whoever reads our standard output has read all there is, and need not stay.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)


def main(directory: Path, *, keep: bool) -> None:
    """Run the fleet of this directory."""
    if keep:
        if os.fork():
            os._exit(0)
        os.setsid()
    apprise = json.loads(os.environ.pop(APPRISE_VARIABLE, "[]"))
    asyncio.run(serve(Layout(directory.resolve()), apprise, say_ready, keep=keep))


if __name__ == "__main__":
    main(Path(sys.argv[1]), keep="--keep" in sys.argv[2:])
