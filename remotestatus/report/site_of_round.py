"""
Makes the report and the site of one round, also when the data of one remote keeps them from being made.

ReportInput comes in, the Report goes out, and the site is brought up to date. A remote or proxy with which the report
or a page cannot be made is shown as `checker-error`, without its data, and all others as they are.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from remotestatus.evaluate import failed_trouble
from remotestatus.model.check_result import CheckResult
from remotestatus.model.culprits import find_culprits
from remotestatus.model.fleet import Proxy, Remote
from remotestatus.model.report_input import ReportInput
from remotestatus.model.states import Kind, Subject
from remotestatus.model.statuses import Status
from remotestatus.report.build import Report, build_report
from remotestatus.report.publish import publish, site_files
from remotestatus.templates import Templates


@dataclass(frozen=True, slots=True)
class RoundSite:
    """
    What is shown of a round: the whole report.

    `notes` are sentences about what had to be left out, `culprits` the remotes and proxies that are shown without their
    data.
    """

    report: Report
    notes: tuple[str, ...] = ()
    culprits: tuple[Subject, ...] = ()


def make_site(
    report_input: ReportInput, site: Path, templates: Templates, logo: Path | None, now: datetime
) -> RoundSite:
    """
    Make the report, and write the site.

    Raises what went wrong when it is no single remote's or proxy's fault; the old site stays as it was then.
    """
    try:
        return _make(report_input, site, templates, logo, now)
    except Exception as error:
        if isinstance(error.__cause__, OSError):
            raise
        subjects = [subject for subject in report_input.states if _find(report_input, subject)]

        def works(some: Sequence[Subject]) -> bool:
            try:
                _, shown = _reports(report_input.only(some), now)
                for file in site_files(shown, templates)[0]:
                    file.make()
            except Exception:
                return False
            return True

        culprits = find_culprits(subjects, works)
        if not culprits:
            raise
        shown = _without_data(report_input, culprits, error)
        return replace(_make(shown, site, templates, logo, now), culprits=culprits)


def _make(report_input: ReportInput, site: Path, templates: Templates, logo: Path | None, now: datetime) -> RoundSite:
    report, shown = _reports(report_input, now)
    return RoundSite(report, publish(shown, site, templates, logo))


def _reports(report_input: ReportInput, now: datetime) -> tuple[Report, Report]:
    """The whole report, and the one that the site shows."""
    report = build_report(report_input, now, public=False)
    return report, build_report(report_input, now, public=True) if report_input.fleet.settings.public else report


def _without_data(report_input: ReportInput, culprits: Sequence[Subject], error: Exception) -> ReportInput:
    """The same, with nothing of these subjects but that they could not be shown."""
    states, results = dict(report_input.states), dict(report_input.check_results)
    gone = set(culprits)
    looked_at = report_input.fleet.looked_at_by_name
    names = {name for kind, name in gone if kind is Kind.REMOTE or (kind is Kind.PROXY and name in looked_at)}
    for kind, name in culprits:
        subject = _find(report_input, (kind, name))
        troubles = (failed_trouble(subject, error),) if subject else ()
        old = states[kind, name]
        states[kind, name] = replace(old, status=Status.UNKNOWN, troubles=troubles)
        if name in names:
            results[name] = CheckResult(name, old.seen_at, troubles)
    return replace(
        report_input,
        states=states,
        check_results=results,
        transitions=[one for one in report_input.transitions if (one.kind, one.name) not in gone],
        days={subject: days for subject, days in report_input.days.items() if subject not in gone},
        samples=lambda name: () if name in names else report_input.samples(name),
        measured_at={name: at for name, at in report_input.measured_at.items() if name not in names},
        before={name: result for name, result in report_input.before.items() if name not in names},
        messages={subject: found for subject, found in report_input.messages.items() if subject not in gone},
    )


def _find(report_input: ReportInput, subject: Subject) -> Remote | Proxy | None:
    kind, name = subject
    fleet = report_input.fleet
    return fleet.remotes_by_name.get(name) if kind is Kind.REMOTE else fleet.proxies_by_name.get(name)
