"""`remotestatus trust`: collects host keys through the proxies, shows their fingerprints, and asks."""

import json
import sys
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass, field

import click
from rich.console import Console, RenderableType
from rich.status import Status
from rich.text import Text

from remotestatus.cli.fleet_table import NAMED, trouble_lines
from remotestatus.cli.log_in_options import with_log_in
from remotestatus.cli.options import choose, remote_argument
from remotestatus.cli.ssh_session import known_names, note
from remotestatus.cli.terminal import Column, RowTable, make_console, paragraph, print_lines, text_of
from remotestatus.inventory import read_inventory
from remotestatus.model.fleet import Inventory, Proxy, Remote
from remotestatus.model.text import count, join_names
from remotestatus.probe import AnsibleSource, PlaybookRunner
from remotestatus.setup import Offer, Standing, trust

_STYLES = {
    Standing.TRUSTED: "green",
    Standing.NEW: "yellow",
    Standing.CHANGED: "bold red",
    Standing.UNREACHABLE: "magenta",
}
_COLUMNS: tuple[Column[Offer], ...] = (
    Column("State", lambda offer: (_say_standing(offer.standing), _STYLES[offer.standing]), widest=12),
    Column("Host", lambda offer: offer.name, shrinks=True),
    Column("", lambda offer: "proxy" if offer.is_proxy else "", rank=2),
    Column("Type", lambda offer: offer.kind, rank=1),
    Column(
        "Fingerprint",
        lambda offer: offer.fingerprint or (offer.trouble.cause.value if offer.trouble else ""),
        widest=60,
    ),
)


def _say_standing(standing: Standing) -> str:
    return standing.upper() if standing is Standing.CHANGED else str(standing)


