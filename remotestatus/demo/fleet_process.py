"""
`python -m remotestatus.demo.fleet_process DIRECTORY [--keep]`: starts a fleet, takes commands, stops it.

It keeps `fleet.json` in the fleet's directory while it runs. It ends on command, on a signal, when its standard input
is closed, or after a day; the remotes' programs end with it. With --keep it goes to the background, and does not read
its standard input.
"""

import asyncio
import hmac
import json
import os
import secrets
import signal
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import asyncssh

from remotestatus.demo.demo_fleet import READY
from remotestatus.demo.fleet_files import write_directory, write_private
from remotestatus.demo.layout import Layout
from remotestatus.demo.members import MEMBERS, PROXY, PROXY_USER, TUNNEL_USER, Fault
from remotestatus.demo.message_receiver import MessageReceiver
from remotestatus.demo.ports import LOOPBACK, Ports, claim_ports
from remotestatus.demo.ssh_servers import Account, ProxyLogin, ProxyServer, RemoteServer, Server

_LIFETIME = 24 * 3600.0


async def serve(layout: Layout, *, keep: bool) -> None:
    """Runs a fleet in `layout` until it is stopped; says so when every part of it runs."""
    ports, listener = claim_ports(len(MEMBERS))
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    MessageReceiver(listener, layout.messages)
    proxy, remotes = _build(layout, ports)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(proxy.stop)
        await proxy.apply_faults()
        for remote in remotes:
            stack.push_async_callback(remote.stop)
        await asyncio.gather(*(remote.apply_faults() for remote in remotes))
        control = ControlServer(proxy, remotes, secrets.token_hex(16), stop)
        server = await asyncio.start_server(control.answer, LOOPBACK, ports.control)
        stack.callback(server.close)
        stack.callback(layout.running.unlink, missing_ok=True)
        _write_running(layout, ports, control.token)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        loop.call_later(_LIFETIME, stop.set)
        if not keep:
            try:
                loop.add_reader(0, _watch_standard_input, stop)
            except PermissionError:  # a file such as /dev/null, which no caller can close
                stop.set()
        _say_ready()
        await stop.wait()
        loop.remove_reader(0)


def _build(layout: Layout, ports: Ports) -> tuple[ProxyServer, tuple[RemoteServer, ...]]:
    """Makes keys, files and servers; starts nothing."""
    logins = {"proxy": _make_key(), "remotes": _make_key()}
    tunnel_keys = {member.name: _make_key() for member in MEMBERS}
    host_keys = {name: _make_key() for name in (PROXY, *tunnel_keys)}
    password = secrets.token_urlsafe(12)
    write_directory(
        layout,
        ports,
        password,
        keys={name: key.export_private_key().decode() for name, key in logins.items()},
        host_keys={name: key.export_public_key().decode() for name, key in host_keys.items()},
    )
    proxy_accounts = (
        Account(PROXY_USER, keys=(logins["proxy"].convert_to_public(),)),
        Account(TUNNEL_USER, keys=tuple(key.convert_to_public() for key in tunnel_keys.values())),
    )
    proxy = ProxyServer(ports.proxy, host_keys[PROXY], proxy_accounts, layout.home(PROXY), ProxyLogin)
    by_key = (logins["remotes"].convert_to_public(),)
    remotes = []
    for position, member in enumerate(MEMBERS):
        account = Account(member.user, password=password) if member.by_password else Account(member.user, keys=by_key)
        server = Server(ports.sshd(position), host_keys[member.name], (account,), layout.home(member.name))
        remotes.append(
            RemoteServer(member, server, ports.tunnel(position), tunnel_keys[member.name], proxy, layout.programs)
        )
    return proxy, tuple(remotes)


def _make_key() -> asyncssh.SSHKey:
    return asyncssh.generate_private_key("ssh-ed25519", comment="remotestatus demo")


def _write_running(layout: Layout, ports: Ports, token: str) -> None:
    beside = layout.running.with_suffix(".new")
    write_private(beside, json.dumps({"pid": os.getpid(), "control": ports.control, "token": token}))
    beside.replace(layout.running)


def _say_ready() -> None:
    """Tell the caller on standard output that it need not wait any longer."""
    sys.stdout.write(READY + "\n")
    sys.stdout.flush()
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)


def _watch_standard_input(stop: asyncio.Event) -> None:
    if not os.read(0, 4096):
        asyncio.get_running_loop().remove_reader(0)
        stop.set()


class FleetOrderError(Exception):
    """An order that cannot be carried out; the text says why."""


@dataclass(slots=True)
class ControlServer:
    """Takes commands with the token of `fleet.json`: one JSON object a connection, one in reply."""

    proxy: ProxyServer
    remotes: tuple[RemoteServer, ...]
    token: str
    stop: asyncio.Event
    _busy: asyncio.Lock = field(default_factory=asyncio.Lock)
    _stopping: list[asyncio.StreamWriter] = field(default_factory=list)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carries out one order. The answer to `stop` is the end of the connection when the process ends."""
        try:
            try:
                order = json.loads(await reader.readline())
                if not hmac.compare_digest(str(order["token"]), self.token):
                    raise FleetOrderError("this is not the token of this fleet")
                if order["do"] == "stop":
                    self._stopping.append(writer)
                    self.stop.set()
                    return
                if order["do"] != "greet":
                    async with self._busy:
                        await self._carry_out(order)
                error = None
            except FleetOrderError as refused:
                error = str(refused)
            except (ValueError, KeyError, TypeError) as wrong:
                error = f"not an order: {wrong}"
            except (OSError, asyncssh.Error) as failed:
                error = f"it did not work: {failed}"
            writer.write(json.dumps({"error": error}).encode() + b"\n")
            await writer.drain()
        finally:
            if writer not in self._stopping:
                writer.close()

    async def _carry_out(self, order: Mapping[str, str]) -> None:
        everyone: tuple[ProxyServer | RemoteServer, ...] = (self.proxy, *self.remotes)
        hosts = {host.name: host for host in everyone}
        host = hosts.get(order["name"])
        if host is None:
            raise FleetOrderError(f"the fleet has no {order['name']}; it has {', '.join(hosts)}")
        faults = {Fault(order["fault"])} if order.get("fault") else set(host.possible_faults)
        if not faults <= host.possible_faults:
            can = ", ".join(sorted(host.possible_faults))
            raise FleetOrderError(f"{host.name} has nothing of that kind to break or mend; it has: {can}")
        if order["do"] == "break":
            host.faults |= faults
        elif order["do"] == "mend":
            host.faults -= faults
        else:
            raise FleetOrderError(f"{order['do']}: no such order; there are greet, break, mend and stop")
        await host.apply_faults()
        if host is self.proxy:
            await asyncio.gather(*(remote.apply_faults() for remote in self.remotes))


if __name__ == "__main__":
    is_kept = "--keep" in sys.argv[2:]
    if is_kept:
        if os.fork():
            os._exit(0)
        os.setsid()
    asyncio.run(serve(Layout(Path(sys.argv[1])), keep=is_kept))
