"""
Puts the regular report into words with the templates of `messages/`.

A PeriodReport comes in, a Message with its plain text and HTML goes out. Pure: no clock and no network.
"""

from dataclasses import replace

from remotestatus.model.fleet import Fleet
from remotestatus.model.notification import Message, NotificationType, Receiver
from remotestatus.model.period_report import PeriodReport
from remotestatus.model.settings import RegularReport
from remotestatus.model.states import Kind, Subject
from remotestatus.model.untrusted_text import defuse, one_line
from remotestatus.notify.assemble import SUBJECT, write_bodies, write_subject
from remotestatus.notify.page_links import may_be_told, settings_for
from remotestatus.templates import Templates


def is_for(spec: RegularReport, receiver: Receiver) -> bool:
    """Whether a receiver gets the regular report."""
    return not spec.notify or not set(spec.notify).isdisjoint(receiver.tags)


def told_of(fleet: Fleet, receiver: Receiver) -> list[Subject]:
    """The proxies and remotes that a receiver may hear of."""
    remotes = [remote for remote in fleet.remotes if may_be_told(receiver, remote)]
    passed = {name for remote in remotes for name in remote.path}
    proxies = [(Kind.PROXY, proxy.name) for proxy in fleet.proxies if proxy.name in passed]
    return [*proxies, *((Kind.REMOTE, remote.name) for remote in remotes)]


def compose_report(report: PeriodReport, receiver: Receiver, fleet: Fleet, templates: Templates) -> Message:
    """Write the report for one receiver."""
    lasting = tuple(replace(one, message=defuse(one.message)) for one in report.lasting)
    settings = settings_for(receiver, fleet)
    values = {"report": replace(report, lasting=lasting), "at": report.until, "url": settings.url}
    headline = one_line(templates.render_or_shipped("messages/report_subject.txt.j2", values), SUBJECT)
    subject = write_subject([headline], settings, templates)
    message = Message(receiver.key, receiver.name, report.until, NotificationType.INFO, headline, subject, "", "")
    return write_bodies(message, "report", values, templates)
