"""
The command line: one file per command, and what they share. Only this package prints, exits and reads the clock.

A command raises RemotestatusError for what a person can correct; here it becomes a sentence on standard error and an
exit code: 2 for wrong configuration or usage, 3 for what could not be done.
"""

import gc
import importlib
import sys

import click

from remotestatus import __version__
from remotestatus.cli.encoding import allow_stand_ins
from remotestatus.model.errors import RemotestatusError, say_os_error

COMMANDS = (
    *("run", "status", "watch", "demo", "init", "doctor", "trust", "match", "ssh", "tunnel", "ssh-config", "notify"),
    *("ack", "maintenance", "note", "schedule", "import-django", "schema"),
)
"""Each name is also that of a module with a click command named `command`, which is loaded on use."""


class Commands(click.Group):
    """The group of all commands; each module is loaded only on use, because Ansible loads slowly."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(f"remotestatus.cli.{cmd_name.replace('-', '_')}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands with their whole first sentence, which click would cut to one line."""
        commands = ((name, self.get_command(ctx, name)) for name in COMMANDS)
        with formatter.section("Commands"):
            formatter.write_dl([(name, one.get_short_help_str(limit=1000)) for name, one in commands if one])


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Begin with `remotestatus demo` to see it work, or `remotestatus init` for a fleet of your own. "
    'For completion of names in bash: eval "$(_REMOTESTATUS_COMPLETE=bash_source remotestatus)".',
)
@click.version_option(__version__, prog_name="remotestatus")
def group() -> None:
    """
    Show which boxes behind a reverse-SSH proxy can be reached, whether they run their processes, and why not.

    An Ansible inventory lists what is checked. A timer runs `remotestatus run`; each round updates one static page,
    keeps a history, and sends one message when something changed.
    """


def main() -> None:
    allow_stand_ins()
    # Loading modules makes no garbage, but Python would search for some after every 700 new objects.
    gc.set_threshold(10_000)
    try:
        group.main(prog_name="remotestatus", standalone_mode=False)
    except RemotestatusError as error:
        click.echo(f"remotestatus: {error}", err=True)
        sys.exit(error.exit_code)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except OSError as error:
        click.echo(f"remotestatus: {say_os_error(error)}", err=True)
        sys.exit(3)
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped", err=True)
        sys.exit(130)
