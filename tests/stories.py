"""
Stories for the tests of notifications: a fleet, and rounds in which something is wrong or not.

A Story keeps the states and the memory as the history file would, without one, so that a rule of *when* can be written
as a table of rounds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from remotestatus.evaluate.fleet_states import policy_of
from remotestatus.evaluate.make_trouble import explain
from remotestatus.evaluate.state_machine import next_state
from remotestatus.history import History, outbox
from remotestatus.model.acknowledgement import Acknowledgement
from remotestatus.model.causes import Cause
from remotestatus.model.check_result import Trouble, most_severe_first
from remotestatus.model.fleet import Fleet, Proxy, Remote
from remotestatus.model.inventory_variables import FleetSettings, RemoteSettings
from remotestatus.model.messages import Message
from remotestatus.model.notification import Notification, Plan, Receiver
from remotestatus.model.receiver_memory import NotificationMemory
from remotestatus.model.rounds import Round
from remotestatus.model.states import Kind, Policy, State, StateChange, Subject
from remotestatus.model.status_words import Severity
from remotestatus.model.windows import CommandWindow
from remotestatus.notify.compose import compose_message
from remotestatus.notify.decide import plan_notifications
from remotestatus.templates import Templates

START = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
EVERY = timedelta(minutes=10)
OPS = Receiver("id ops", "ops")
TEMPLATES = Templates()

LETTERS: Mapping[str, Cause | None] = {
    "u": None,
    "d": Cause.TUNNEL_DOWN,
    "g": Cause.PROCESS_MISSING,
    "n": Cause.NOT_CHECKED,
    "p": Cause.PROXY_UNREACHABLE,
    "x": Cause.CONNECTION_TIMEOUT,
}
"""One check result, as one letter: up, down, degraded (g), not checked, behind a dead proxy, direct timeout (x)."""

FINDINGS = ":"
"""What begins so is a list of findings, a letter each: processes that are missing, critical where it is a capital."""


def make_fleet(
    remotes: Mapping[str, Mapping[str, Any]] | int = 1,
    *,
    proxies: tuple[str, ...] = ("jump",),
    behind: Mapping[str, str] | None = None,
    **settings: Any,
) -> Fleet:
    """A fleet of remotes behind the first proxy: a number of them (`r1`, `r2`, ...), or a mapping with settings."""
    each = {f"r{number}": {} for number in range(1, remotes + 1)} if isinstance(remotes, int) else remotes
    made = []
    for number, (name, own) in enumerate(each.items()):
        proxy = (behind or {}).get(name, proxies[0] if proxies else "")
        made.append(
            Remote(
                name=name,
                groups=("boxes",),
                settings=RemoteSettings.model_validate(own),
                address="127.0.0.1",
                port=8001 + number,
                user="admin",
                path=(proxy,) if proxy else (),
            )
        )
    jumps = tuple(Proxy(name, name, f"{name}.example.com", 22, "tunnel") for name in proxies)
    return Fleet(tuple(made), jumps, FleetSettings.model_validate(settings))


def troubles_of(fleet: Fleet, subject: Subject, letter: str) -> tuple[Trouble, ...]:
    """The troubles that a letter of LETTERS stands for, or several letters after FINDINGS."""
    if letter.startswith(FINDINGS):
        remote = fleet.remotes_by_name[subject[1]]
        return most_severe_first(
            explain(
                Cause.PROCESS_MISSING,
                remote,
                names=[one.lower()],
                severity=Severity.CRITICAL if one.isupper() else Severity.WARNING,
            )
            for one in letter.removeprefix(FINDINGS)
        )
    cause = LETTERS[letter]
    if cause is None:
        return ()
    kind, name = subject
    if kind is Kind.PROXY:
        proxy = next(proxy for proxy in fleet.proxies if proxy.name == name)
        return (explain(cause, proxy),)
    return (explain(cause, fleet.remotes_by_name[name], names=["encoder"]),)


def check_round(
    fleet: Fleet,
    states: Mapping[Subject, State],
    found: Mapping[str, str],
    now: datetime,
    windows: Sequence[CommandWindow] = (),
) -> list[StateChange]:
    """
    Evaluate one round. `found` maps names to letters; what it leaves out is up, and behind a dead proxy it is unknown.
    """
    changes = []
    dead = {proxy.name for proxy in fleet.proxies if found.get(proxy.name, "u") != "u"}
    for proxy in fleet.proxies:
        subject = (Kind.PROXY, proxy.name)
        troubles = troubles_of(fleet, subject, found.get(proxy.name, "u"))
        changes.append(next_state(*subject, states.get(subject), troubles, Policy(), now))
    for remote in fleet.remotes:
        subject = (Kind.REMOTE, remote.name)
        letter = "p" if dead & set(remote.path) else found.get(remote.name, "u")
        policy = policy_of(subject, fleet, windows, now)
        changes.append(next_state(*subject, states.get(subject), troubles_of(fleet, subject, letter), policy, now))
    return changes


def record_round(
    history: History, fleet: Fleet, found: Mapping[str, str], receivers: Sequence[Receiver], now: datetime
) -> dict[Subject, State]:
    """Record one round with its messages in a real history file, and return the states after it."""
    changes = check_round(fleet, history.states(), found, now)
    states = {(change.state.kind, change.state.name): change.state for change in changes}
    with history.transaction():
        history.record(Round(0, now, now, len(fleet.remotes)), changes, ())
        plan = plan_notifications(fleet, states, receivers, outbox.read_memory(history, now), now)
        outbox.add(history, plan, [compose_message(one, fleet, TEMPLATES) for one in plan.notifications])
    return states


@dataclass
class Story:
    """A fleet over some rounds, with all that is remembered between them."""

    fleet: Fleet
    receivers: tuple[Receiver, ...] = (OPS,)
    now: datetime = START
    states: dict[Subject, State] = field(default_factory=dict)
    memory: NotificationMemory = field(default_factory=NotificationMemory)
    last: Plan | None = None

    def round(self, found: Mapping[str, str] | None = None, *, after: timedelta = EVERY) -> dict[str, Message]:
        """Have one round and return the message of each receiver by its name."""
        for change in check_round(self.fleet, self.states, found or {}, self.now, self.memory.windows):
            self.states[change.state.kind, change.state.name] = change.state
        self.last = plan_notifications(self.fleet, self.states, self.receivers, self.memory, self.now)
        known = {key: state for key, state in {**self.memory.known, **self.last.known}.items() if state is not None}
        acknowledged = {
            subject: one for subject, one in self.memory.acknowledged.items() if subject not in self.last.recovered
        }
        self.memory = replace(self.memory, known=known, acknowledged=acknowledged)
        self.now += after
        return {one.receiver.name: compose_message(one, self.fleet, TEMPLATES) for one in self.last.notifications}

    def acknowledge(self, name: str, until: datetime | None = None) -> None:
        """Acknowledge a remote's problem."""
        acknowledged = {**self.memory.acknowledged, (Kind.REMOTE, name): Acknowledgement(self.now, until)}
        self.memory = replace(self.memory, acknowledged=acknowledged)

    def maintain(self, target: str, lasting: timedelta, *, starts: datetime | None = None) -> None:
        """Open a maintenance window by command."""
        begun = starts or self.now
        window = CommandWindow(len(self.memory.windows) + 1, target, begun, begun + lasting)
        self.memory = replace(self.memory, windows=(*self.memory.windows, window))

    def reasons(self, name: str) -> list[str]:
        """Why the last round sent or did not send something about one subject."""
        assert self.last is not None
        return [decision.words for decision in self.last.decisions if decision.subject[1] == name]

    def notifications(self) -> tuple[Notification, ...]:
        """What the last round sends, before it is put into words."""
        assert self.last is not None
        return self.last.notifications
