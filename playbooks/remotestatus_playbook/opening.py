"""
Opens one shared connection to each proxy, and closes them again.

Takes the topology and the round's directory; leaves an answer per proxy there (`proxies/<spec>.json`). All proxies are
opened at the same time, except that one behind another waits for it. Opening is the proxy's probe: whoever can log in
and keep the connection open is up.
"""

import os
import re
import subprocess
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from remotestatus_playbook.children import Secret
from remotestatus_playbook.host_keys import owners_of_offered_key
from remotestatus_playbook.paths import OPENING, Hop, Topology, opening_arguments
from remotestatus_playbook.workdir import Workdir

KEEP_SECONDS = 120
"""A shared connection ends by itself so long after its last use, should nobody close it."""


def open_all(
    topology: Topology,
    workdir: Workdir,
    *,
    wanted: set[str],
    passwords: Mapping[str, Callable[[], str]],
    known_hosts: Path,
    attempts: int = 2,
    seconds: int = 30,
    keep_seconds: int = KEEP_SECONDS,
    fresh: bool = False,
) -> dict[str, dict[str, Any]]:
    """
    Open the connections to the hops whose spec is in `wanted`, and to those before them; return an answer for each.

    `passwords` gives, by inventory name, how to learn a proxy's password. An attempt may take `seconds`. With `fresh`
    a connection that is still open is replaced. An answer's `took_ms` says how long the way there took, also when the
    connection was open already.
    """
    needed = {hop.spec for hop in topology.in_order() if hop.spec in wanted}
    needed |= {before.spec for hop in topology.in_order() if hop.spec in needed for before in hop.path}
    hops = [hop for hop in topology.in_order() if hop.spec in needed]
    answers: dict[str, Future[dict[str, Any]]] = {}
    with ThreadPoolExecutor(max_workers=max(1, len(hops))) as pool:

        def open_one(hop: Hop) -> dict[str, Any]:
            if hop.parent is not None and answers[hop.parent.spec].result()["outcome"] != "answered":
                return {"outcome": "proxy-down", "proxy": hop.parent.name, "attempts": 0}
            password = passwords.get(hop.host.name) if hop.host else None
            answer: dict[str, Any] = {}
            for attempt in range(1, attempts + 1):
                answer = _open(hop, workdir, password, seconds=seconds, keep_seconds=keep_seconds, fresh=fresh)
                answer["attempts"] = attempt
                answer["answered_by"] = owners_of_offered_key(str(answer.get("stderr")), known_hosts)
                if answer["outcome"] == "answered" or _refused(str(answer.get("stderr"))):
                    break
                if attempt < attempts:
                    time.sleep(1)
            return answer

        for hop in hops:
            answers[hop.spec] = pool.submit(open_one, hop)
    results = {}
    for hop in hops:
        results[hop.name] = answers[hop.spec].result()
        workdir.leave("proxies", hop.spec, results[hop.name])
    return results


def _refused(text: str) -> bool:
    """Whether trying again could only lock us out."""
    lowered = text.lower()
    return any(sign in lowered for sign in ("permission denied", "host key", "too many authentication"))


