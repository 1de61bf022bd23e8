"""
Decides why something could not be reached, from what OpenSSH and the shell said.

Takes the remote or proxy and the playbook's answer; returns a Trouble: one cause of the closed list, a sentence for
people, what to try, and one line of evidence. The texts are OpenSSH's own (8.4 to 10); the order of the table below
is the order in which they are believed, because one failure often drags others behind it.
"""

import re
from collections.abc import Sequence

from remotestatus_playbook.protocol import PROXY_LOST, Answer, Outcome

from remotestatus.model.check_result import Trouble
from remotestatus.model.fleet import Proxy, Remote
from remotestatus.model.statuses import Cause
from remotestatus.model.text import one_line

_TEXTS: tuple[tuple[Cause | None, re.Pattern[str]], ...] = tuple(
    (cause, re.compile(pattern, re.IGNORECASE))
    for cause, pattern in (
        (Cause.NOT_CHECKED, re.escape(PROXY_LOST)),
        (Cause.HOST_KEY_CHANGED, r"host identification has changed|host key for \S+ has changed"),
        (
            Cause.HOST_KEY_UNKNOWN,
            r"no \S+ host key is known for|authenticity of host .* can't be established"
            r"|host key verification failed|host key checking is enabled",
        ),
        (
            Cause.AUTHENTICATION_FAILED,
            r"permission denied|too many authentication failures|no supported authentication methods"
            r"|unable to negotiate with|no matching \S+( \S+)* (found|method)|administratively prohibited"
            r"|invalid/incorrect password|account .*(expired|locked)",
        ),
        (Cause.NAME_UNRESOLVED, r"could not resolve hostname|name or service not known|name resolution"),
        (None, r"session open refused by peer|open failed: connect failed: connection refused"),
        (Cause.NO_ROUTE, r"no route to host|network is unreachable|host is (down|unreachable)"),
        (Cause.CONNECTION_TIMEOUT, r"timed out during banner exchange|port \d+: .*timed out|port \d+ timed out"),
        (Cause.CONNECTION_REFUSED, r"connection refused"),
        (Cause.CHECKER_ERROR, r"bad configuration option|controlpath too long|no such file or directory.*ssh"),
        (Cause.SSHD_DOWN, r"kex_exchange_identification|ssh_exchange_identification|bad remote protocol version"),
        (Cause.CONNECTION_TIMEOUT, r"(connection|operation) timed out"),
        (
            Cause.CONNECTION_LOST,
            r"connection (to \S+ )?(reset|closed)|broken pipe|timeout, server \S+ not responding"
            r"|client_loop|lost connection|read from master failed",
        ),
    )
)


def cause_of_text(text: str, *, behind_proxy: bool, is_proxy: bool = False) -> Cause | None:
    """
    The cause that an SSH client's error text means, or None when the text says nothing known.

    `behind_proxy` tells whether the connection went through a proxy: there, a refusal means the tunnel's port and not
    the machine. `is_proxy` tells whether the far end is itself a proxy, which has no tunnel.
    """
    for cause, pattern in _TEXTS:
        if not pattern.search(text):
            continue
        if cause is None:
            return Cause.TUNNEL_DOWN if behind_proxy and not is_proxy else Cause.CONNECTION_REFUSED
        if behind_proxy and not is_proxy:
            return _BEHIND_PROXY.get(cause, cause)
        if cause is Cause.SSHD_DOWN:
            return Cause.CONNECTION_LOST
        return cause
    return None


_BEHIND_PROXY = {Cause.CONNECTION_TIMEOUT: Cause.TUNNEL_STALE, Cause.CONNECTION_REFUSED: Cause.TUNNEL_DOWN}


