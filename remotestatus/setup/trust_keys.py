"""
Collects the host keys of proxies and remotes, proxies first, and stores those that a person confirms.

A function argument asks the person. A proxy's key has to be trusted before a connection through it is opened. That one
connection is then used for everything behind it.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from remotestatus_playbook.protocol import OPENING, HostAnswer, Order, Outcome, ProxyAnswer

from remotestatus.evaluate import diagnose
from remotestatus.model.causes import Cause
from remotestatus.model.check_result import Trouble
from remotestatus.model.errors import RoundError
from remotestatus.model.fleet import Fleet, Inventory, Proxy, Remote
from remotestatus.probe import PlaybookRunner
from remotestatus.setup import key_scan, known_hosts
from remotestatus.setup.known_hosts import HostKey

AT_ONCE = 16
"""Servers scanned at the same time."""

_USERS_OWN = ("~/.ssh/known_hosts", "~/.ssh/known_hosts2")


class Standing(StrEnum):
    """The trust in a host's key."""

    TRUSTED = "trusted"
    NEW = "new"
    CHANGED = "changed"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True)
class Offer:
    """
    The key that one host presented, and its trust status.

    `known` are the keys that were trusted for it before, `same_as` the other hosts that are trusted by the same key.
    `stored` tells whether it was written just now.
    """

    name: str
    is_proxy: bool
    standing: Standing
    kind: str = ""
    fingerprint: str = ""
    key: HostKey | None = None
    known: tuple[HostKey, ...] = ()
    same_as: tuple[str, ...] = ()
    trouble: Trouble | None = None
    stored: bool = False
    looked_up_as: str = ""


Consent = Callable[[Sequence[Offer]], Collection[str]]
"""Asks about the keys of one stage; returns the names whose new or changed key to trust."""


@dataclass(frozen=True, slots=True)
class _Target:
    subject: Remote | Proxy
    arguments: Sequence[str]
    hops: tuple[Proxy, ...]

    @property
    def name(self) -> str:
        return self.subject.name


def trust(playbooks: PlaybookRunner, inventory: Inventory, names: Iterable[str], consent: Consent) -> list[Offer]:
    """
    Fetch the keys of these hosts and of the proxies before them; store those that `consent` returns.

    Raises RoundError when the known_hosts file can't be written, or Ansible did not run.
    """
    targets = _targets(inventory, names)
    offers: dict[str, Offer] = {}
    for depth in sorted({len(target.hops) for target in targets}):
        stage = [target for target in targets if len(target.hops) == depth]
        trusted = [target for target in stage if all(_is_trusted(hop, offers) for hop in target.hops)]
        opened = _open_connections(playbooks, inventory, trusted) if depth else {}
        reachable = [target for target in trusted if all(_answers(hop, opened) for hop in target.hops)]
        found = _ask_all(playbooks, inventory, reachable)
        found |= {target.name: _not_asked(target, offers, opened) for target in stage if target not in reachable}
        offers |= _note_troubles(inventory.fleet, offers, opened)
        stage_offers = [found[target.name] for target in stage]
        offers |= _store(inventory, stage_offers, set(consent(stage_offers)))
    return list(offers.values())


def _targets(inventory: Inventory, names: Iterable[str]) -> list[_Target]:
    """The hosts to scan, each once; the proxies of a remote's path come first."""
    fleet, access = inventory.fleet, inventory.ssh
    remotes = {remote.name: remote for remote in fleet.remotes if remote.connection == "ssh"}
    found: dict[str, _Target] = {}

    def add_hops(hops: Sequence[Proxy]) -> None:
        for number, hop in enumerate(hops):
            found.setdefault(hop.name, _Target(hop, access.proxies[hop.alias], tuple(hops[:number])))

    wanted = list(names)
    for name in wanted:
        if name in remotes:
            add_hops(fleet.hops(remotes[name].path))
    for name in wanted:
        proxy = next((proxy for proxy in fleet.proxies if proxy.name == name), None)
        if name in remotes:
            remote = remotes[name]
            found.setdefault(name, _Target(remote, access.hosts[name], fleet.hops(remote.path)))
        elif proxy is not None and name not in found:
            add_hops(fleet.hops((*proxy.path, proxy.name)))
    return list(found.values())


def _is_trusted(hop: Proxy, offers: Mapping[str, Offer]) -> bool:
    return offers[hop.name].standing is Standing.TRUSTED


def _open_connections(
    playbooks: PlaybookRunner, inventory: Inventory, targets: Sequence[_Target]
) -> Mapping[str, ProxyAnswer]:
    """Open one connection to each proxy before these, unless it is open. Returns the answers by alias."""
    listed = inventory.ssh.hosts.keys() - {remote.name for remote in inventory.fleet.remotes}
    names: set[str] = set()
    for target in targets:
        if isinstance(target.subject, Remote):
            names.add(target.name)
        elif target.hops[-1].name in listed:
            names.add(target.hops[-1].name)
        else:
            names |= {remote.name for remote in inventory.fleet.behind(target.name)}
    if not names:
        return {}
    answers = playbooks.probe(Order(names=tuple(sorted(names)), proxies_only=True))
    if answers.trouble:
        raise RoundError(answers.trouble)
    return answers.proxies


def _answers(hop: Proxy, opened: Mapping[str, ProxyAnswer]) -> bool:
    return hop.alias in opened and opened[hop.alias].outcome is Outcome.ANSWERED


