"""`remotestatus note`: a text for the readers of the page, about one remote or proxy, or about all."""

from collections.abc import Iterable

import click

from remotestatus.cli.opened_inventory import open_inventory
from remotestatus.cli.options import choose, now, with_inventory
from remotestatus.cli.ssh_session import known_names
from remotestatus.cli.time_options import read_end, say_local
from remotestatus.history import History, add_note, current_notes, remove_notes
from remotestatus.model.notes import Note
from remotestatus.model.untrusted_text import one_line
from remotestatus.probe import AnsibleSource

_LONGEST = 1000


@click.command("note")
@click.argument("words", metavar="[REMOTE] TEXT", nargs=-1)
@with_inventory
@click.option("--all", "everybody", is_flag=True, help="About all: the note stands at the top of the page.")
@click.option("--for", "lasting", metavar="DURATION", help="For so long, for example 2h.")
@click.option("--until", metavar="TIME", help='Until then: 22:30, or "2026-01-31 22:30".')
@click.option("--clear", is_flag=True, help="Take the notes about REMOTE, or with --all those about all, away.")
@click.option("--list", "listing", is_flag=True, help="List the notes that hold; with REMOTE or --all those about it.")
def command(
    source: AnsibleSource,
    words: tuple[str, ...],
    everybody: bool,
    lasting: str | None,
    until: str | None,
    *,
    clear: bool,
    listing: bool,
) -> None:
    """
    Write a note for the readers of the page, about a REMOTE (or proxy), or with --all about all of them.

    It stands on the page and in the feed from the next round on, until its time is over or it is taken away. Nobody is
    notified of it.
    """
    moment = now()
    end = read_end(lasting, until, moment)
    name, text = _read_words(words, everybody=everybody, without_text=clear or listing)
    if clear and name is None:
        raise click.UsageError("write whose notes to take away: `note capture-1 --clear`, or `note --all --clear`")
    inventory = open_inventory(source)
    if name:
        (name,) = choose([name], known_names(inventory))
    about = name or "all"
    with History.open(inventory.database) as history:
        if listing:
            click.echo("\n".join(note_lines(current_notes(history, moment), name)))
            return
        assert name is not None
        if clear:
            gone = remove_notes(history, name)
            click.echo(f"Taken away: the notes about {about}." if gone else f"There is no note about {about}.")
        else:
            add_note(history, name, text, moment, end)
            lasts = f" until {say_local(end)}" if end else ""
            click.echo(f"Noted about {about}{lasts}; on the page from the next round on.")


def _read_words(words: tuple[str, ...], *, everybody: bool, without_text: bool) -> tuple[str | None, str]:
    """The name (empty for all, None if not given) and the text."""
    if without_text and not words and not everybody:
        return None, ""
    if len(words) != (not everybody) + (not without_text):
        raise click.UsageError(
            'write about what, and one text in quotes: `note capture-1 "a text"`, or `note --all "a text"`'
        )
    text = "" if without_text else one_line(words[-1], _LONGEST)
    if not text and not without_text:
        raise click.UsageError("the text is empty")
    return "" if everybody else words[0], text


def note_lines(notes: Iterable[Note], name: str | None) -> list[str]:
    """A line for each note; with `name`, only its own; an empty one means notes about all."""
    found = [note for note in notes if name in (None, note.name)]
    lines = []
    for note in found:
        until = f" until {say_local(note.until)}" if note.until else ""
        lines.append(f"{note.name or 'all'}, since {say_local(note.at)}{until}: {note.text}")
    about = "" if name is None else f" about {name or 'all'}"
    return lines or [f"There are no notes{about}."]
