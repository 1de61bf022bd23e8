"""
Collects a round's results of each remote, proxy and worker, by name and by the place that probed.

Several threads add to it, one for each place. An error in an answer is the check result of its host only.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial
from threading import Lock

from remotestatus_playbook.protocol import Outcome, ProxyAnswer, RemoteAnswer

from remotestatus.evaluate import (
    Past,
    combine,
    failed_result,
    read_look,
    read_proxy,
    read_remote,
    read_unlooked,
    without_proxys_fault,
)
from remotestatus.model.causes import Cause
from remotestatus.model.check_result import CheckResult, FleetResults
from remotestatus.model.fleet import Fleet, Proxy, Remote
from remotestatus.model.inventory_variables import CHECKER
from remotestatus.model.status_words import Status
from remotestatus.probe.attempts.orders import Earlier
from remotestatus.probe.playbook_run import Answers

_CLOCK_SECONDS = 5.0
"""If a worker's clock is off by more, the clock offsets of its remotes are corrected."""

ByPlace = dict[str, dict[str, CheckResult]]
"""Check results by name and place, in the order of the probes."""


class ResultsSoFar:
    """The results so far of one round; `lock` is held while something is added."""

    def __init__(
        self, fleet: Fleet, remotes: Iterable[Remote], earlier: Earlier, clock: Callable[[], datetime]
    ) -> None:
        self.fleet, self.earlier, self.clock = fleet, earlier, clock
        self.asked = {remote.name: remote for remote in remotes}
        self.remotes: ByPlace = {name: {} for name in self.asked}
        self.proxies: ByPlace = {}
        self.looked: dict[str, CheckResult] = {}
        self.workers: dict[str, CheckResult] = {}
        self.troubles: list[str] = []
        self.settled: set[str] = set()
        """Remotes that are not retried: their variables are wrong."""
        self.lock = Lock()

    def add_from_here(self, answers: Answers, names: Iterable[str], *, again: bool) -> None:
        """Add the checker's results of these remotes, of proxies, and of probed proxies."""
        now = self.clock()
        with self.lock:
            for proxy in self.fleet.proxies:
                answer, seen = answers.proxies.get(proxy.alias), self.proxies.setdefault(proxy.name, {})
                # A connection from an earlier attempt keeps its connect time.
                if answer and not (answer.kept and CHECKER in seen):
                    seen[CHECKER] = proxy_result(proxy, answer, now)
            self._add_looks(answers, now)
            self._add(CHECKER, names, answers.remotes, now, again=again)
            self.troubles += [answers.trouble] if answers.trouble else []

    def add_from_worker(
        self,
        worker: str,
        remotes: Mapping[str, RemoteAnswer],
        proxies: Mapping[str, ProxyAnswer],
        names: Iterable[str],
        *,
        again: bool,
        clock_error: float,
    ) -> None:
        """Add a worker's results of these remotes, and of proxies by their aliases."""
        now = self.clock()
        with self.lock:
            self.workers[worker] = CheckResult(worker, now)
            for proxy in self.fleet.proxies:
                if answer := proxies.get(proxy.alias):
                    self.proxies.setdefault(proxy.name, {})[worker] = proxy_result(proxy, answer, now)
            self._add(worker, names, remotes, now, again=again, clock_error=clock_error)

    def add_lost(self, names: Iterable[str]) -> None:
        """Add the results of remotes that were not probed, because their worker failed."""
        now = self.clock()
        for name in names:
            worker = next(one.name for one in self.fleet.workers if name in one.only)
            self.remotes[name][worker] = self._keep_memory(read_unlooked(self.asked[name], worker, now))

    def add_endings(self, ended: Mapping[str, CheckResult], combined: dict[str, CheckResult]) -> None:
        """Replace results by more detailed ones."""
        self.looked |= {name: one for name, one in ended.items() if name in self.looked}
        combined |= {name: one for name, one in ended.items() if name in combined}

    def _add_looks(self, answers: Answers, now: datetime) -> None:
        for proxy in self.fleet.looked_at:
            answer, opened = answers.remotes.get(proxy.name), self.proxies.get(proxy.name, {}).get(CHECKER)
            if answer is not None and opened is not None:
                past = self.earlier.past(proxy.name)
                look = partial(read_look, proxy, opened, answer, now, past)
                self.looked[proxy.name] = _result(proxy, now, look, past)

    def _add(
        self,
        place: str,
        names: Iterable[str],
        answers: Mapping[str, RemoteAnswer],
        now: datetime,
        *,
        again: bool,
        clock_error: float = 0.0,
    ) -> None:
        """Add one place's results. A missing answer is a result too, but in a probe made `again` it changes nothing."""
        for name in names:
            answer = answers.get(name)
            if answer is None and again:
                continue
            answer = answer and _by_our_clock(answer, clock_error)
            result = remote_result(self.asked[name], answer, now, self.earlier)
            if answer and answer.outcome is Outcome.MISCONFIGURED and result.status is Status.UNKNOWN:
                self.settled.add(name)
            self.remotes[name][place] = latest(self.remotes[name].get(place), result)

    def combined(self, names: Iterable[str] | None = None) -> dict[str, CheckResult]:
        """The combined check result of each probed remote, of these `names` or all."""
        with self.lock:
            reached = {
                name: {place for place, result in seen.items() if result.status.is_reached}
                for name, seen in self.proxies.items()
            }
            return {
                name: without_proxys_fault(self.asked[name], combine(results), reached)
                for name in (self.remotes if names is None else names)
                if (results := self.remotes[name])
            }

    def results(self, combined: Mapping[str, CheckResult]) -> FleetResults:
        """The results of all attempts, with these of remotes."""
        now = self.clock()
        silent = {
            name: remote_result(self.asked[name], None, now, self.earlier)
            for name in self.remotes
            if name not in combined
        }
        proxies = self._unlooked_proxies() | {name: combine(seen) for name, seen in self.proxies.items() if seen}
        looks = {
            name: self.looked.get(name) or self._keep_memory(proxies[name])
            for name in self.fleet.looked_at_by_name
            if name in proxies
        }
        return FleetResults(proxies, {**combined, **silent}, tuple(self.troubles), self.workers, looks)

    def _keep_memory(self, result: CheckResult) -> CheckResult:
        """The result of a remote or proxy that was not probed, with the Memory of the last one."""
        return replace(result, memory=self.earlier.past(result.name).memory)

    def _unlooked_proxies(self) -> dict[str, CheckResult]:
        """The results of the proxies whose remotes could not be probed, because a worker failed."""
        ways = {
            hop: result
            for name, seen in self.remotes.items()
            for result in seen.values()
            if result.trouble and result.trouble.cause is Cause.WORKER_UNREACHABLE
            for hop in self.asked[name].path
        }
        return {
            proxy.name: read_unlooked(proxy, ways[proxy.name].worker or "", ways[proxy.name].at)
            for proxy in self.fleet.proxies
            if proxy.name in ways
        }