def _open(
    hop: Hop,
    workdir: Workdir,
    password: Callable[[], str] | None,
    *,
    seconds: int,
    keep_seconds: int,
    fresh: bool,
) -> dict[str, Any]:
    environment = {**os.environ, OPENING: "1", "LC_ALL": "C.UTF-8"}
    socket = workdir.control / hop.socket
    log = log_of(socket)
    if is_open(socket):
        if not fresh:
            _shorten(log)
            return {"outcome": "answered", "connect_ms": None, "kept": True, "took_ms": _when_opened(socket)}
        end(socket)
    log.unlink(missing_ok=True)
    said = workdir.path / f"proxy-{hop.socket}.err"
    command = [
        *("ssh", "-F", str(workdir.ssh_config), "-f", "-N"),
        *("-o", "ControlMaster=yes", "-o", f"ControlPersist={keep_seconds}"),
        # What becomes of each remote's channel stands only in this connection's own log; see `Refusals`.
        *("-E", str(log), "-o", "LogLevel=DEBUG"),
        *opening_arguments(hop),
    ]
    secret = None
    if password is not None:
        asked = f"{hop.user or ''}@{hop.host.name if hop.host else hop.target}"
        secret = Secret(password(), asked, workdir.path / f"proxy-{hop.socket}.secret")
        environment |= secret.environment(workdir.tool("askpass"))
    started = time.monotonic()
    with said.open("wb") as stderr:
        try:
            code = subprocess.run(
                ["timeout", "-k", "2", str(seconds), *command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                env=environment,
                check=False,
                start_new_session=True,
            ).returncode
        except OSError as error:
            return {"outcome": "error", "stderr": f"ssh could not be started: {error.strerror}"}
        finally:
            if secret is not None:
                secret.forget()
    taken = round((time.monotonic() - started) * 1000)
    if code == 0:
        with suppress(OSError):  # a full disk costs no more than this
            _took(socket).write_text(str(taken))
        return {"outcome": "answered", "connect_ms": taken, "took_ms": taken}
    lines = [line for line in _text_of(log).splitlines(keepends=True) if not line.startswith("debug")]
    text = (_text_of(said) + "".join(lines))[:8000]
    return {"outcome": "timed-out" if code in (124, 137) else "ssh-failed", "stderr": text, "exit": code}


def is_open(socket: Path) -> bool:
    """Whether the shared connection behind this socket still stands, as far as its own end knows."""
    return socket.exists() and _run(["ssh", "-F", "none", "-S", str(socket), "-O", "check", "x"], 10) == 0


def _took(socket: Path) -> Path:
    """Where it stands how long it took to open this connection, for those who use it later."""
    return socket.with_suffix(".took")


def _when_opened(socket: Path) -> int:
    try:
        return int(_took(socket).read_text())
    except (OSError, ValueError):
        return 0


def log_of(socket: Path) -> Path:
    """Where the shared connection with this socket writes what it sees."""
    return socket.with_suffix(".log")


class Refusals:
    """
    Why a proxy could not connect to an address and port, read from the log of the shared connection to it.

    A client of a shared connection is only told "Session open refused by peer", for a tunnel that is down as for a
    proxy that forbids forwarding; the connection itself is told the reason.
    """

    def __init__(self, log: Path) -> None:
        self._reasons: dict[str, str] = {}
        asked, channels = "", dict[str, str]()
        for line in _text_of(log, 16_000_000).splitlines():
            words = line.strip()
            if found := _ASKED.search(words):
                asked = found[1]
                self._reasons.pop(asked, None)
            elif found := _NEW_CHANNEL.search(words):
                # The number of a channel that has ended is given to the next one.
                channels[found[1]], asked = asked, ""
            elif found := _OPEN_FAILED.match(words):
                self._reasons[channels.pop(found[1], "")] = words
        self._reasons.pop("", None)

    def of(self, address: str, port: int | None) -> str:
        """The reason in the words of OpenSSH, for the last time it was asked; empty when it does not say."""
        return self._reasons.get(f"{address}:{port or 22}", "")


_ASKED = re.compile(r"\bchannel_connect_stdio_fwd:? (\S+)$")
_OPEN_FAILED = re.compile(r"channel (\d+): open failed: ")
_NEW_CHANNEL = re.compile(r"\bchannel (\d+): new\b")


def _text_of(path: Path, most: int = 100_000) -> str:
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - most))
            return file.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return ""


def _shorten(log: Path) -> None:
    """Empty the log of a kept connection; ssh appends to it, so it goes on at the start."""
    with suppress(FileNotFoundError):
        os.truncate(log, 0)


def close_all(topology: Topology, workdir: Workdir) -> None:
    """End every shared connection of this round; one that is gone already is fine."""
    for hop in reversed(topology.in_order()):
        end(workdir.control / hop.socket)


def end(socket: Path) -> None:
    """End the shared connection behind this socket, if there is one."""
    if socket.exists():
        _run(["ssh", "-F", "none", "-S", str(socket), "-O", "exit", "x"], 10)


def _run(command: list[str], seconds: int) -> int:
    try:
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=seconds,
            check=False,
        ).returncode
    except (subprocess.TimeoutExpired, OSError):
        return -1
