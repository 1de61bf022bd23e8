"""
Answers -> check results -> states. Pure: no files, network, clock, Ansible or SQLite.
"""

from remotestatus.evaluate.check_results import read_proxy, read_remote, rule_of
from remotestatus.evaluate.diagnosis import diagnose
from remotestatus.evaluate.maintenance_windows import (
    EVERYTHING,
    open_now,
    problem_of,
    window_of_proxy,
    window_of_remote,
)
from remotestatus.evaluate.process_matching import ProcessRule, match, words_of
from remotestatus.evaluate.state_machine import next_state
from remotestatus.evaluate.uptime import Uptime, share_out, uptime

__all__ = [
    "EVERYTHING",
    "ProcessRule",
    "Uptime",
    "diagnose",
    "match",
    "next_state",
    "open_now",
    "problem_of",
    "read_proxy",
    "read_remote",
    "rule_of",
    "share_out",
    "uptime",
    "window_of_proxy",
    "window_of_remote",
    "words_of",
]
