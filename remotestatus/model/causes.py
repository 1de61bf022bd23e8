"""
Why a remote or proxy is not up (Cause), and all that follows from each cause.

A cause is declared here once, with its status and its words; messages, public pages, retries and the table in the
documents read the declaration. What recognises a cause is in `evaluate`.
"""

from dataclasses import KW_ONLY, dataclass
from enum import Enum, StrEnum
from typing import Self

from remotestatus.model.status_words import Status


@dataclass(frozen=True, slots=True)
class CauseDeclaration:
    """
    A cause's code, and what follows from it.

    `message` and `hint` are for people; `{name}`, `{proxy}`, `{port}`, `{address}`, `{login}` and `{names}` are filled
    in. `over` is the message when findings of this cause are over. `proxy_hint` takes the hint's place for a proxy.
    `public` is the message for public pages, without names. The documentation shows it, or `seen` if that says more.
    """

    code: str
    _: KW_ONLY
    status: Status
    message: str
    hint: str
    over: str = "Over: {names}."
    proxy_hint: str = ""
    public: str
    seen: str = ""
    retried: bool = True
    """Whether it is worth another attempt in the same round."""
    waits: bool = False
    """Whether an attempt with this cause took its whole timeout."""
    of_another: bool = False
    """Whether it belongs to the incident of a proxy or worker."""
    about_trust: bool = False
    """Whether one side refused the other by its key or log-in: trying again could only lock us out."""