def diagnose(subject: Remote | Proxy, answer: Answer) -> Trouble:
    """Say why a remote or proxy that did not answer as it should was not reached."""
    text, noise = answer.stderr, one_line(answer.noise)
    match answer.outcome:
        case Outcome.PROXY_DOWN:
            return _explain(subject, Cause.PROXY_UNREACHABLE, proxy=answer.proxy)
        case Outcome.ERROR:
            return _explain(subject, Cause.CHECKER_ERROR, detail=evidence(text))
        case Outcome.TOO_MUCH:
            return _explain(subject, Cause.PROBE_TIMEOUT, detail=noise, endless=True)
        case Outcome.TIMED_OUT if answer.logged_in:
            return _explain(subject, Cause.PROBE_TIMEOUT, detail=noise or evidence(text))
        case Outcome.TIMED_OUT | Outcome.SSH_FAILED:
            cause = _cause_of_failure(subject, answer)
            owners = tuple(one_line(name, 80) for name in answer.answered_by if name != subject.name)[:3]
            return _explain(subject, cause, detail=evidence(text) or noise, owners=owners, key=_key_trouble(text))
        case _:
            return _explain(subject, Cause.PROBE_FAILED, detail=noise or one_line(text))


def _cause_of_failure(subject: Remote | Proxy, answer: Answer) -> Cause:
    """Why ssh itself failed, or was still silent when its time was up."""
    is_proxy = isinstance(subject, Proxy)
    cause = cause_of_text(answer.stderr, behind_proxy=bool(subject.path), is_proxy=is_proxy)
    if answer.logged_in:
        # The remote's own programs may print anything on standard error, "connection refused" as well.
        lost = cause in _BREAKS or answer.frame
        cause = Cause.CONNECTION_LOST if lost else Cause.PROBE_FAILED
    if answer.proxy_lost and cause not in _REFUSALS:
        return Cause.NOT_CHECKED
    if cause is not None:
        return cause
    if answer.outcome is not Outcome.TIMED_OUT:
        return Cause.CONNECTION_LOST
    # OpenSSH's own limit covers the banner; what is later and still silent has lost its other end.
    return Cause.TUNNEL_STALE if subject.path and not is_proxy else Cause.CONNECTION_TIMEOUT


_BREAKS = frozenset({Cause.CONNECTION_LOST, Cause.CONNECTION_TIMEOUT, Cause.TUNNEL_STALE})
_REFUSALS = frozenset({Cause.HOST_KEY_CHANGED, Cause.HOST_KEY_UNKNOWN, Cause.AUTHENTICATION_FAILED, Cause.PROBE_FAILED})


def evidence(text: str) -> str:
    """The most telling line of an SSH client's error text, cleaned and capped."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    lines = [line for line in lines if not _CHATTER.search(line)]
    for _cause, pattern in _TEXTS:
        for line in lines:
            if pattern.search(line):
                return one_line(line)
    return one_line(lines[-1]) if lines else ""


_CHATTER = re.compile(
    r"^(@+|Authenticated to |Transferred: |Bytes per second|IT IS POSSIBLE|Someone could be|Killed by signal)"
)


_KEY_TROUBLE = re.compile(r'^Load key ".*": (.+)$', re.MULTILINE)


def _key_trouble(text: str) -> str:
    """Why our own ssh could not use the private key. A remote's banner may say the same, so no path is taken over."""
    found = _KEY_TROUBLE.search(text)
    return one_line(found[1], 80).rstrip(".") if found else ""


def explain(
    cause: Cause,
    *,
    remote: Remote | None = None,
    proxy: Proxy | None = None,
    names: Sequence[str] = (),
    detail: str = "",
) -> Trouble:
    """The Trouble for a cause that was found without an SSH text; `names` are the processes or findings it is about."""
    subject = remote or proxy
    assert subject is not None
    return _explain(subject, cause, names=names, detail=detail)