def _ask_all(playbooks: PlaybookRunner, inventory: Inventory, targets: Sequence[_Target]) -> dict[str, Offer]:
    own_file = inventory.known_hosts
    text = known_hosts.read_file(own_file)
    owners = _owners(text)

    def ask(target: _Target) -> Offer:
        subject = target.subject
        is_proxy = isinstance(subject, Proxy)
        outsider = isinstance(subject, Proxy) and not subject.in_inventory
        answer = key_scan.ask(
            playbooks.ssh_config,
            target.arguments,
            [f'"{own_file}"', *(_USERS_OWN if outsider else ())],
            {OPENING: "1"} if is_proxy else {},
        )
        if not answer.fingerprint:
            outcome = Outcome.TIMED_OUT if answer.timed_out else Outcome.SSH_FAILED
            trouble = diagnose(subject, HostAnswer(outcome, stderr=key_scan.without_debugging(answer.text)))
            return Offer(target.name, is_proxy, Standing.UNREACHABLE, trouble=trouble)
        return _compare(target, answer, inventory, text, owners)

    if not targets:
        return {}
    pool = ThreadPoolExecutor(max_workers=min(AT_ONCE, len(targets)))
    try:
        return dict(zip((target.name for target in targets), pool.map(ask, targets), strict=True))
    finally:
        # After Ctrl-C do not wait: their processes end with the round's directory.
        pool.shutdown(wait=False, cancel_futures=True)


def _compare(
    target: _Target, answer: key_scan.KeyScan, inventory: Inventory, text: str, owners: Mapping[str, Sequence[str]]
) -> Offer:
    """Compare the presented key with the known_hosts file (`text`)."""
    subject = target.subject
    name = target.name
    if isinstance(subject, Proxy):
        own_name = inventory.ssh.key_names.get(name, name)
        name = answer.name if not subject.in_inventory and answer.name else own_name
    known = known_hosts.keys_of(text, name)
    standing = Standing.TRUSTED if answer.trusted else Standing.CHANGED if known or not answer.key else Standing.NEW
    return Offer(
        name=target.name,
        is_proxy=isinstance(subject, Proxy),
        standing=standing,
        kind=known_hosts.kind_of(answer.type),
        fingerprint=answer.fingerprint,
        key=answer.key,
        known=known,
        same_as=tuple(owner for owner in owners.get(answer.fingerprint, ()) if owner != name),
        trouble=_revoked(target.name, inventory.known_hosts) if answer.revoked else None,
        looked_up_as=name,
    )


def _revoked(name: str, file: Path) -> Trouble:
    return Trouble(
        Cause.HOST_KEY_CHANGED,
        f"{name} presents a key that is revoked in {file}.",
        f"Find out who answers there. If it is {name}, make it a new host key; a revoked one is not trusted again "
        "unless its @revoked line is removed.",
    )


def _owners(text: str) -> dict[str, list[str]]:
    owners: dict[str, list[str]] = {}
    for key, names in known_hosts.list_keys(text):
        owners.setdefault(key.fingerprint, []).extend(names)
    return owners


def _not_asked(target: _Target, offers: Mapping[str, Offer], opened: Mapping[str, ProxyAnswer]) -> Offer:
    """The Offer of a host that could not be reached, with the trouble of the first failing proxy."""
    untrusted = next((hop.name for hop in target.hops if not _is_trusted(hop, offers)), None)
    if untrusted is not None and offers[untrusted].standing is not Standing.UNREACHABLE:
        trouble = Trouble(
            Cause.PROXY_UNREACHABLE,
            f"Not asked: the host key of its proxy {untrusted} is not trusted.",
            f"Compare its fingerprint and trust it first: `remotestatus trust {untrusted}`.",
        )
    else:
        blocked = untrusted or next((hop.name for hop in target.hops if not _answers(hop, opened)), "")
        trouble = diagnose(target.subject, HostAnswer(Outcome.PROXY_DOWN, proxy=blocked))
    return Offer(target.name, isinstance(target.subject, Proxy), Standing.UNREACHABLE, trouble=trouble)


def _note_troubles(fleet: Fleet, offers: Mapping[str, Offer], opened: Mapping[str, ProxyAnswer]) -> dict[str, Offer]:
    """The trusted proxies that failed nevertheless, with their troubles."""
    noted = {}
    for proxy in fleet.proxies:
        answer = opened.get(proxy.alias)
        offer = offers.get(proxy.name)
        if answer is None or offer is None or answer.outcome is Outcome.ANSWERED or offer.trouble:
            continue
        trouble = diagnose(proxy, answer)
        if trouble.cause not in (Cause.PROXY_UNREACHABLE, Cause.HOST_KEY_UNKNOWN):
            noted[proxy.name] = replace(offer, trouble=trouble)
    return noted


def _store(inventory: Inventory, offers: Sequence[Offer], accepted: Collection[str]) -> dict[str, Offer]:
    """Trust the keys of those that are accepted; returns how all of them stand then."""
    keys = {offer.name: offer.key for offer in offers if offer.name in accepted and offer.key}

    def change(text: str) -> str:
        for offer in offers:
            if key := keys.get(offer.name):
                write = known_hosts.replace if offer.standing is Standing.CHANGED else known_hosts.add
                text = write(text, offer.looked_up_as, key)
        return text

    if keys:
        known_hosts.change_file(inventory.known_hosts, change)
    return {
        offer.name: replace(offer, standing=Standing.TRUSTED, stored=True) if offer.name in keys else offer
        for offer in offers
    }
