"""
Makes all sites of one round: the inventory's own, and one for each entry of `remotestatus_pages`.

The history is read by functions, so that read errors are handled here too. The results are the report of the first
site, and sentences about failures. A failure of one site does not stop the others. A remote or proxy that breaks a
report or page is shown as `checker-error`, without its data.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from remotestatus.evaluate import failed_trouble
from remotestatus.model.check_result import CheckResult
from remotestatus.model.errors import RoundError, say_error
from remotestatus.model.failing_subjects import find_failing
from remotestatus.model.fleet import Inventory, LimitedPage, Proxy, Remote
from remotestatus.model.period_report import PeriodReport
from remotestatus.model.report_input import ReportInput
from remotestatus.model.states import Kind, Subject
from remotestatus.model.status_words import Status
from remotestatus.report.build import Report, build_report
from remotestatus.report.limited_page import limit_input
from remotestatus.report.pages import page_templates
from remotestatus.report.publish import publish, site_files
from remotestatus.templates import Templates


def make_sites(
    read_input: Callable[[], ReportInput],
    read_regular: Callable[[LimitedPage | None], PeriodReport | None],
    inventory: Inventory,
    templates: Templates,
    now: datetime,
) -> tuple[Report | None, tuple[str, ...]]:
    """
    Make the report and all pages; failures are sentences, because the round is recorded already.

    The report has only the remotes of the inventory's limit; the pages show everything. `read_regular` reads the last
    regular report of a page; None stands for the first page.
    """
    settings = inventory.fleet.settings
    logo = inventory.resolve(settings.logo) if settings.logo else None
    try:
        report_input = replace(read_input(), regular=read_regular(None))
    except Exception as error:
        return None, (_say_page_failed(error),)
    report, troubles = None, list[str]()
    try:
        report, notes = make_site(report_input, inventory.site, templates, logo, now)
        troubles += notes
    except Exception as error:
        troubles.append(_say_page_failed(error))
        with suppress(Exception):
            # The commands print the report even without a page.
            report = build_report(report_input, now, public=False)
    for page in inventory.fleet.pages:
        troubles += _make_further(report_input, read_regular, page, inventory, templates, now)
    return report and _within_limit(report, report_input, inventory, now), tuple(troubles)


def _within_limit(report: Report, report_input: ReportInput, inventory: Inventory, now: datetime) -> Report:
    """Make the report of the limit's remotes; the whole one if that fails."""
    part = inventory.fleet.within(inventory.limited_to)
    if part is inventory.fleet:
        return report
    with suppress(Exception):
        return build_report(report_input.only(part.all_subjects()), now, public=False)
    return report


def _make_further(
    report_input: ReportInput,
    read_regular: Callable[[LimitedPage | None], PeriodReport | None],
    page: LimitedPage,
    inventory: Inventory,
    templates: Templates,
    now: datetime,
) -> tuple[str, ...]:
    """Make one further page; an error in it affects no other page."""
    spec = page.spec
    try:
        limited = limit_input(replace(report_input, regular=read_regular(page)), page)
        own = page_templates(inventory.resolve(spec.templates)) if spec.templates else templates
        logo = limited.fleet.settings.logo
        site = inventory.resolve(spec.site)
        _, notes = make_site(limited, site, own, inventory.resolve(logo) if logo else None, now)
        return tuple(f"{spec.site}: {note}" for note in notes)
    except Exception as error:
        return (f"{spec.site}: {_say_page_failed(error)}",)


def _say_page_failed(error: Exception) -> str:
    # An error here must not keep the round from notifying people.
    if isinstance(error, RoundError):
        return str(error)
    return f"the page could not be made: {say_error(error)}; please report this"


# -- one site ---------------------------------------------------------------------------------------------------------


def make_site(
    report_input: ReportInput, site: Path, templates: Templates, logo: Path | None, now: datetime
) -> tuple[Report, tuple[str, ...]]:
    """
    Make the report, and write the site; return the whole report, and sentences about what had to be left out.

    Raises an error that no single remote or proxy causes; then the old site stays.
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

        culprits = find_failing(subjects, works)
        if not culprits:
            raise
        names = ", ".join(name for _, name in culprits)
        report, notes = _make(_without_data(report_input, culprits, error), site, templates, logo, now)
        return report, (f"what is known of {names} could not be shown; please report this", *notes)


def _make(
    report_input: ReportInput, site: Path, templates: Templates, logo: Path | None, now: datetime
) -> tuple[Report, tuple[str, ...]]:
    report, shown = _reports(report_input, now)
    return report, publish(shown, site, templates, logo)


def _reports(report_input: ReportInput, now: datetime) -> tuple[Report, Report]:
    """Build the whole report, and the one that the site shows."""
    report = build_report(report_input, now, public=False)
    return report, build_report(report_input, now, public=True) if report_input.fleet.settings.public else report


def _without_data(report_input: ReportInput, culprits: Sequence[Subject], error: Exception) -> ReportInput:
    """Replace these subjects' data by a trouble: they could not be shown."""
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
