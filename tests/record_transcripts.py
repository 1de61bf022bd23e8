"""
Records what the installed OpenSSH prints for each failure: `python -m tests.record_transcripts`, best as root.

Breaks a lab, checks it with the playbook and with the plain client, and writes one file per text into
tests/data/transcripts. Each says which cause the text means, so a new OpenSSH version is a new set of files and no new
code: CHECKER_PROGRAMS names a folder with another `ssh`. Nothing is written down that was not printed, but for line
endings, and for folders and accounts of the lab, which get other names. Those of `behind-nat` were recorded in the same
way, with servers on other machines.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from remotestatus_playbook.private_directory import write_whole
from remotestatus_playbook.protocol import ORDER, PROXY_ANSWERS, REMOTE_ANSWERS, ROOT, WORKDIR, Order

from remotestatus.shipped import playbooks
from tests.lab import Lab
from tests.lab.requirements import program
from tests.rounds import forget_key

TRANSCRIPTS = Path(__file__).parent / "data" / "transcripts"

OTHER = [folder] if (folder := os.environ.get("CHECKER_PROGRAMS")) else []
"""A folder with an `ssh` of another version, which the playbook then uses."""

FAULTS: Mapping[str, Callable[[Any], object]] = {
    "tunnel-cut": lambda host: host.cut_tunnel(),
    "tunnel-frozen": lambda host: host.freeze_tunnel(),
    "stopped": lambda host: host.stop(),
    "deaf": lambda host: host.black_hole(),
    "silent": lambda host: host.fall_silent(),
    "closing": lambda host: host.close_at_once(),
    "nameless": lambda host: host.variables.update(ansible_host="no-such-host.invalid"),
    # TCP to the broadcast address has no route on any machine: connect(2) says ENETUNREACH.
    "routeless": lambda host: host.variables.update(ansible_host="255.255.255.255"),
    "key-changed": lambda host: host.change_host_key(),
    "login-refused": lambda host: host.reject_key(),
    "password-refused": lambda host: host.change_password(),
    "no-common-algorithm": lambda host: host.sshd.change(KexAlgorithms="diffie-hellman-group1-sha1"),
    "shell-hangs": lambda host: host.hang_shell(),
    "shell-endless": lambda host: host.print_for_ever(),
    "shell-breaks": lambda host: host.lose_connection(),
    "output-garbage": lambda host: host.run_instead("head -c 3000 /dev/urandom"),
    "mute": lambda host: host.run_instead("exit 0"),
    "signs-off-with-255": lambda host: host.run_instead(
        "echo 'ssh: connect to host x port 22: Connection refused' >&2; exit 255"
    ),
}
"""How a host of the lab is broken, by the name of the fault."""


def break_host(host: Any, fault: str) -> None:
    """Break a host in this way; `whole` and `key-unknown` need nothing here, and `sshd-` is the server's own fault."""
    if fault not in ("whole", "key-unknown"):
        FAULTS[fault.removeprefix("sshd-")](host)


TUNNELLED = {
    "tunnel-cut": "tunnel-down",
    "tunnel-frozen": "tunnel-stale",
    "sshd-stopped": "sshd-down",
    "sshd-closing": "sshd-down",
    "sshd-silent": "tunnel-stale",
    "key-changed": "host-key-changed",
    "key-unknown": "host-key-unknown",
    "login-refused": "authentication-failed",
    "password-refused": "authentication-failed",
    "shell-breaks": "connection-lost",
}
DIRECT = {
    "stopped": "connection-refused",
    "deaf": "connection-timeout",
    "silent": "connection-timeout",
    "closing": "connection-lost",
    "nameless": "name-unresolved",
    "routeless": "no-route",
    "key-changed": "host-key-changed",
    "key-unknown": "host-key-unknown",
    "login-refused": "authentication-failed",
    "no-common-algorithm": "authentication-failed",
    "shell-breaks": "connection-lost",
}
PROXY = {name: cause for name, cause in DIRECT.items() if name not in ("shell-breaks", "no-common-algorithm")}
FORBIDDEN = {"forwarding-forbidden": "authentication-failed"}


@dataclass(frozen=True, slots=True)
class Transcript:
    """One recorded text. `path` is direct, tunnelled or proxy; `how` says who printed it."""

    name: str
    cause: str
    path: str
    how: str
    openssh: str
    text: str
    logged_in: bool = False


def read_transcripts() -> Iterator[Transcript]:
    """Every recorded text, in the order of the files' names."""
    for path in sorted(TRANSCRIPTS.glob("*.yml")):
        yield Transcript(name=path.stem, **yaml.safe_load(path.read_text()))