@click.command()
@remote_argument("names", nargs=-1, required=False, proxies=True)
@click.option("-y", "--yes", is_flag=True, help="Trust new keys without asking, for scripts. Never a changed one.")
@click.option(
    "--replace", "replaced", multiple=True, metavar="NAME", help="Trust the key that NAME presents now, if it changed."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, and ask nothing.")
@with_log_in
def command(
    source: AnsibleSource, names: tuple[str, ...], yes: bool, replaced: tuple[str, ...], *, as_json: bool
) -> None:
    """
    Collect the host keys of all remotes (or of these) and of the proxies on the way, and trust them.

    Each key is fetched through the remote's own proxy and shown by its fingerprint. Compare it with what
    `ssh-keygen -l -f /etc/ssh/ssh_host_ed25519_key.pub` says on the machine itself before you trust it. Trusted keys
    go into the file that remotestatus_known_hosts names, under the names of the inventory.

    A key that has changed since it was trusted is only replaced if you agree to that key, here or by --replace.

    Exit code 0: all that was asked for is trusted now. 2: there was something to ask, and nobody to answer. 3: some
    could not be reached, or are not trusted.
    """
    console = make_console(stderr=as_json)
    with PlaybookRunner(source) as playbooks:
        inventory = read_inventory(playbooks.describe_inventory())
        known = known_names(inventory)
        agreed = frozenset(choose(replaced, known))
        wanted = choose([*names, *agreed], known) or _everything(inventory, limited=source.limit is not None)
        with console.status("Collecting host keys") as spinner:
            asker = _Asker(console, spinner, yes=yes, agreed=agreed, quiet=as_json)
            offers = trust(playbooks, inventory, wanted, asker)
    if as_json:
        click.echo(json.dumps([_values(offer) for offer in offers], indent=1, ensure_ascii=False))
    else:
        print_lines(console, _end_lines(offers, inventory, asker))
    if asker.unanswered:
        note(
            f"nobody is here to ask about the new keys of {join_names(asker.unanswered, NAMED)}: "
            "run it in a terminal, or with --yes if you trust the network this once"
        )
        sys.exit(2)
    if any(offer.standing is not Standing.TRUSTED for offer in offers):
        sys.exit(3)


def _everything(inventory: Inventory, *, limited: bool) -> list[str]:
    """The remotes of the limit; without one, all remotes, and also proxies that no remote uses yet."""
    remotes = [remote for remote in inventory.fleet.remotes if remote.name in inventory.limited_to]
    key_names = inventory.ssh.key_names
    used = {key_names.get(hop, hop) for remote in remotes for hop in remote.path}
    idle = [] if limited else [proxy.name for proxy in inventory.fleet.proxies]
    return [*(name for name in idle if key_names.get(name, name) not in used), *(remote.name for remote in remotes)]


@dataclass
class _Asker:
    """Shows a batch of keys and asks which to trust: the `consent` argument of `trust`."""

    console: Console
    spinner: Status
    yes: bool
    agreed: Collection[str]
    quiet: bool
    unanswered: list[str] = field(default_factory=list)
    declined: list[str] = field(default_factory=list)

    def __call__(self, offers: Sequence[Offer]) -> Collection[str]:
        self.spinner.stop()
        if not self.quiet:
            print_lines(self.console, _stage_lines(offers))
        accepted = {*self._ask_new(offers), *self._ask_changed(offers)}
        self.spinner.start()
        return accepted

    @property
    def _can_ask(self) -> bool:
        return sys.stdin.isatty() and not self.quiet

    def _ask_new(self, offers: Sequence[Offer]) -> list[str]:
        new = [offer.name for offer in offers if offer.standing is Standing.NEW]
        if not new or self.yes:
            return new
        if not self._can_ask:
            self.unanswered += new
            return []
        question = f"Trust the new key of {new[0]}?" if len(new) == 1 else f"Trust these {len(new)} new keys?"
        return new if click.confirm(question, default=False) else []

    def _ask_changed(self, offers: Sequence[Offer]) -> Iterator[str]:
        for offer in offers:
            if offer.standing is not Standing.CHANGED or offer.key is None:
                continue
            if offer.name in self.agreed:
                yield offer.name
            elif self._can_ask and not self.yes:
                print_lines(self.console, _changed_lines(offer))
                if click.confirm(f"Replace the trusted key of {offer.name}?", default=False):
                    yield offer.name
                else:
                    self.declined.append(offer.name)


def _stage_lines(offers: Sequence[Offer]) -> Iterator[RenderableType]:
    yield RowTable(_COLUMNS, offers)
    for offer in offers:
        if offer.same_as and offer.standing is not Standing.TRUSTED:
            yield paragraph(
                (f"{offer.name} presents the key that is trusted for {join_names(offer.same_as, NAMED)}.", "yellow"),
                " Unless they are one machine, a tunnel leads to the wrong one.",
            )
    yield Text()


def _changed_lines(offer: Offer) -> Iterator[RenderableType]:
    yield paragraph(
        (f"{offer.name} presents another key than the one that is trusted.", "bold red"),
        " It was reinstalled, or something else answers in its place.",
    )
    for key in offer.known:
        yield text_of(f"  trusted:   {key.kind} {key.fingerprint}")
    yield text_of(f"  presented: {offer.kind} {offer.fingerprint}")


def _end_lines(offers: Sequence[Offer], inventory: Inventory, asker: _Asker) -> Iterator[RenderableType]:
    """What was not reached and why, what is still changed and the cure, and what was written."""
    closed = {offer.name for offer in offers if offer.trouble or offer.standing is not Standing.TRUSTED}
    for offer in offers:
        if offer.trouble and not _follows_from(offer, closed, inventory):
            yield paragraph((offer.name, "bold"))
            yield from trouble_lines(offer.trouble)
    hidden = [offer.name for offer in offers if offer.trouble and _follows_from(offer, closed, inventory)]
    if hidden:
        yield paragraph(f"Not asked, because the way to it is closed: {join_names(hidden, NAMED)}")
    for offer in offers:
        if offer.standing is Standing.CHANGED and offer.key:
            if offer.name not in asker.declined:
                yield from _changed_lines(offer)
            yield paragraph(
                ("Try: ", "bold"),
                f"if {offer.name} was reinstalled, `remotestatus trust --replace {offer.name}`; if not, find out who "
                "answers there.",
                indent=2,
                hang=4,
            )
    stored = [offer.name for offer in offers if offer.stored]
    if stored:
        yield paragraph(f"Wrote {count(len(stored), 'key')} to {inventory.known_hosts}: {join_names(stored, NAMED)}")
    trusted = sum(offer.standing is Standing.TRUSTED for offer in offers)
    yield paragraph(f"Trusted: {trusted} of {len(offers)}.")


def _follows_from(offer: Offer, closed: Collection[str], inventory: Inventory) -> bool:
    """Whether it was not reached only because a proxy on its way was not reached."""
    subjects: Sequence[Remote | Proxy] = inventory.fleet.proxies if offer.is_proxy else inventory.fleet.remotes
    return any(hop in closed for one in subjects if one.name == offer.name for hop in one.path)


def _values(offer: Offer) -> dict[str, object]:
    return {
        "name": offer.name,
        "kind": "proxy" if offer.is_proxy else "remote",
        "standing": offer.standing,
        "stored": offer.stored,
        "key_type": offer.kind or None,
        "fingerprint": offer.fingerprint or None,
        "trusted_before": [key.fingerprint for key in offer.known],
        "same_as": list(offer.same_as),
        "trouble": asdict(offer.trouble) if offer.trouble else None,
    }
