"""
Groups problems by root cause, so that one fault is one entry.

The worst is first. A proxy or worker that does not answer is one entry with all remotes that could not be checked
because of it; remotes behind one proxy that failed in the same way in the same round are one entry too.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from remotestatus.model.acknowledgement import Acknowledgement
from remotestatus.model.causes import Cause
from remotestatus.model.check_result import HasTroubles, Trouble
from remotestatus.model.status_words import Severity, Status
from remotestatus.model.text import count
from remotestatus.report.proxy_view import ProxyView
from remotestatus.report.remote_view import RemoteView
from remotestatus.report.worker_view import WorkerView

TOGETHER = 3
"""This many remotes with the same failure at the same time have one root cause."""

_LEAST = Severity.WARNING
_SAME_TIME = timedelta(seconds=90)


@dataclass(frozen=True, slots=True)
class RootCause(HasTroubles):
    """
    One root cause: subject, since when, troubles, and the remotes that it affects.

    `subject` says what is wrong ("tunnel-proxy", "12 remotes behind tunnel-proxy"), `slug` is the page of the one
    remote or proxy that it is about, else empty; `affected` are the remotes that are part of it.
    """

    status: Status
    kind: str
    subject: str
    since: datetime
    troubles: tuple[Trouble, ...]
    unconfirmed: str = ""
    name: str = ""
    slug: str = ""
    location: str = ""
    affected: tuple[RemoteView, ...] = ()
    acknowledged: Acknowledgement | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The remotes and the proxy that it is about."""
        return (*([self.name] if self.name else []), *(remote.name for remote in self.affected))

    @property
    def rank(self) -> int:
        """Its order within a status: 1 critical, 0 warning."""
        return max((trouble.severity.rank for trouble in self.troubles), default=0)


def find_root_causes(
    remotes: Sequence[RemoteView], proxies: Sequence[ProxyView], workers: Sequence[WorkerView] = ()
) -> tuple[RootCause, ...]:
    """Find all root causes, the worst first: by status, severity, number of affected remotes, and the newest first."""
    dead = {proxy.name: proxy for proxy in proxies if _is_dead(proxy)}
    roots = {name: proxy for name, proxy in dead.items() if _root(proxy.path, dead) is None}
    behind: dict[str, list[RemoteView]] = {name: [] for name in roots}
    idle: dict[str, list[RemoteView]] = {worker.name: [] for worker in workers if worker.status is not Status.UP}
    others: list[RemoteView] = []
    for remote in remotes:
        if not remote.needs_attention:
            continue
        if remote.worker in idle and remote.trouble and remote.trouble.cause is Cause.WORKER_UNREACHABLE:
            idle[remote.worker].append(remote)
            continue
        root = _root(remote.path, dead)
        if root is not None and remote.trouble and remote.trouble.cause is Cause.PROXY_UNREACHABLE:
            behind[root].append(remote)
        else:
            others.append(remote)
    found = [_of_one("proxy", f"Proxy {name}", proxy, behind[name]) for name, proxy in roots.items()]
    # Its tunnels still work, so the remotes behind it are not affected.
    found += [_of_one("proxy", f"Proxy {one.name}", one) for one in proxies if one.status is Status.DEGRADED]
    found += [_of_one("worker", f"Worker {one.name}", one, idle[one.name]) for one in workers if one.name in idle]
    found += _of_remotes(others)
    found.sort(key=lambda one: one.since, reverse=True)
    found.sort(key=lambda one: (one.acknowledged is not None, -one.status.rank, -one.rank, -len(one.affected)))
    return tuple(found)


def _is_dead(proxy: ProxyView) -> bool:
    """Whether it does not answer; one that was not checked because its worker failed is not dead."""
    unasked = proxy.trouble is not None and proxy.trouble.cause is Cause.WORKER_UNREACHABLE
    return not proxy.status.is_reached and not unasked


