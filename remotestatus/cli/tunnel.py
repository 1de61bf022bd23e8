"""`remotestatus tunnel`: forwards a local port to a remote while it runs."""

import errno
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass

import click
from remotestatus_playbook.protocol import HostAnswer, Outcome

from remotestatus.cli.fleet_table import trouble_lines
from remotestatus.cli.opened_inventory import open_inventory
from remotestatus.cli.options import remote_argument, with_inventory
from remotestatus.cli.ssh_session import find_remote, must_be_ssh, note, say_before_ssh, ssh_target, write_config
from remotestatus.cli.terminal import make_console, print_lines
from remotestatus.evaluate import diagnose
from remotestatus.model.errors import ConfigurationError, RoundError
from remotestatus.model.fleet import Fleet, Inventory, Proxy, Remote
from remotestatus.model.untrusted_text import one_line
from remotestatus.probe import AnsibleSource

_LOOPBACK = "127.0.0.1"
_READY = "debug1: Entering interactive session"
_DESTINATION = re.compile(r"(?:(?P<host>\[[0-9A-Fa-f:.]+\]|[^:\s\[\]]+):)?(?P<port>\d{1,5})")
_DEBUGGING = re.compile(r"^debug\d: ")


@dataclass(frozen=True, slots=True)
class Mapping:
    """A local forwarding: to `where`, as seen from `through`, the host that ssh logs in to."""

    remote: Remote
    through: Remote | Proxy
    port: int
    where: str


@click.command()
@remote_argument()
@click.option("-p", "--port", type=click.IntRange(1, 65535), help="Local port.  [default: the remote's virtual port]")
@click.option("--to", "destination", metavar="[HOST:]PORT", help="Map this, as seen from REMOTE, instead of its SSH.")
@with_inventory
def command(source: AnsibleSource, name: str, port: int | None, destination: str | None) -> None:
    """
    Map the virtual port of REMOTE (remotestatus_forwarded_port) on this machine, until Ctrl-C.

    By itself, the port leads through the proxy to the remote's SSH server, so that any SSH client on this machine
    reaches the remote at 127.0.0.1. With --to it leads to something else on the remote, or beyond it:

    \b
      remotestatus tunnel capture-1
      remotestatus tunnel capture-1 --port 8080 --to 80      # its web interface, at http://127.0.0.1:8080/

    Exit code 0 after Ctrl-C; 3 when the connection could not be made, or ended by itself.
    """
    inventory = open_inventory(source)
    remote = find_remote(inventory, name)
    must_be_ssh(remote)
    mapping = _plan(inventory.fleet, remote, port, destination)
    _must_be_free(mapping.port, remote)
    say_before_ssh(inventory, mapping.through)
    options = (
        *("ControlMaster=no", "ControlPath=none", "ExitOnForwardFailure=yes", "LogLevel=DEBUG1"),
        *("ServerAliveInterval=15", "ServerAliveCountMax=3", "ConnectTimeout=20", "ForwardAgent=no"),
    )
    arguments = ["ssh", "-F", str(write_config(source, inventory)), "-N", "-T"]
    arguments += [word for option in options for word in ("-o", option)]
    arguments += ["-L", f"{_LOOPBACK}:{mapping.port}:{mapping.where}", *ssh_target(inventory, mapping.through)]
    sys.exit(_keep(arguments, mapping, inventory))


def _plan(fleet: Fleet, remote: Remote, port: int | None, destination: str | None) -> Mapping:
    local = port or remote.settings.forwarded_port
    if local is None:
        raise ConfigurationError(
            f"{remote.name} has no virtual port; set remotestatus_forwarded_port for it, or give --port, for example "
            f"`remotestatus tunnel {shlex.quote(remote.name)} --port 2222`"
        )
    if destination is not None:
        return Mapping(remote, remote, local, _read_destination(destination))
    if not remote.path:
        raise ConfigurationError(
            f"{remote.name} is reached directly, so its SSH needs no mapping: `remotestatus ssh "
            f"{shlex.quote(remote.name)}` logs in; --to maps something else on it, for example --to 80"
        )
    address = f"[{remote.address}]" if ":" in remote.address else remote.address
    return Mapping(remote, fleet.hops(remote.path)[-1], local, f"{address}:{remote.port or 22}")


def _read_destination(text: str) -> str:
    found = _DESTINATION.fullmatch(text.strip())
    if found is None or not 0 < int(found["port"]) < 65536:
        raise ConfigurationError(f"--to {text!r} is no destination; write [HOST:]PORT, for example 80 or 10.0.0.5:443")
    return f"{found['host'] or 'localhost'}:{found['port']}"


