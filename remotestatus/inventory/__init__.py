"""
Ansible inventory -> Fleet: reading, validation, JSON Schema, table of variables.
"""

from remotestatus.inventory.read import read_inventory, read_leniently
from remotestatus.inventory.settings_schema import json_schema, variables_table

__all__ = ["json_schema", "read_inventory", "read_leniently", "variables_table"]
