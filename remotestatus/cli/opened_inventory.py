"""
Opens the inventory for a command that connects to nothing, or does so by itself.

Apart from the options, because `run` begins before all that is loaded which knows what an inventory is.
"""

from remotestatus.model.fleet import Inventory
from remotestatus.probe import AnsibleSource


def open_inventory(source: AnsibleSource) -> Inventory:
    """Read and validate the inventory; connects to nothing. Raises ConfigurationError with all problems."""
    from remotestatus.inventory import read_inventory
    from remotestatus.probe import PlaybookRunner

    with PlaybookRunner(source) as runner:
        return read_inventory(runner.describe_inventory())
