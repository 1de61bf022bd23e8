"""
Decides which remotes a receiver is notified of, and to which of several pages its messages link.

Messages link to the smallest page with all remotes of the receiver. So a customer gets the customer's page, and a
receiver of everything the page of everything. Pure: no clock and no network.
"""

from remotestatus.model.fleet import Fleet, Remote
from remotestatus.model.inventory_variables import FleetSettings, RegularReport
from remotestatus.model.notification import Receiver
from remotestatus.model.states import Kind, Subject


def settings_for(receiver: Receiver, fleet: Fleet) -> FleetSettings:
    """The fleet's settings, with the address of the page that this receiver's messages link to."""
    if not fleet.pages:
        return fleet.settings
    told = frozenset(remote.name for remote in fleet.remotes if may_be_told(receiver, remote))
    holding = [page for page in fleet.pages if page.spec.url and told <= page.names]
    smallest = min(holding, key=lambda page: len(page.names), default=None)
    if smallest is None or (fleet.settings.url and len(smallest.names) == len(fleet.remotes)):
        return fleet.settings
    return fleet.settings.model_copy(update={"url": smallest.spec.url})


def may_be_told(receiver: Receiver, remote: Remote) -> bool:
    """Whether a receiver is notified of a remote, at once or by escalation."""
    settings = remote.settings
    tags = {*settings.notify, *(tag for step in settings.escalate for tag in step.notify)}
    return not settings.notify or not tags.isdisjoint(receiver.tags)


def is_for(spec: RegularReport, receiver: Receiver) -> bool:
    """Whether a receiver gets the regular report."""
    return not spec.notify or not set(spec.notify).isdisjoint(receiver.tags)


def told_of(fleet: Fleet, receiver: Receiver) -> list[Subject]:
    """The proxies and remotes that a receiver is notified of."""
    remotes = [remote for remote in fleet.remotes if may_be_told(receiver, remote)]
    passed = {name for remote in remotes for name in remote.path}
    proxies = [(Kind.PROXY, proxy.name) for proxy in fleet.proxies if proxy.name in passed]
    return [*proxies, *((Kind.REMOTE, remote.name) for remote in remotes)]
