"""
Leaves out what does not belong to a page that shows a part of the fleet.

ReportInput comes in, and goes out with nothing of other remotes in it, before anything is built of it: no names,
counts, proxies, incidents or messages. A proxy is shown where one of the page's remotes is behind it. A sentence that
names somebody else gives way to what strangers would read.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from remotestatus.model.check_result import CheckResult, Trouble
from remotestatus.model.fleet import Fleet, LimitedPage, Proxy, Remote
from remotestatus.model.processes import ProcessResult
from remotestatus.model.report_input import ReportInput
from remotestatus.model.settings import FleetSettings
from remotestatus.model.states import Kind, Subject
from remotestatus.model.text import join_names
from remotestatus.model.windows import PlannedWindow
from remotestatus.report.redact import ROUND_TROUBLE

_WORD = re.compile(r"[\w.-]+")


def limit_input(report_input: ReportInput, page: LimitedPage) -> ReportInput:
    """What one page is made of: with its own settings, and of its remotes alone."""
    report_input = replace(report_input, fleet=replace(report_input.fleet, settings=_settings(report_input, page)))
    if page.spec.limit is None:
        return report_input
    return _Limit.of(report_input.fleet, page).apply(report_input)


def _settings(report_input: ReportInput, page: LimitedPage) -> FleetSettings:
    spec = page.spec
    own = {name: value for name in ("public", "title", "logo", "accent") if (value := getattr(spec, name)) is not None}
    return report_input.fleet.settings.model_copy(update={**own, "url": spec.url})


def _names(remotes: Iterable[Remote], proxies: Iterable[Proxy]) -> set[str]:
    return {
        *(name for remote in remotes for name in (remote.name, remote.address)),
        *(name for proxy in proxies for name in (proxy.name, proxy.address)),
    }


@dataclass(frozen=True, slots=True)
class _Limit:
    """The part of the fleet that is shown, its names, and the names of all others."""

    fleet: Fleet
    remotes: frozenset[str]
    proxies: frozenset[str]
    foreign: frozenset[str]

    @classmethod
    def of(cls, fleet: Fleet, page: LimitedPage) -> "_Limit":
        shown = tuple(remote for remote in fleet.remotes if remote.name in page.names)
        on_the_way = {proxy for remote in shown for proxy in remote.path}
        proxies = tuple(proxy for proxy in fleet.proxies if proxy.name in on_the_way)
        everybody = _names(fleet.remotes, fleet.proxies) | {worker.name for worker in fleet.workers}
        own = _names(shown, proxies)
        return cls(
            fleet=Fleet(shown, proxies, fleet.settings),
            remotes=frozenset(remote.name for remote in shown),
            proxies=frozenset(proxy.name for proxy in proxies),
            foreign=frozenset(name for name in everybody - own if name),
        )

    def has(self, subject: Subject) -> bool:
        kind, name = subject
        return name in (self.remotes if kind is Kind.REMOTE else self.proxies if kind is Kind.PROXY else ())

    def apply(self, whole: ReportInput) -> ReportInput:
        round_ = whole.round
        return replace(
            whole,
            fleet=self.fleet,
            round=replace(round_, remotes=len(self.remotes), troubles=(ROUND_TROUBLE,) if round_.troubles else ()),
            states={
                subject: replace(state, troubles=self._troubles(state.troubles))
                for subject, state in whole.states.items()
                if self.has(subject)
            },
            check_results=self._results(whole.check_results.items()),
            before=self._results(whole.before.items()),
            measured=lambda name: None if (found := whole.measured(name)) is None else self._result(found),
            transitions=[
                replace(one, trouble=self._trouble(one.trouble) if one.trouble else None)
                for one in whole.transitions
                if self.has((one.kind, one.name))
            ],
            days={subject: found for subject, found in whole.days.items() if self.has(subject)},
            first_seen={subject: found for subject, found in whole.first_seen.items() if self.has(subject)},
            acknowledgements={
                subject: replace(found, note="" if self._names_others(found.note) else found.note)
                for subject, found in whole.acknowledgements.items()
                if self.has(subject)
            },
            maintenance={
                name: "" if self._names_others(words) else words
                for name, words in whole.maintenance.items()
                if name in self.remotes
            },
            # A message tells of several remotes, and a destination may be another customer's.
            messages={},
            failing=(),
            planned=[self._planned(one) for one in whole.planned if one.names & (self.remotes | self.proxies)],
            notes=[
                one
                for one in whole.notes
                if one.name in ("", *self.remotes, *self.proxies) and not self._names_others(one.text)
            ],
        )

    def _names_others(self, *texts: str) -> bool:
        return any(
            word in self.foreign or word.strip(".-") in self.foreign for text in texts for word in _WORD.findall(text)
        )

    def _trouble(self, trouble: Trouble) -> Trouble:
        if trouble.proxy and trouble.proxy not in self.proxies:
            trouble = replace(trouble, proxy="")
        texts = (trouble.message, trouble.hint, trouble.detail, trouble.what, trouble.phrase)
        if not self._names_others(*texts):
            return trouble
        return Trouble(trouble.cause, trouble.cause.declaration.public, severity=trouble.severity)

    def _troubles(self, troubles: Iterable[Trouble]) -> tuple[Trouble, ...]:
        return tuple(self._trouble(trouble) for trouble in troubles)

    def _results(self, results: Iterable[tuple[str, CheckResult]]) -> dict[str, CheckResult]:
        return {name: self._result(result) for name, result in results if name in self.remotes}

    def _result(self, result: CheckResult) -> CheckResult:
        return replace(
            result,
            troubles=self._troubles(result.troubles),
            processes=tuple(self._process(process) for process in result.processes),
            worker=None,
            not_from=(),
        )

    def _process(self, result: ProcessResult) -> ProcessResult:
        """A tunnel's arguments, for example, may name another machine."""
        return replace(
            result,
            matched=tuple(
                replace(one, argv=one.argv[:1]) if self._names_others(*one.argv) else one for one in result.matched
            ),
            near=tuple(one for one in result.near if not self._names_others(*one.process.argv)),
        )

    def _planned(self, window: PlannedWindow) -> PlannedWindow:
        names = window.names & (self.remotes | self.proxies)
        groups = {group for remote in self.fleet.remotes for group in remote.groups}
        title = window.title
        if names != window.names and title not in ("all", *groups):
            title = join_names(sorted(names), 3)
        return replace(window, names=names, title=title, note="" if self._names_others(window.note) else window.note)
