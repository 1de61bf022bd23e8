"""
Makes all sites of one round: the inventory's own, and one for each entry of `remotestatus_pages`.

Takes functions that read what the history has, so that what goes wrong there is told as what goes wrong here; returns
the report of the first site and sentences about what failed. No site keeps another from being made.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import datetime

from remotestatus.model.culprits import say_error
from remotestatus.model.errors import RoundError
from remotestatus.model.fleet import Inventory, LimitedPage
from remotestatus.model.period_report import PeriodReport
from remotestatus.model.report_input import ReportInput
from remotestatus.model.states import Kind
from remotestatus.report.build import Report, build_report
from remotestatus.report.limited import limit_input
from remotestatus.report.pages import page_templates
from remotestatus.report.site_of_round import RoundSite, make_site
from remotestatus.templates import Templates


def make_sites(
    read_input: Callable[[], ReportInput],
    read_regular: Callable[[LimitedPage | None], PeriodReport | None],
    inventory: Inventory,
    templates: Templates,
    now: datetime,
) -> tuple[Report | None, tuple[str, ...]]:
    """
    Make the report and all pages; what goes wrong is a sentence, because the round was recorded all the same.

    The report is that of what a limit leaves; the pages show everything.

    `read_regular` reads the last regular report of a page; None stands for the first page.
    """
    settings = inventory.fleet.settings
    logo = inventory.resolve(settings.logo) if settings.logo else None
    try:
        report_input = replace(read_input(), regular=read_regular(None))
    except Exception as error:
        return None, (_say_page_failed(error),)
    report, troubles = None, list[str]()
    try:
        made = make_site(report_input, inventory.site, templates, logo, now)
        report = made.report
        troubles += _say_left_out(made)
    except Exception as error:
        troubles.append(_say_page_failed(error))
        with suppress(Exception):
            # The commands print what was found also without a page.
            report = build_report(report_input, now, public=False)
    for page in inventory.fleet.pages:
        troubles += _make_further(report_input, read_regular, page, inventory, templates, now)
    return report and _within_limit(report, report_input, inventory, now), tuple(troubles)


def _within_limit(report: Report, report_input: ReportInput, inventory: Inventory, now: datetime) -> Report:
    """The report of what the inventory's limit leaves; the whole one where that cannot be made."""
    fleet, names = inventory.fleet, inventory.limited_to
    if all(remote.name in names for remote in fleet.remotes):
        return report
    proxies = [(Kind.PROXY, proxy.name) for proxy in fleet.proxies if proxy.name in names]
    workers = [(Kind.WORKER, worker.name) for worker in fleet.workers]
    with suppress(Exception):
        return build_report(report_input.only([*fleet.subjects(names), *proxies, *workers]), now, public=False)
    return report


def _make_further(
    report_input: ReportInput,
    read_regular: Callable[[LimitedPage | None], PeriodReport | None],
    page: LimitedPage,
    inventory: Inventory,
    templates: Templates,
    now: datetime,
) -> tuple[str, ...]:
    """Make one further page; what goes wrong with it is no other page's matter."""
    spec = page.spec
    try:
        limited = limit_input(replace(report_input, regular=read_regular(page)), page)
        own = page_templates(inventory.resolve(spec.templates)) if spec.templates else templates
        logo = limited.fleet.settings.logo
        site = inventory.resolve(spec.site)
        made = make_site(limited, site, own, inventory.resolve(logo) if logo else None, now)
        return tuple(f"{spec.site}: {trouble}" for trouble in _say_left_out(made))
    except Exception as error:
        return (f"{spec.site}: {_say_page_failed(error)}",)


def _say_left_out(made: RoundSite) -> Iterator[str]:
    """A sentence for what a site was made without."""
    if names := ", ".join(name for _, name in made.culprits):
        yield f"what is known of {names} could not be shown; please report this"
    yield from made.notes


def _say_page_failed(error: Exception) -> str:
    # Whatever it is: people must still be told what this round found.
    if isinstance(error, RoundError):
        return str(error)
    return f"the page could not be made: {say_error(error)}; please report this"
