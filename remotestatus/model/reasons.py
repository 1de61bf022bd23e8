"""
Why a receiver is notified of something or not: an enumeration whose values are the words for people.
"""

from enum import StrEnum


class Reason(StrEnum):
    """The reason for a Decision; the names in braces stand for the Decision's details."""

    NOTIFIED = "told: {event}"
    ESCALATED = "told: {event}, escalated"
    UNKNOWN = "not told as a problem of its own: {message}"
    FLAPPING = "its changes are not told one by one: it flaps since {since}; quiet until it is stable"
    FAILURE_NOT_CONFIRMED = "not told yet: bad for {rounds} of {needed} rounds in a row (fail_after)"
    FINDINGS_NOT_CONFIRMED = "not told yet: {findings}"
    LESS_SEVERE = "not for this destination: it is told only what is {least} (from); less than that is {findings}"
    RECOVERY_NOT_CONFIRMED = "not told as recovered yet: up for {rounds} of {needed} rounds (recover_after)"
    NO_NEW_RESULT = "waits for a new check: {message}"
    BAD_AGAIN = "waits for the next check: the last one found it bad again"
    UP_MEANWHILE = "waits for the next check: the last one found it up"
    OTHER_TAGS = "not for this destination: it goes to {tags}"
    ESCALATES_LATER = "not told yet: escalated to it after {span}"
    NOT_ESCALATED = "not escalated: acknowledged"
    NOT_REMINDED = "not reminded: acknowledged"
    MAINTENANCE = "held: in maintenance until {until}"
    QUIET_HOURS = "held: quiet hours until {until}"
