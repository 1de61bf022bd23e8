"""
The options of ssh that a round sets itself, as lines of ssh_config(5).
"""

import shlex

from remotestatus_playbook.protocol import PROXY_LOST

STRICT = "StrictHostKeyChecking yes"
ALIVE = "ServerAliveInterval 10"

COMMON = (
    STRICT,
    "UpdateHostKeys no",
    "ControlMaster no",
    "ForwardAgent no",
    "ForwardX11 no",
    "RequestTTY no",
    "EscapeChar none",
    "PermitLocalCommand no",
    ALIVE,
    "ServerAliveCountMax 3",
)

CONNECT_TIMEOUT = "ConnectTimeout 12"
GUARD = f"ProxyCommand echo {shlex.quote(PROXY_LOST)} >&2; exit 1"
ASK_NOBODY = ("BatchMode yes", "PasswordAuthentication no", "KbdInteractiveAuthentication no")
ONE_PASSWORD = ("BatchMode no", "NumberOfPasswordPrompts 1")