def build(lab: Lab) -> None:
    """Make one host for each failure and break it."""
    lab.proxy()
    lab.proxy("strict", sshd_config={"AllowTcpForwarding": "remote"})
    for name in TUNNELLED:
        if name == "password-refused":
            break_host(lab.remote(f"tunnelled-{name}", proxy="tunnel-proxy", password="as it was"), name)
        else:
            break_host(lab.remote(f"tunnelled-{name}", proxy="tunnel-proxy"), name)
    lab.remote("tunnelled-forwarding-forbidden", proxy="strict")
    for name in DIRECT:
        break_host(lab.direct(f"direct-{name}"), name)
    for name in PROXY:
        proxy = lab.proxy(f"proxy-{name}", variables={"ansible_ssh_common_args": "-o ConnectTimeout=3"})
        lab.direct(f"behind-{name}", variables={"ansible_ssh_common_args": f"-o ProxyJump=proxy-{name}"})
        break_host(proxy, name)


def check(lab: Lab) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Check everything with the playbook; the answers of the remotes and of the proxies."""
    inventory = lab.write_inventory(remotestatus_timeout=12)
    for host in [*lab.remotes, *lab.proxies]:
        if host.endswith("key-unknown"):
            forget_key(lab, host)
    scripts = Path(sys.executable).parent
    with tempfile.TemporaryDirectory(prefix="rs-", dir="/tmp") as workdir:
        order = Path(workdir) / "order.json"
        write_whole(order, Order())
        subprocess.run(
            [scripts / "ansible-playbook", "-f", "60", "-i", inventory, playbooks() / "check.yml"],
            check=True,
            capture_output=True,
            env={
                "PATH": os.pathsep.join([*OTHER, str(scripts), os.environ["PATH"]]),
                "HOME": workdir,
                WORKDIR: workdir,
                ORDER: str(order),
                ROOT: str(os.getpid()),
            },
        )
        for socket in Path(workdir).iterdir():
            if socket.is_socket():
                subprocess.run(
                    ["ssh", "-F", "none", "-S", socket, "-O", "exit", "any"], capture_output=True, check=False
                )
        return _answers(Path(workdir) / REMOTE_ANSWERS), _answers(Path(workdir) / PROXY_ANSWERS)


def _answers(folder: Path) -> dict[str, Any]:
    return {path.stem: json.loads(path.read_text()) for path in folder.iterdir()}


def record(lab: Lab, version: str) -> Iterator[Transcript]:
    """Check the broken lab, with the playbook and with the plain client."""
    build(lab)
    remotes, proxies = check(lab)
    folders = {str(lab.directory): "/home/checker", str(lab.scratch): "/srv"}

    def transcript(name: str, cause: str, path: str, how: str, text: str, *, logged_in: bool) -> Transcript:
        for folder, shown in folders.items():
            text = text.replace("\r\n", "\n").replace(folder, shown)
        text = re.sub(r"rslab-[0-9a-f]{8}", "remote_user", text)
        return Transcript(name, cause, path, how, version, text, logged_in)

    for path, causes, answers in (
        ("tunnelled", {**TUNNELLED, **FORBIDDEN}, remotes),
        ("direct", DIRECT, remotes),
        ("proxy", PROXY, proxies),
    ):
        for name, cause in causes.items():
            answer = answers[f"{path}-{name}"]
            yield transcript(
                f"{path}-{name}",
                cause,
                path,
                "the playbook" + (", through the shared connection to the proxy" if path == "tunnelled" else ""),
                answer["stderr"],
                logged_in=bool(answer.get("logged_in")),
            )
    for name, cause in {**TUNNELLED, **FORBIDDEN}.items():
        # What needs no shared connection reads otherwise; the key stays unknown only where it was taken away.
        if name not in ("shell-breaks", "key-unknown") and not OTHER:
            done = lab.ssh(f"tunnelled-{name}", connect_timeout=3)
            yield transcript(
                f"tunnelled-{name}-plain", cause, "tunnelled", "plain ssh with ProxyJump", done.stderr, logged_in=False
            )


def main() -> int:
    """Record everything and write it down."""
    client = Path(OTHER[0], "ssh") if OTHER else program("ssh")
    shown = subprocess.run([client, "-V"], check=True, capture_output=True, text=True).stderr
    version = shown.split(",")[0].removeprefix("OpenSSH_").split()[0]
    TRANSCRIPTS.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, Lab(Path(folder)) as lab:
        for found in record(lab, version):
            fields = {name: getattr(found, name) for name in ("cause", "path", "how", "openssh", "logged_in", "text")}
            path = TRANSCRIPTS / f"{version}-{found.name}.yml"
            path.write_text(yaml.dump(fields, sort_keys=False, Dumper=_Readable, width=200))
            print(f"{found.cause:22} {path.name}")
    return 0


class _Readable(yaml.SafeDumper):
    """Writes texts of several lines as such."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Readable.add_representer(str, _text)


if __name__ == "__main__":
    sys.exit(main())
