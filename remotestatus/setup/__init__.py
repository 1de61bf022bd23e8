"""Set-up and checks: a first inventory, host keys, the doctor, a timer, the import from Django."""

from remotestatus.setup.inventory_files import refuse_existing, save_files
from remotestatus.setup.inventory_writer import KNOWN_HOSTS_FILE, write_inventory
from remotestatus.setup.known_hosts import find_untrusted
from remotestatus.setup.new_fleet import NewFleet, NewHost, name_host, read_target
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