class Cause(StrEnum):
    """Why a remote or proxy is not up, along the path checker, proxy, tunnel, sshd, shell, process."""

    declaration: CauseDeclaration

    def __new__(cls, declaration: CauseDeclaration) -> Self:
        """Make a member that is its code and carries its declaration."""
        cause = str.__new__(cls, declaration.code)
        cause._value_ = declaration.code
        cause.declaration = declaration
        return cause

    PROXY_UNREACHABLE = CauseDeclaration(
        "proxy-unreachable",
        status=Status.UNKNOWN,
        message="Not checked: its proxy {proxy} does not answer.",
        hint="Mend the proxy {proxy} first: its own entry says what is wrong with it.",
        public="Not checked: its proxy does not answer.",
        retried=False,
        of_another=True,
    )
    TUNNEL_DOWN = CauseDeclaration(
        "tunnel-down",
        status=Status.DOWN,
        message="The proxy {proxy} answers, but nothing listens on the remote port {port} there: the tunnel is not up.",
        hint="Is {name} powered and online? On it, restart the service that keeps the tunnel; "
        "on {proxy}, `ss -ltn 'sport = :{port}'` shows whether the port is there again.",
        public="The proxy answers, but the tunnel is not up.",
    )
    TUNNEL_STALE = CauseDeclaration(
        "tunnel-stale",
        status=Status.DOWN,
        message="The proxy {proxy} still listens on port {port}, but nothing answers: the tunnel's far end is gone.",
        hint="On {proxy}, `ss -ltnp 'sport = :{port}'` names the sshd process that holds the dead tunnel; end it, "
        "or set ClientAliveInterval 30 in the proxy's sshd_config so that it ends by itself.",
        public="The proxy still holds the tunnel, but its far end is gone.",
        waits=True,
    )
    SSHD_DOWN = CauseDeclaration(
        "sshd-down",
        status=Status.DOWN,
        message="The tunnel reaches {name}, but no SSH server answers there: the connection is closed at once.",
        hint="On {name}, look at `systemctl status ssh`, and whether the tunnel leads to the port that sshd "
        "listens on.",
        public="The tunnel is up, but no SSH server answers at its end.",
    )
    CONNECTION_THROTTLED = CauseDeclaration(
        "connection-throttled",
        status=Status.DOWN,
        message="An SSH server answers as {name}, and turns us away for now.",
        hint="Its sshd limits connections: raise MaxStartups, and exempt the checker from PerSourcePenalties with "
        "PerSourcePenaltyExemptList in the sshd_config of {name}. Through a tunnel all log-ins come from 127.0.0.1, so "
        "one client that fails shuts out all; look for it in sshd's log.",
        public="An SSH server is there, and turns us away for now.",
    )
    NAME_UNRESOLVED = CauseDeclaration(
        "name-unresolved",
        status=Status.DOWN,
        message="The name {address} could not be resolved.",
        hint="`getent hosts {address}` asks for it; correct ansible_host if it is misspelt.",
        public="Its name could not be resolved.",
    )
    CONNECTION_REFUSED = CauseDeclaration(
        "connection-refused",
        status=Status.DOWN,
        message="{address} refuses connections to port {port}: no SSH server listens there.",
        hint="On {name}, look at `systemctl status ssh`; correct ansible_port if sshd listens elsewhere.",
        public="It refuses connections: no SSH server listens there.",
        seen="Direct remotes and proxies: nothing listens on the port.",
    )
    CONNECTION_TIMEOUT = CauseDeclaration(
        "connection-timeout",
        status=Status.DOWN,
        message="No answer from {address}, port {port}: it is off, offline, or a firewall drops the packets.",
        hint="On the checker, `ping {address}` and `nc -vz {address} {port}` show how far one gets.",
        public="No answer: it is off, offline, or behind a firewall.",
        seen="Direct remotes and proxies: no answer at all.",
        waits=True,
    )
    NO_ROUTE = CauseDeclaration(
        "no-route",
        status=Status.DOWN,
        message="There is no route to {address}.",
        hint="On the checker, `ip route get {address}` shows which way is taken; is its network up?",
        public="There is no route to it.",
    )
    HOST_KEY_UNKNOWN = CauseDeclaration(
        "host-key-unknown",
        status=Status.DOWN,
        message="The host key of {name} is not known, so it was not logged in to.",
        hint="Compare fingerprints and trust it: `remotestatus trust {name}`.",
        public="Its host key is not known, so it was not logged in to.",
        retried=False,
        about_trust=True,
    )
    HOST_KEY_CHANGED = CauseDeclaration(
        "host-key-changed",
        status=Status.DOWN,
        message="Another host key than the trusted one answers as {name}: it was reinstalled, or something else "
        "has its port.",
        hint="If it was reinstalled, `remotestatus trust {name}` shows both keys and asks before it replaces the "
        "trusted one; else find out who holds port {port}.",
        proxy_hint="If the proxy was reinstalled, `remotestatus trust {name}` shows both keys and asks before it "
        "replaces the trusted one; if not, do not connect: someone else may answer in its place.",
        public="It answers with another host key than the trusted one.",
        seen="It answers with another key than the trusted one; if it is another remote's, its name is given.",
        retried=False,
        about_trust=True,
    )
    AUTHENTICATION_FAILED = CauseDeclaration(
        "authentication-failed",
        status=Status.DOWN,
        message="{name} refuses the log-in of {login}.",
        hint="`remotestatus ssh {name}` does the same by hand; check ansible_user, the key or password, and "
        "authorized_keys on {name}.",
        proxy_hint="`remotestatus ssh {name}` does the same by hand; check ansible_user and the private key file, and "
        "authorized_keys on the proxy.",
        public="It refuses the log-in.",
        seen="It refuses the log-in, or the proxy forbids the port.",
        retried=False,
        about_trust=True,
    )
    CONNECTION_LOST = CauseDeclaration(
        "connection-lost",
        status=Status.DOWN,
        message="The connection to {to} broke in the middle.",
        hint="If it happens again, look at the line and at sshd's log on {name}.",
        proxy_hint="Look at sshd's log on {name}; it drops connections over MaxStartups.",
        public="The connection broke in the middle.",
    )
    PROBE_TIMEOUT = CauseDeclaration(
        "probe-timeout",
        status=Status.DOWN,
        message="Logged in to {name}, but its shell did not finish in time.",
        hint="Look with `remotestatus ssh {name}`: is it overloaded, or does a start-up file or a disk hang?",
        public="Logged in, but its shell did not finish in time.",
        waits=True,
    )
    PROBE_FAILED = CauseDeclaration(
        "probe-failed",
        status=Status.DOWN,
        message="Logged in to {name}, but what came back is not the probe's output.",
        hint="Look with `remotestatus ssh {name} /bin/sh -c true`: the account needs a shell, and /bin/sh has to "
        "be there.",
        public="Logged in, but what came back is not the probe's output.",
    )
    BECOME_FAILED = CauseDeclaration(
        "become-failed",
        status=Status.DEGRADED,
        message="Logged in to {name}, but {method} did not allow the change to the user {become}.",
        hint="Allow {become} on {name} in the configuration of {method}, set ansible_become_password, or probe "
        "without: `ansible_become: false`.",
        public="Logged in, but the change of user was refused.",
        seen="Logged in, but the change of user (`ansible_become`) was refused; processes are unknown.",
    )
    PROCESS_MISSING = CauseDeclaration(
        "process-missing",
        status=Status.DEGRADED,
        message="Not running: {names}.",
        over="Running again: {names}.",
        hint="Start it on {name}; `remotestatus match {name}` shows what runs there and what nearly matches.",
        public="A process that has to run does not.",
    )
    PROCESS_EXCESS = CauseDeclaration(
        "process-excess",
        status=Status.DEGRADED,
        message="Running too often: {names}.",
        over="No longer running too often: {names}.",
        hint="`remotestatus match {name}` shows which processes match.",
        public="A process runs too often.",
    )
    LIMIT_EXCEEDED = CauseDeclaration(
        "limit-exceeded",
        status=Status.DEGRADED,
        message="Over its limits: {names}.",
        over="Within its limits again: {names}.",
        hint="Look at it with {shell}; the bounds are in remotestatus_limits.",
        public="It is over one of its limits.",
    )
    CHECK_FAILED = CauseDeclaration(
        "check-failed",
        status=Status.DEGRADED,
        message="A check failed: {names}.",
        over="Passed again: {names}.",
        hint="Run it by hand with {shell}; the commands are in remotestatus_checks.",
        public="One of its checks failed.",
        seen="A check failed, or processes could not all be listed.",
    )
    FILE_STALE = CauseDeclaration(
        "file-stale",
        status=Status.DEGRADED,
        message="A file is missing, old or too small: {names}.",
        over="New enough again: {names}.",
        hint="Look at its folder with {shell}: does the program that writes it still run, and is there room on the "
        "disk?",
        public="A file is missing, old or too small.",
    )
    UNIT_FAILED = CauseDeclaration(
        "unit-failed",
        status=Status.DEGRADED,
        message="A systemd unit is not as it should be: {names}.",
        over="As it should be again: {names}.",
        hint="On {name}, `systemctl status` and `journalctl -e -u`, each with the unit's name, say why.",
        public="A systemd unit is not as it should be.",
    )
    DEVICE_UNREACHABLE = CauseDeclaration(
        "device-unreachable",
        status=Status.DEGRADED,
        message="A device behind it does not answer as it should: {names}.",
        over="Answers again: {names}.",
        hint="The box itself is reached. If the device does not answer, look at its power and cable: on {name}, `nc "
        "-vz` with its host and port asks again, and the sshd there needs AllowTcpForwarding for this. If its "
        "certificate has expired, renew that on the device.",
        public="A device behind it does not answer as it should.",
    )
    BOOT_LOOP = CauseDeclaration(
        "boot-loop",
        status=Status.DEGRADED,
        message="It starts again and again: {names}.",
        hint="Look at the power supply of {name} first. `journalctl --list-boots` shows its starts, and `journalctl -e "
        "-b -1` the end of the last run: a watchdog, a panic or a lack of memory starts it, too.",
        public="It starts again and again.",
        seen="Three starts within three check intervals, at least 30 minutes and at most 6 hours.",
    )
    STORAGE_FAULT = CauseDeclaration(
        "storage-fault",
        status=Status.DEGRADED,
        message="Its storage is at fault: {names}.",
        hint="Save what is needed from {name} while it can be read. `dmesg` says what the disk or card answered; fsck "
        "mends the file system at the next start, a worn card has to be replaced.",
        public="Its storage is at fault.",
        seen="A file system became read-only, or counts errors.",
    )
    WORKER_UNREACHABLE = CauseDeclaration(
        "worker-unreachable",
        status=Status.UNKNOWN,
        message="Not checked: the worker {proxy} that looks at it does not answer.",
        hint="Mend the worker first: `remotestatus doctor` says what is wrong with it.",
        public="Not checked: the worker that looks at it does not answer.",
        seen="The worker that looks at it does not answer, and no other may.",
        retried=False,
        of_another=True,
    )
    UNSUPPORTED = CauseDeclaration(
        "unsupported",
        status=Status.UNKNOWN,
        message="{name} cannot be checked: its connection ({connection}) leads to no POSIX shell.",
        hint="Take it out of this inventory, or check it as Windows or a network device with something else.",
        public="Its kind of connection cannot be checked.",
        seen="Its connection leads to no POSIX shell: Windows, a network device.",
        retried=False,
    )
    NOT_CHECKED = CauseDeclaration(
        "not-checked",
        status=Status.UNKNOWN,
        message="No result came back for {name} in this round.",
        hint="The round was ended before it was its turn; `remotestatus run --limit {name}` checks it alone.",
        public="No result came back in this round.",
    )
    CHECKER_ERROR = CauseDeclaration(
        "checker-error",
        status=Status.UNKNOWN,
        message="The checker itself failed while it checked {name}.",
        hint="`remotestatus doctor` examines the checker; `remotestatus run --limit {name}` tries again.",
        public="The checker itself failed.",
    )

    @property
    def status(self) -> Status:
        """The one status that this cause implies."""
        return self.declaration.status


