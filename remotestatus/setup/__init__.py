"""
Setting up and examining: a first inventory, host keys, the doctor, a timer, the import from Django.
"""

from remotestatus.setup.inventory_files import (
    CONFIGURATION_FILE,
    refuse_existing,
    save_files,
    vault_setting,
    write_file,
)
from remotestatus.setup.inventory_writer import KNOWN_HOSTS_FILE, write_inventory
from remotestatus.setup.key_scan import without_debugging
from remotestatus.setup.known_hosts import find_untrusted
from remotestatus.setup.new_fleet import NewFleet, NewProxy, NewRemote, name_host, read_target
from remotestatus.setup.ssh_hosts import read_ssh_configuration
from remotestatus.setup.timer_units import (
    MARK,
    Schedule,
    add_cron_line,
    cron_line,
    next_round,
    remove_cron_line,
    service_text,
    timer_text,
    unit_folder,
)
from remotestatus.setup.trust_keys import Offer, Standing, trust

__all__ = [
    "CONFIGURATION_FILE",
    "KNOWN_HOSTS_FILE",
    "MARK",
    "NewFleet",
    "NewProxy",
    "NewRemote",
    "Offer",
    "Schedule",
    "Standing",
    "add_cron_line",
    "cron_line",
    "find_untrusted",
    "name_host",
    "next_round",
    "read_ssh_configuration",
    "read_target",
    "refuse_existing",
    "remove_cron_line",
    "save_files",
    "service_text",
    "timer_text",
    "trust",
    "unit_folder",
    "vault_setting",
    "without_debugging",
    "write_file",
    "write_inventory",
]