def _explain(
    subject: Remote | Proxy,
    cause: Cause,
    *,
    names: Sequence[str] = (),
    detail: str = "",
    proxy: str = "",
    owners: Sequence[str] = (),
    endless: bool = False,
    key: str = "",
) -> Trouble:
    last_proxy = proxy or (subject.path[-1] if subject.path else "")
    words = {
        "name": subject.name,
        "proxy": last_proxy or "the proxy",
        "port": subject.port if subject.port is not None else 22,
        "address": subject.address or subject.name,
        "user": f"{subject.user}@" if subject.user else "",
        "login": subject.name if "@" in subject.name or not subject.user else f"{subject.user}@{subject.name}",
        "names": one_line(", ".join(names), 600),
        "s": "" if len(names) == 1 else "es",
        "is": "is" if len(names) == 1 else "are",
        "owners": " or ".join(owners),
        "key": key,
        "to": f"{subject.name} through {last_proxy}" if last_proxy else subject.name,
    }
    message, hint = _SENTENCES[cause]
    if cause is Cause.HOST_KEY_CHANGED and owners:
        message, hint = _OTHER_ANSWERS if subject.path and not isinstance(subject, Proxy) else _OTHER_ANSWERS_DIRECTLY
    elif cause is Cause.PROBE_TIMEOUT and endless:
        message = "Logged in to {name}, but its shell prints without end; it was cut off."
    elif cause is Cause.NOT_CHECKED and detail and subject.path:
        message, hint = _PROXY_BROKE
    elif cause is Cause.AUTHENTICATION_FAILED and key:
        message, hint = _KEY_NOT_USED
    elif isinstance(subject, Proxy):
        hint = _PROXY_HINTS.get(cause, hint)
    elif cause is Cause.AUTHENTICATION_FAILED and "prohibited" in detail:
        message = "The proxy {proxy} does not allow forwarding to port {port}."
        hint = "Allow it in the proxy's sshd_config: AllowTcpForwarding yes, and no PermitOpen that excludes the port."
    elif cause is Cause.AUTHENTICATION_FAILED and "negotiate" in detail:
        message = "{name} and the checker have no common SSH algorithm."
        hint = "Update the older side, or allow the offered algorithm in ansible_ssh_common_args."
    return Trouble(cause, message.format_map(words), hint.format_map(words), detail)


