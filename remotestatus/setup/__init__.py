"""
What a person does before the first round: a first inventory, host keys, the doctor, a timer.
"""

from remotestatus.setup.inventory_writer import (
    KNOWN_HOSTS_FILE,
    VAULT_FILE,
    PasswordStore,
    write_inventory,
)
from remotestatus.setup.key_scan import without_debugging
from remotestatus.setup.known_hosts import find_untrusted
from remotestatus.setup.new_fleet import Answers, NewProxy, NewRemote, Target, name_host, read_target
from remotestatus.setup.ssh_hosts import fleet_from_ssh, list_ssh_hosts, read_ssh_answer
from remotestatus.setup.timer_units import (
    MARK,
    Schedule,
    add_cron_line,
    cron_line,
    next_round,
    remove_cron_line,
    service_text,
    timer_text,
)
from remotestatus.setup.trust_keys import Offer, Standing, trust

__all__ = [
    "KNOWN_HOSTS_FILE",
    "MARK",
    "VAULT_FILE",
    "Answers",
    "NewProxy",
    "NewRemote",
    "Offer",
    "PasswordStore",
    "Schedule",
    "Standing",
    "Target",
    "add_cron_line",
    "cron_line",
    "find_untrusted",
    "fleet_from_ssh",
    "list_ssh_hosts",
    "name_host",
    "next_round",
    "read_ssh_answer",
    "read_target",
    "remove_cron_line",
    "service_text",
    "timer_text",
    "trust",
    "without_debugging",
    "write_inventory",
]