def _must_be_free(port: int, remote: Remote) -> None:
    """Raises RoundError when nothing can listen on this port: `ssh` would only find out after the log-in."""
    other = f"take another one: `remotestatus tunnel {shlex.quote(remote.name)} --port {port % 50000 + 10000}`"
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_LOOPBACK, port))
        except OSError as error:
            if error.errno == errno.EACCES:
                raise RoundError(
                    f"port {port} is for root alone, as all below 1024 are; {other}, or let everybody have it: "
                    f"`sysctl net.ipv4.ip_unprivileged_port_start={port}`"
                ) from error
            if error.errno == errno.EADDRINUSE:
                raise RoundError(
                    f"port {port} is in use on this machine, perhaps by another `remotestatus tunnel`; "
                    f"`ss -ltnp 'sport = :{port}'` names the process, or {other}"
                ) from error
            raise RoundError(f"port {port} cannot be used: {error.strerror}; {other}") from error


# -- while it lasts ----------------------------------------------------------------------------------------------------


def _keep(arguments: list[str], mapping: Mapping, inventory: Inventory) -> int:
    """Run `ssh` until it ends or is stopped; print what is mapped as soon as it is, and why `ssh` ended."""
    errors: list[str] = []
    ready = False
    try:
        process = subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={**os.environ, "LC_ALL": "C.UTF-8"},
            text=True,
            errors="replace",
        )
    except OSError as error:
        raise RoundError(f"ssh could not be started: {error.strerror}; install openssh-client") from error
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # counts as Ctrl-C
    with process:
        assert process.stderr is not None
        try:
            for line in process.stderr:
                if line.startswith(_READY) and not ready:
                    ready = True
                    _say_mapped(mapping, inventory)
                elif not _DEBUGGING.match(line):
                    errors.append(line)
                    if ready and not line.startswith(("Killed by signal", "Connection to ")):
                        note(one_line(line))
            process.wait()
        except KeyboardInterrupt:
            click.echo(f"\nPort {mapping.port} is no longer mapped.")
            return 0
        finally:
            process.terminate()
    _say_ended(mapping, inventory.fleet, "".join(errors), ready=ready)
    return 3


def _say_mapped(mapping: Mapping, inventory: Inventory) -> None:
    remote = mapping.remote
    here = f"{_LOOPBACK}:{mapping.port}"
    if mapping.through is not remote:
        options = shlex.join(inventory.ssh.mapped[remote.name])
        click.echo(
            f"{here} is mapped to {remote.name} (port {remote.port or 22} on {mapping.through.name}). Use it with:"
        )
        click.echo(f"  ssh -p {mapping.port} {options} {_LOOPBACK}")
        click.echo(f"Other clients: host {_LOOPBACK}, port {mapping.port}, user {remote.user or 'as always'}.")
    else:
        click.echo(f"{here} is mapped to {mapping.where} as seen from {remote.name}.")
    click.echo("Ctrl-C ends it.")
    sys.stdout.flush()


def _say_ended(mapping: Mapping, fleet: Fleet, text: str, *, ready: bool) -> None:
    if ready:
        last = next((line for line in reversed(text.splitlines()) if line.strip()), "")
        note(
            f"the connection to {mapping.through.name} ended, so port {mapping.port} is no longer mapped"
            + (f" (seen: {one_line(last)})" if last else "")
        )
        return
    subject = _who_failed(fleet, mapping.through, text)
    console = make_console(stderr=True)
    note(f"port {mapping.port} could not be mapped to {mapping.remote.name}:")
    trouble = diagnose(subject, HostAnswer(Outcome.SSH_FAILED, stderr=text))
    print_lines(console, trouble_lines(trouble))


_FIRST_STEP = re.compile(
    r"^ssh: (connect to host|Could not resolve hostname) |^Connection (to|closed by|reset by) (?!UNKNOWN)\S+ port ",
    re.MULTILINE,
)
_REFUSED = re.compile(r"permission denied|host key verification failed|too many authentication", re.IGNORECASE)


def _who_failed(fleet: Fleet, subject: Remote | Proxy, text: str) -> Remote | Proxy:
    """The remote or proxy that the text is about: `ssh` also prints what the `ssh` of a jump prints."""
    hops = fleet.hops(subject.path)
    if not hops or "kex_exchange_identification" not in text:
        return subject  # no jump ended before the far end's banner
    if _FIRST_STEP.search(text):
        return hops[0]  # the only step that is made from this machine; all others have no address of their own
    if _REFUSED.search(text):
        lowered = text.lower()
        return next((hop for hop in hops if hop.name.lower() in lowered or hop.address.lower() in lowered), hops[0])
    return subject