_SENTENCES: dict[Cause, tuple[str, str]] = {
    Cause.PROXY_UNREACHABLE: (
        "Not checked: its proxy {proxy} does not answer.",
        "Mend the proxy first: `remotestatus status {proxy}` says what is wrong with it.",
    ),
    Cause.TUNNEL_DOWN: (
        "The proxy {proxy} answers, but nothing listens on the remote port {port} there: the tunnel is not up.",
        "Is {name} powered and online? On it, restart the service that keeps the tunnel; "
        "on {proxy}, `ss -ltn 'sport = :{port}'` shows whether the port is there again.",
    ),
    Cause.TUNNEL_STALE: (
        "The proxy {proxy} still listens on port {port}, but nothing answers: the tunnel's far end is gone.",
        "On {proxy}, `ss -ltnp 'sport = :{port}'` names the sshd process that holds the dead tunnel; end it, or set "
        "ClientAliveInterval 30 in the proxy's sshd_config so that it ends by itself.",
    ),
    Cause.SSHD_DOWN: (
        "The tunnel reaches {name}, but no SSH server answers there: the connection is closed at once.",
        "On {name}, look at `systemctl status ssh`, and whether the tunnel leads to the port that sshd listens on.",
    ),
    Cause.NAME_UNRESOLVED: (
        "The name {address} could not be resolved.",
        "`getent hosts {address}` asks for it; correct ansible_host if it is misspelt.",
    ),
    Cause.CONNECTION_REFUSED: (
        "{address} refuses connections to port {port}: no SSH server listens there.",
        "On {name}, look at `systemctl status ssh`; correct ansible_port if sshd listens elsewhere.",
    ),
    Cause.CONNECTION_TIMEOUT: (
        "No answer from {address}, port {port}: it is off, offline, or a firewall drops the packets.",
        "On the checker, `ping {address}` and `nc -vz {address} {port}` show how far one gets.",
    ),
    Cause.NO_ROUTE: (
        "There is no route to {address}.",
        "On the checker, `ip route get {address}` shows which way is taken; is its network up?",
    ),
    Cause.HOST_KEY_UNKNOWN: (
        "The host key of {name} is not known, so it was not logged in to.",
        "Compare fingerprints and trust it: `remotestatus trust {name}`.",
    ),
    Cause.HOST_KEY_CHANGED: (
        "Another host key than the trusted one answers as {name}: it was reinstalled, or something else has its port.",
        "If it was reinstalled, remove its line from the known_hosts file and run `remotestatus trust {name}`; "
        "else find out who holds port {port}.",
    ),
    Cause.AUTHENTICATION_FAILED: (
        "{name} refuses the log-in of {login}.",
        "`remotestatus ssh {name}` does the same by hand; check ansible_user, the key or password, and authorized_keys "
        "on {name}.",
    ),
    Cause.CONNECTION_LOST: (
        "The connection to {to} broke in the middle.",
        "If it happens again, look at the line and at sshd's log on {name}.",
    ),
    Cause.PROBE_TIMEOUT: (
        "Logged in to {name}, but its shell did not finish in time.",
        "Look with `remotestatus ssh {name}`: is it overloaded, or does a start-up file or a disk hang?",
    ),
    Cause.PROBE_FAILED: (
        "Logged in to {name}, but what came back is not the probe's output.",
        "Look with `remotestatus ssh {name} /bin/sh -c true`: the account needs a shell, and /bin/sh has to be there.",
    ),
    Cause.PROCESS_MISSING: (
        "Not running: {names}.",
        "Start it on {name}; `remotestatus match {name}` shows what runs there and what nearly matches.",
    ),
    Cause.PROCESS_EXCESS: (
        "Running too often: {names}.",
        "`remotestatus match {name}` shows which processes match.",
    ),
    Cause.LIMIT_EXCEEDED: (
        "Over its limits: {names}.",
        "Look at {name} with `remotestatus ssh {name}`; the bounds are in remotestatus_limits.",
    ),
    Cause.CHECK_FAILED: (
        "A check failed: {names}.",
        "Run it by hand with `remotestatus ssh {name}`; the commands are in remotestatus_checks.",
    ),
    Cause.NOT_CHECKED: (
        "No result came back for {name} in this round.",
        "The round was ended before it was its turn; `remotestatus run --limit {name}` looks at it alone.",
    ),
    Cause.CHECKER_ERROR: (
        "The checker itself failed while it looked at {name}.",
        "`remotestatus doctor` examines the checker; `remotestatus run --limit {name}` tries again.",
    ),
}

_OTHER_ANSWERS = (
    "{owners} answers in the place of {name}: the host key is that of {owners}, whose tunnel holds the remote port "
    "{port} on {proxy}.",
    "On {owners}, correct the remote port that its tunnel asks for; on {proxy}, `ss -ltnp 'sport = :{port}'` names the "
    "sshd process that holds the port. Then restart the tunnel of {name}.",
)
_OTHER_ANSWERS_DIRECTLY = (
    "{owners} answers in the place of {name}: the host key is that of {owners}.",
    "Correct ansible_host or ansible_port of {name}, or find out why {address}, port {port}, leads to {owners}.",
)
_PROXY_BROKE = (
    "The connection to the proxy {proxy} broke before {name} had answered.",
    "If it happens again, look at sshd's log on {proxy}: it ended the connection that all remotes behind it share.",
)

_KEY_NOT_USED = (
    "{name} could not be logged in to as {login}: ssh did not use the private key ({key}).",
    "`remotestatus doctor` names the file; `chmod 600` it if others may read it.",
)

_PROXY_HINTS: dict[Cause, str] = {
    Cause.HOST_KEY_UNKNOWN: "Compare fingerprints and trust it: `remotestatus trust {name}`.",
    Cause.HOST_KEY_CHANGED: "If the proxy was reinstalled, remove its line from the known_hosts file and run "
    "`remotestatus trust {name}`; if not, do not connect: someone else may answer in its place.",
    Cause.AUTHENTICATION_FAILED: "`ssh -p {port} {user}{address}` does the same by hand; check ansible_user and the "
    "private key file, and authorized_keys on the proxy.",
    Cause.CONNECTION_LOST: "Look at sshd's log on {name}; it drops connections over MaxStartups.",
}
