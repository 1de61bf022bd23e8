"""
Reads the inventory for commands that run no round.

It is not part of `options`, because `run` starts before the inventory package is loaded.
"""

from remotestatus.model.fleet import Inventory
from remotestatus.probe import AnsibleSource


def open_inventory(source: AnsibleSource) -> Inventory:
    """Read and validate the inventory; connects to nothing. Raises ConfigurationError with all problems."""
    from remotestatus.inventory import read_inventory
    from remotestatus.probe import PlaybookRunner

    with PlaybookRunner(source) as runner:
        return read_inventory(runner.describe_inventory())
