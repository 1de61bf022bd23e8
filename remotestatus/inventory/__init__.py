"""
Ansible inventory -> Fleet: reading, validation, JSON Schema, table of variables.
"""

from remotestatus.inventory.json_schema import json_schema, variables_table
from remotestatus.inventory.read import read_inventory, read_leniently