def _root(path: Iterable[str], dead: dict[str, ProxyView]) -> str | None:
    return next((name for name in path if name in dead), None)


def _of_one(
    kind: str, subject: str, view: RemoteView | ProxyView | WorkerView, affected: Sequence[RemoteView] = ()
) -> RootCause:
    """Make the root cause of one remote, proxy or worker; a worker has no page, and only a remote a location."""
    return RootCause(
        status=view.status,
        kind=kind,
        subject=subject,
        name=view.name,
        slug=getattr(view, "slug", ""),
        location=getattr(view, "location", ""),
        since=view.since,
        troubles=view.summary,
        unconfirmed=getattr(view, "unconfirmed", ""),
        affected=tuple(affected),
        acknowledged=view.acknowledged,
    )


def _of_remotes(remotes: Iterable[RemoteView]) -> Iterator[RootCause]:
    alike: dict[tuple[str | None, Cause | None, str], list[RemoteView]] = {}
    for remote in remotes:
        cause = remote.trouble.cause if remote.trouble else None
        alike.setdefault((remote.proxy, cause, _own_fault(remote)), []).append(remote)
    for (proxy, cause, _), several in alike.items():
        for group in _at_the_same_time(several):
            if len(group) >= TOGETHER and cause is not None:
                yield _of_group(proxy, cause, group)
            else:
                yield from (_of_one("remote", remote.title, remote) for remote in group)


def _own_fault(remote: RemoteView) -> str:
    """Return the checker's fault without the remote's name: different faults have no common root cause."""
    trouble = remote.trouble
    if _is_by_plugin(remote):
        return remote.connection
    return trouble.message.replace(remote.name, "") if trouble and trouble.cause is Cause.CHECKER_ERROR else ""


def _is_by_plugin(remote: RemoteView) -> bool:
    """Whether a connection plugin of Ansible, such as docker's, could not connect."""
    trouble = remote.trouble
    return trouble is not None and trouble.cause is Cause.CONNECTION_LOST and remote.connection not in ("ssh", "local")


def _at_the_same_time(remotes: Iterable[RemoteView]) -> Iterator[list[RemoteView]]:
    group: list[RemoteView] = []
    for remote in sorted(remotes, key=lambda remote: remote.since):
        if group and remote.since - group[0].since > _SAME_TIME:
            yield group
            group = []
        group.append(remote)
    if group:
        yield group


def _of_group(proxy: str | None, cause: Cause, group: Sequence[RemoteView]) -> RootCause:
    where = f"behind {proxy}" if proxy else "without a proxy"
    shared = f"the proxy {proxy}, its network" if proxy else "the network"
    hint = f"It happened to all of them at once: look first at what they share, {shared}, or the last change."
    message, detail = cause.declaration.public, ""
    if cause is Cause.UNSUPPORTED:
        hint = cause.declaration.hint
    elif _is_by_plugin(group[0]) and (first := group[0].trouble) is not None and first.message != message:
        message = f"Ansible's connection {group[0].connection} did not reach them."
        hint = hint.replace(shared, "the program behind that connection")
        detail = first.detail if len({one.trouble and one.trouble.detail for one in group}) == 1 else ""
    elif cause is Cause.CHECKER_ERROR and (first := group[0].trouble) is not None:
        # The same fault prevents all checks, so the first trouble stands for all.
        message, hint, detail = first.message, first.hint or hint, first.detail
    notes = {remote.acknowledged for remote in group}
    return RootCause(
        status=cause.status,
        kind="group",
        subject=f"{count(len(group), 'remote')} {where}",
        since=group[0].since,
        troubles=(Trouble(cause, message, hint, detail, severity=max(one.severity or _LEAST for one in group)),),
        unconfirmed=group[0].unconfirmed if len({remote.unconfirmed for remote in group}) == 1 else "",
        affected=tuple(group),
        acknowledged=group[0].acknowledged if None not in notes else None,
    )
