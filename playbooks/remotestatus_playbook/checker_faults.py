"""
Recognises faults of the checker itself in what `ssh` prints on standard error: no ssh, a refused option or file.

A fault of the checker is never reported as one of the host or of its proxy.
"""

import re
from enum import StrEnum

_WARNING = re.compile(r"^(?:\*\* .*|\S.*:? line \d+: (?:Unsupported|Deprecated) option .*)(?:\n|\Z)", re.MULTILINE)
"""
`** WARNING: ...`: OpenSSH 10.1 and later warn of a key exchange that is not post-quantum. `FILE line 3: Unsupported
option ...`: each version ignores, with a warning, options that it does not support.
"""


def without_warnings(text: str) -> str:
    """The text without ssh's general warnings, which do not explain a failure."""
    return _WARNING.sub("", text)


class LocalFault(StrEnum):
    """The possible faults of the checker."""

    NO_TIMEOUT = "no-timeout"
    NO_SSH = "no-ssh"
    NO_ASKPASS = "no-askpass"
    NO_PROXY_PROGRAM = "no-proxy-program"
    FILE_REFUSED = "file-refused"
    OPTION_REFUSED = "option-refused"
    SOCKET = "socket"


NO_TIMEOUT = "the program timeout could not be started"
NOT_STARTED = "no program could be started on the checker"
NO_ASKPASS = "the askpass may not be executed"

_TEXTS = tuple(
    (fault, re.compile(pattern, re.MULTILINE))
    for fault, pattern in (
        (LocalFault.NO_TIMEOUT, rf"^{NO_TIMEOUT}.*|^\S*sh: (.*: )?timeout: (command )?not found$"),
        # coreutils, busybox
        (LocalFault.NO_SSH, r"^timeout: (failed to (run|execute) command|can't execute) .*"),
        (LocalFault.FILE_REFUSED, r"^(Bad owner or permissions on|Can't open user config file) .*"),
        (LocalFault.NO_ASKPASS, rf"^{NO_ASKPASS}.*|^ssh_askpass: exec\(.*"),
        # dash, bash, zsh
        (
            LocalFault.NO_PROXY_PROGRAM,
            r"^\S*sh: ((line )?\d+: )?(exec: )?\S+: (cannot execute: )?"
            r"((command )?not found|No such file or directory|Permission denied)$|^\S*sh:\d+: command not found: .*",
        ),
        (
            LocalFault.OPTION_REFUSED,
            r"^(command-line|[~/].*?):? line \d+: .*|.*: terminating, \d+ bad configuration options$"
            r"|^(unknown|illegal) option -- .*|^(vdollar_)?percent_expand: .*|^Bad \S+ '.*|^Bad .* specification .*",
        ),
        (LocalFault.SOCKET, r"^(ControlPath too long|unix_listener: (path|cannot bind to path)) .*"),
    )
)


def local_fault(text: str) -> tuple[LocalFault, str] | None:
    """
    Find the fault of the checker in a text, with its line; None without one.

    ssh prints these before it connects. Text after a log-in may be from the far end.
    """
    text = without_warnings(text)
    found = ((fault, pattern.search(text)) for fault, pattern in _TEXTS)
    return next(((fault, match[0].strip()) for fault, match in found if match), None)
