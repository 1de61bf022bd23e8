"""Reads an Ansible inventory into a Fleet, validates it, and describes its variables (JSON Schema, Markdown table)."""

from remotestatus.inventory.json_schema import json_schema, variables_table
from remotestatus.inventory.read import read_inventory, read_leniently