def remote_result(remote: Remote, answer: RemoteAnswer | None, now: datetime, earlier: Earlier) -> CheckResult:
    """The check result of a remote's answer."""
    past = earlier.past(remote.name)
    return _result(remote, now, partial(read_remote, remote, answer, now, past), past)


def proxy_result(proxy: Proxy, answer: ProxyAnswer, now: datetime) -> CheckResult:
    """The check result of a proxy's answer."""
    return _result(proxy, now, partial(read_proxy, proxy, answer, now))


def latest(before: CheckResult | None, now: CheckResult) -> CheckResult:
    """
    The result of a remote after one more attempt.

    If the connection to the proxy was lost meanwhile, the result of the attempt before stays.
    """
    trouble = now.trouble
    return before if before and trouble and trouble.cause is Cause.NOT_CHECKED else now


def _result(
    subject: Remote | Proxy, now: datetime, read: Callable[[], CheckResult], past: Past | None = None
) -> CheckResult:
    try:
        return read()
    except Exception as error:
        return replace(failed_result(subject, error, now), memory=(past or Past()).memory)


def _by_our_clock(answer: RemoteAnswer, off: float) -> RemoteAnswer:
    """Correct the clock offset of an answer from the worker's clock, which is `off`, to the checker's."""
    offset = answer.facts.clock_offset_seconds if answer.facts else None
    if answer.facts is None or offset is None or abs(off) <= _CLOCK_SECONDS:
        return answer
    return replace(answer, facts=replace(answer.facts, clock_offset_seconds=offset + off))
