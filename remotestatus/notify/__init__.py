"""
Decides who is notified of what, composes messages and sends them.
"""

from remotestatus.notify.assemble import complete_commands
from remotestatus.notify.compose import compose_each, compose_notice, compose_report
from remotestatus.notify.decide import plan_for_each
from remotestatus.notify.deliver import Sending, send, send_test
from remotestatus.notify.destinations import load_destinations, problems_of_tags, read_destinations
from remotestatus.notify.failures import Failure
from remotestatus.notify.heartbeat import Heartbeat
from remotestatus.notify.page_links import is_for, settings_for, told_of
from remotestatus.notify.reply_sources import read_sources
from remotestatus.notify.sendings import Attempt, Destination
