"""
Limits the ReportInput to the remotes of a limited page.

The result has nothing of other remotes: no names, counts, proxies, incidents or messages. A proxy is shown if one of
the page's remotes is behind it. Machine text that names another remote is replaced by the public text, or left out.
Text of people is also left out if it has the nickname or a group of another remote.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TypeVar

from remotestatus.model.acknowledgement import Acknowledgement
from remotestatus.model.check_result import CheckResult, Finding, Trouble
from remotestatus.model.facts import Facts
from remotestatus.model.fleet import Fleet, LimitedPage, Proxy, Remote
from remotestatus.model.inventory_variables import FleetSettings
from remotestatus.model.period_report import PeriodReport
from remotestatus.model.processes import ProcessResult
from remotestatus.model.report_input import ReportInput
from remotestatus.model.states import Kind, Subject
from remotestatus.model.text import join_names
from remotestatus.model.watched import DeviceResult, FileResult, UnitResult
from remotestatus.model.windows import PlannedWindow
from remotestatus.report.public_page import ROUND_TROUBLE

_WORD = re.compile(r"[\w.-]+")
_UNIT = re.compile(r"\.(?:service|socket|timer|mount|automount|path|target|scope|slice|swap|device)(?![\w.-])")
"""The end of the name of a systemd unit, which may be one of an instance: `backup@signage-1.service`."""

T = TypeVar("T")
Watched = TypeVar("Watched", FileResult, UnitResult, DeviceResult)


def limit_input(report_input: ReportInput, page: LimitedPage) -> ReportInput:
    """Make the input of one page: with the page's own settings, and only its remotes."""
    report_input = replace(report_input, fleet=replace(report_input.fleet, settings=_settings(report_input, page)))
    if page.spec.limit is None:
        return report_input
    return _Part.of(report_input.fleet, page).apply(report_input)


def _settings(report_input: ReportInput, page: LimitedPage) -> FleetSettings:
    spec = page.spec
    own = {name: value for name in ("public", "title", "logo", "accent") if (value := getattr(spec, name)) is not None}
    return report_input.fleet.settings.model_copy(update={**own, "url": spec.url})


def _names(remotes: Iterable[Remote], proxies: Iterable[Proxy]) -> set[str]:
    return {
        *(name for remote in remotes for name in (remote.name, remote.address)),
        *(name for proxy in proxies for name in (proxy.name, proxy.address)),
    }


def _names_of_people(remotes: Iterable[Remote]) -> set[str]:
    """Collect nicknames and groups: they may be common words, so only text of people is searched for them."""
    return {name for remote in remotes for name in (remote.settings.nickname, *remote.groups)}


class _Foreign:
    """Names of other remotes, as tuples of words, by their first word."""

    def __init__(self, everybody: Iterable[str], own: Iterable[str]) -> None:
        self._by_first: dict[str, set[tuple[str, ...]]] = {}
        for name in set(everybody) - set(own):
            words = _words(name)
            # `::1` is no name.
            if words and not (":" in name and len(words) == 1):
                self._by_first.setdefault(words[0], set()).add(words)

    def is_in(self, *texts: str) -> bool:
        """Whether one of the texts has one of the names."""
        return any(self._is_in(_words(text)) for text in texts)

    def _is_in(self, words: tuple[str, ...]) -> bool:
        return any(
            words[at : at + len(name)] == name for at, word in enumerate(words) for name in self._by_first.get(word, ())
        )


def _words(text: str) -> tuple[str, ...]:
    return tuple(word for found in _WORD.findall(_UNIT.sub("", text.casefold())) if (word := found.strip(".-")))