class SpecialCase(Enum):
    """
    A more specific case of a cause: its message and hint replace those of the cause.

    An empty one keeps the cause's. `{owners}` (of a host key) and `{key}` (why a key was not used) are filled in too.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        self.message = message
        self.hint = hint

    ANOTHER_REMOTE_ANSWERS = (
        "{owners} answers in the place of {name}: the host key is that of {owners}, whose tunnel holds the remote port "
        "{port} on {proxy}.",
        "On {owners}, correct the remote port that its tunnel asks for; on {proxy}, `ss -ltnp 'sport = :{port}'` names "
        "the sshd process that holds the port. Then restart the tunnel of {name}.",
    )
    ANOTHER_HOST_ANSWERS = (
        "{owners} answers in the place of {name}: the host key is that of {owners}.",
        "Correct ansible_host or ansible_port of {name}, or find out why {address}, port {port}, leads to {owners}.",
    )
    KEY_NOT_USED = (
        "{name} could not be logged in to as {login}: ssh did not use the private key ({key}).",
        "`remotestatus doctor` names the file; `chmod 600` it if others may read it.",
    )
    FORWARDING_PROHIBITED = (
        "The proxy {proxy} does not allow forwarding to port {port}.",
        "Allow it in the proxy's sshd_config: AllowTcpForwarding yes, and no PermitOpen that excludes the port.",
    )
    NO_COMMON_ALGORITHM = (
        "{name} and the checker have no common SSH algorithm.",
        "Update the older side, or allow the offered algorithm in ansible_ssh_common_args.",
    )
    SUDO_REFUSED = (
        "Logged in to {name}{as_user}, but sudo did not allow the change to the user {become}.",
        "On {name}, `visudo -f /etc/sudoers.d/remotestatus`, one line: `{who} ALL=({become}) NOPASSWD: /bin/sh`; or "
        "set ansible_become_password, or probe without: `ansible_become: false`.",
    )
    DOAS_REFUSED = (
        "Logged in to {name}{as_user}, but doas did not allow the change to the user {become}.",
        "On {name}, a line in /etc/doas.conf: `permit nopass {who} as {become} cmd /bin/sh`; or set "
        "ansible_become_password, or probe without: `ansible_become: false`.",
    )
    RUN0_REFUSED = (
        "Logged in to {name}{as_user}, but run0 did not allow the change to the user {become}.",
        "On {name}, in /etc/polkit-1/rules.d/60-remotestatus.rules: `polkit.addRule(function(action, subject) {{ "
        "if (action.id == 'org.freedesktop.systemd1.manage-units' && subject.user == '{who}') return "
        "polkit.Result.YES; }});`; or probe without: `ansible_become: false`.",
    )
    BECOME_NOT_FOUND = (
        "Logged in to {name}{as_user}, but {method}, which has to change to the user {become}, is not there.",
        "Install it on {name}, name it by ansible_become_exe, choose another ansible_become_method, or probe without: "
        "`ansible_become: false`.",
    )
    BECOME_PASSWORD_WRONG = (
        "Logged in to {name}{as_user}, but {method} refused the password for the change to the user {become}.",
        "Correct ansible_become_password of {name}: sudo asks for the password of the user who logs in, su for that of "
        "{become}.",
    )
    VARIABLE_WRONG = (
        "The inventory does not say how to check {name}: {problem}",
        "Correct the variable for {name}; `ansible-inventory --host {name}` shows what it has.",
    )
    PLUGIN_FAILED = (
        "Ansible's connection {connection} did not reach {name}.",
        "`ansible {name} -m raw -a true` does the same by hand.",
    )
    PLUGIN_UNUSABLE = (
        "Ansible's connection {connection} could not be used for {name}.",
        "`ansible {name} -m raw -a true` does the same by hand: the checker may lack a program or Python package that "
        "this plugin needs.",
    )
    PLUGIN_HANGS = (
        "Ansible's connection {connection} to {name} did not bring an answer in time.",
        "`ansible {name} -m raw -a true` does the same by hand: is it overloaded, or does its shell hang?",
    )
    SAYS_NOTHING = (
        "{address}, port {port}, accepts connections, but nothing answers there: the machine or its SSH server hangs.",
        "Look at {address} itself: is it frozen, or overloaded? `nc {address} {port}` prints a line if it answers.",
    )
    ENDLESS_OUTPUT = ("Logged in to {name}, but its shell prints without end; it was cut off.",)
    WORKER_SILENT = (
        "The worker {name} was asked to look, and no longer says anything.",
        "Log in to {name}: is it overloaded, or its line gone? `remotestatus doctor` tries the worker again.",
    )
    WORKER_ENDED = (
        "The worker {name} ended before it had answered.",
        "Is ansible-runner installed on {name}, and its `program` or `command` right? `remotestatus doctor` tries it.",
    )
    WORKER_TOO_SLOW = (
        "The worker {name} did not finish in time.",
        "Log in to {name}: is it overloaded? `remotestatus doctor` tries the worker again.",
    )
    WORKER_SENDS_GARBAGE = (
        "What the worker {name} sends is not what ansible-runner sends.",
        "Does a start-up file of the shell on {name} print something? `remotestatus doctor` tries the worker again.",
    )
    WORKER_LIES = (
        "The worker {name} answered for hosts that it was not asked about; that was refused.",
        "Find out who else may change what runs on {name}; until then, take it out of remotestatus_workers.",
    )
    WORKER_FAILED = (
        "Ansible on the worker {name} could not run the checks.",
        "On {name}, `ansible-playbook --version` has to work, with Python 3.11 and ansible-core 2.19 or newer; it lies "
        "beside ansible-runner or in its PATH. `remotestatus doctor` tries the worker again.",
    )
    WORKER_NOT_STARTED = (
        "On the worker {name}, ansible-runner could not be started.",
        "Install ansible-core and ansible-runner on {name}, or correct its `program`. `remotestatus doctor` tries it.",
    )
    WORKER_FULL = (
        "The worker {name} has no room for what it is sent.",
        "Make room in $XDG_RUNTIME_DIR, $TMPDIR or /tmp of its account, the first of them that is set.",
    )
    PROXY_CONNECTION_LOST = (
        "The connection to the proxy {proxy} broke before {name} had answered.",
        "If it happens again, look at sshd's log on {proxy}: it ended the connection that all remotes behind it share.",
    )
    PROXY_OUT_OF_SIGHT = (
        "{name} was not checked: its proxy {proxy} does not answer {place}, and nobody else looks at {name}. From "
        "elsewhere the proxy answers.",
        "Look at the network between {place} and {proxy}: `remotestatus doctor` tries the proxies from each worker.",
    )
    NO_SSH = (
        "{name} was not checked: the program ssh could not be started on the checker.",
        "Install the OpenSSH client: `apt-get install openssh-client`; or correct ansible_ssh_executable.",
    )
    NO_TIMEOUT = (
        "{name} was not checked: there is no program timeout on the checker.",
        "Install coreutils: `apt-get install coreutils`.",
    )
    NO_ASKPASS = (
        "{name} was not checked: the checker could not start the program that hands ssh the password.",
        "It has to be executable: correct the mode of the file that is named, or mount its file system without noexec.",
    )
    NO_PROXY_PROGRAM = (
        "{name} was not checked: the program of its ProxyCommand is not on the checker.",
        "Install it, or correct ProxyCommand in ansible_ssh_common_args or ~/.ssh/config.",
    )
    FILE_REFUSED = (
        "{name} was not checked: ssh refuses a configuration file of the checker's.",
        "It has to be there, to belong to the user who runs rounds or to root, and nobody else may write to it: "
        "`chown` it, and `chmod go-w` it.",
    )
    OPTION_REFUSED = (
        "{name} was not checked: ssh does not take an option of its configuration.",
        "Correct it in the SSH arguments of the inventory, ~/.ssh/config or /etc/ssh/ssh_config; "
        "`remotestatus doctor` says which file it is in.",
    )
    SOCKET_TOO_LONG = (
        "{name} was not checked: the checker has no room for the socket of a shared connection.",
        "Let rounds use a folder with a short path: `export TMPDIR=/tmp`.",
    )


def causes_table(*, hints: bool = True) -> str:
    """The Markdown table of all causes for the documentation, with their hints if wanted."""
    columns = ["cause", "status", "what was seen", *(["what to do"] if hints else [])]
    rows = [columns, ["---"] * len(columns)]
    words = {word: word.upper() for word in ("proxy", "port", "address", "login", "become", "method")}
    for cause in Cause:
        declared = cause.declaration
        hint = declared.hint.format_map({**words, "name": "REMOTE", "shell": "`remotestatus ssh REMOTE`"})
        rows.append([f"`{cause}`", declared.status, declared.seen or declared.public, *([hint] if hints else [])])
    return "".join(f"| {' | '.join(row)} |\n" for row in rows).replace("| --- |", "|---|").replace(" --- |", "---|")
