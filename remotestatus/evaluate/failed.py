"""
What is said of a remote or proxy that could not be evaluated: `checker-error`, with what went wrong.

The subject and the error come in, a CheckResult goes out. What one remote answers, however odd, costs only its own
check result.
"""

from datetime import datetime

from remotestatus.evaluate.diagnosis import explain
from remotestatus.model.causes import Cause
from remotestatus.model.check_result import CheckResult, Trouble
from remotestatus.model.errors import say_error
from remotestatus.model.fleet import Proxy, Remote


def failed_result(subject: Remote | Proxy, error: Exception, at: datetime) -> CheckResult:
    """The check result of a remote or proxy whose answer could not be evaluated."""
    return CheckResult(name=subject.name, at=at, troubles=(failed_trouble(subject, error),))


def failed_trouble(subject: Remote | Proxy, error: Exception) -> Trouble:
    """The trouble of a remote or proxy with which a stage of the round failed."""
    return explain(Cause.CHECKER_ERROR, subject, detail=f"{say_error(error)}; please report this")
