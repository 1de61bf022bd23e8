"""
`remotestatus schema`: prints all variables, or all keys of status.json: as a JSON Schema, or as a table.
"""

import json
from collections.abc import Mapping

import click

from remotestatus.inventory import json_schema, variables_table
from remotestatus.report import status_schema, status_table


@click.command("schema")
@click.option("--markdown", is_flag=True, help="Print a Markdown table for people instead.")
@click.option("--status", is_flag=True, help="Print the JSON Schema of status.json instead.")
def command(*, markdown: bool, status: bool) -> None:
    """
    Print the JSON Schema of all remotestatus_ variables, or of status.json.

    An editor that speaks YAML completes and checks them with it. Save it, and name it in the first line of a
    group_vars or host_vars file:

    \b
      remotestatus schema > remotestatus.schema.json
      # yaml-language-server: $schema=../../../remotestatus.schema.json
    """
    if status:
        text = status_table() if markdown else _write(status_schema())
    else:
        text = variables_table() if markdown else _write(json_schema())
    click.echo(text, nl=False)


def _write(schema: Mapping[str, object]) -> str:
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