@dataclass(frozen=True, slots=True)
class _Part:
    """
    The part of the fleet that is shown, its names, and those of all others.

    `foreign` is searched in machine text, `foreign_to_people` in text of people.
    """

    fleet: Fleet
    remotes: frozenset[str]
    proxies: frozenset[str]
    foreign: _Foreign
    foreign_to_people: _Foreign

    @classmethod
    def of(cls, fleet: Fleet, page: LimitedPage) -> "_Part":
        shown = tuple(remote for remote in fleet.remotes if remote.name in page.names)
        on_the_way = {proxy for remote in shown for proxy in remote.path}
        proxies = tuple(proxy for proxy in fleet.proxies if proxy.name in on_the_way)
        everybody = _names(fleet.remotes, fleet.proxies) | {worker.name for worker in fleet.workers}
        own = _names(shown, proxies)
        called, own_called = everybody | _names_of_people(fleet.remotes), own | _names_of_people(shown)
        return cls(
            fleet=Fleet(shown, proxies, fleet.settings),
            remotes=frozenset(remote.name for remote in shown),
            proxies=frozenset(proxy.name for proxy in proxies),
            foreign=_Foreign(everybody, own),
            foreign_to_people=_Foreign(called, own_called),
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
                subject: replace(state, troubles=tuple(map(self._trouble, state.troubles)))
                for subject, state in whole.states.items()
                if self.has(subject)
            },
            check_results=self._results(whole.check_results.items()),
            before=self._results(whole.before.items()),
            measured=lambda name: None if (found := whole.measured(name)) is None else self._result(found),
            ranges=lambda name: {key: days for key, days in whole.ranges(name).items() if not self.foreign.is_in(key)},
            transitions=[
                replace(one, trouble=self._trouble(one.trouble) if one.trouble else None)
                for one in whole.transitions
                if self.has((one.kind, one.name))
            ],
            days={subject: found for subject, found in whole.days.items() if self.has(subject)},
            first_seen={subject: found for subject, found in whole.first_seen.items() if self.has(subject)},
            acknowledgements={
                subject: self._note(found) for subject, found in whole.acknowledgements.items() if self.has(subject)
            },
            maintenance={
                name: self._of_people(words) for name, words in whole.maintenance.items() if name in self.remotes
            },
            # A message may be about several remotes, and a destination another customer's.
            messages={},
            failing=(),
            planned=[self._planned(one) for one in whole.planned if one.names & (self.remotes | self.proxies)],
            regular=self._regular(whole.regular) if whole.regular else None,
            notes=[
                one
                for one in whole.notes
                if one.name in ("", *self.remotes, *self.proxies) and self._of_people(one.text)
            ],
        )

    def _of_people(self, text: str) -> str:
        """Return a text of people, or nothing if it is about others."""
        return "" if self.foreign_to_people.is_in(text) else text

    def _note(self, known: Acknowledgement) -> Acknowledgement:
        return replace(known, note=self._of_people(known.note))

    def _kept(self, items: Iterable[T] | None, text: Callable[[T], str]) -> tuple[T, ...] | None:
        """Keep those whose text names no other remote."""
        return None if items is None else tuple(one for one in items if not self.foreign.is_in(text(one)))

    def _trouble(self, trouble: Trouble) -> Trouble:
        if trouble.proxy and trouble.proxy not in self.proxies:
            trouble = replace(trouble, proxy="")
        texts = (trouble.message, trouble.hint, trouble.detail, trouble.what, trouble.phrase, *trouble.log)
        if not self.foreign.is_in(*texts):
            return trouble
        return Trouble(trouble.cause, trouble.cause.declaration.public, severity=trouble.severity)

    def _results(self, results: Iterable[tuple[str, CheckResult]]) -> dict[str, CheckResult]:
        return {name: self._result(result) for name, result in results if name in self.remotes}

    def _result(self, result: CheckResult) -> CheckResult:
        return replace(
            result,
            troubles=tuple(map(self._trouble, result.troubles)),
            processes=tuple(map(self._process, result.processes)),
            findings=tuple(map(self._finding, self._kept(result.findings, lambda one: one.name) or ())),
            facts=self._facts(result.facts),
            files=self._watched(result.files),
            # A failed unit may not be listed in the inventory; then its name is machine text.
            units=self._watched(self._kept(result.units, lambda one: one.unit) or ()),
            devices=self._watched(result.devices),
            worker=None,
            not_from=(),
        )

    def _finding(self, finding: Finding) -> Finding:
        if not self.foreign.is_in(finding.value, finding.perfdata):
            return finding
        return replace(finding, value=_say(finding.ok), perfdata="")

    def _watched(self, results: Iterable[Watched]) -> tuple[Watched, ...]:
        return tuple(
            replace(one, sentence=_say(one.ok)) if self.foreign.is_in(one.sentence) else one for one in results
        )

    def _facts(self, facts: Facts) -> Facts:
        return replace(
            facts,
            disks=self._kept(facts.disks, lambda one: one.mount),
            mounts=self._kept(facts.mounts, lambda one: f"{one.mount} {one.device}"),
            failed_units=self._kept(facts.failed_units, str),
            notes=self._kept(facts.notes, str) or (),
        )

    def _process(self, result: ProcessResult) -> ProcessResult:
        """Limit a process: its arguments, such as a tunnel's, may name another machine."""
        return replace(
            result,
            matched=tuple(
                replace(one, argv=one.argv[:1]) if self.foreign.is_in(*one.argv) else one for one in result.matched
            ),
            near=tuple(one for one in result.near if not self.foreign.is_in(*one.process.argv)),
        )

    def _regular(self, report: PeriodReport) -> PeriodReport:
        """Limit the regular report to this page."""
        lasting = []
        for one in report.lasting:
            known = one.acknowledged and self._note(one.acknowledged)
            message = "" if self.foreign.is_in(one.message) else one.message
            lasting.append(replace(one, message=message, acknowledged=known))
        return replace(report, lasting=tuple(lasting), planned=tuple(map(self._planned, report.planned)))

    def _planned(self, window: PlannedWindow) -> PlannedWindow:
        names = window.names & (self.remotes | self.proxies)
        groups = {group for remote in self.fleet.remotes for group in remote.groups}
        title = window.title
        if names != window.names and title not in ("all", *groups):
            title = join_names(sorted(names), 3)
        return replace(window, names=names, title=title, note=self._of_people(window.note))


def _say(ok: bool | None) -> str:
    """Write a result without its text."""
    return {True: "passed", False: "failed", None: "unknown"}[ok]
