"""
Reads what the old Django app's settings and `remotes.py` files say, without executing them.

`read_project` returns the new fleet and its gaps; `rename_host_keys` the lines of its known_hosts.
"""

from remotestatus.setup.django.old_fleet import OldFleet, read_project
from remotestatus.setup.django.old_host_keys import rename_host_keys
from remotestatus.setup.django.project import Gap
