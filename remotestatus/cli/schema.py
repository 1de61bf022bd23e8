"""
`remotestatus schema`: prints all variables, for editors (JSON Schema) and for people (Markdown).
"""

import json

import click

from remotestatus.inventory import json_schema, variables_table


@click.command("schema")
@click.option("--markdown", is_flag=True, help="Print a Markdown table for people instead.")
def command(*, markdown: bool) -> None:
    """
    Print the JSON Schema of all remotestatus_ variables.

    An editor that speaks YAML completes and checks them with it. Save it, and name it in the first line of a
    group_vars or host_vars file:

    \b
      remotestatus schema > remotestatus.schema.json
      # yaml-language-server: $schema=../../../remotestatus.schema.json
    """
    text = variables_table() if markdown else json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"
    click.echo(text, nl=False)
