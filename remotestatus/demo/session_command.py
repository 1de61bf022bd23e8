"""
Runs the command of one SSH session in /bin/sh, as the current user, with all three streams.

Returns when the command has ended or the client has gone. The command's process group is killed with the session. The
streams are copied by hand, because asyncssh's own `redirect` loses the end of a long output.
"""

import asyncio
import os
import signal
from asyncio.subprocess import PIPE, Process
from contextlib import suppress
from pathlib import Path

import asyncssh

_CHUNK = 65_536
_SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_DRAIN_SECONDS = 1.0


async def run_session(session: asyncssh.SSHServerProcess[bytes], home: Path, user: str) -> None:
    """Runs the session's command in `home`, and sends the client its exit status."""
    if session.command is None:
        session.stderr.write(b"This demo remote runs commands, and has no terminal to offer.\r\n")
        session.exit(1)
        return
    environment = {"PATH": _SEARCH_PATH, "HOME": str(home), "USER": user, "LOGNAME": user, "SHELL": "/bin/sh"}
    child = await asyncio.create_subprocess_shell(
        session.command,
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
        cwd=home,
        env=environment,
        start_new_session=True,
    )
    transfer = asyncio.create_task(_transfer(session, child))
    gone = asyncio.create_task(session.channel.wait_closed())
    try:
        await asyncio.wait({transfer, gone}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        transfer.cancel()
        gone.cancel()
        await asyncio.gather(transfer, gone, return_exceptions=True)
        await _drain_pipes(child)


async def _transfer(session: asyncssh.SSHServerProcess[bytes], child: Process) -> None:
    assert child.stdin is not None
    assert child.stdout is not None
    assert child.stderr is not None
    feeding = asyncio.create_task(_feed(session.stdin, child.stdin))
    try:
        await asyncio.gather(_relay(child.stdout, session.stdout), _relay(child.stderr, session.stderr))
        status = await child.wait()
    finally:
        feeding.cancel()
        await asyncio.gather(feeding, return_exceptions=True)
    if status < 0:
        session.exit_with_signal(signal.Signals(-status).name.removeprefix("SIG"))
    else:
        session.exit(status)


async def _feed(source: asyncssh.SSHReader[bytes], target: asyncio.StreamWriter) -> None:
    """Copies the client's input to the command, no faster than the command reads it."""
    with suppress(OSError, asyncssh.Error):
        while not source.at_eof():
            try:
                chunk = await source.read(_CHUNK)
            except (asyncssh.BreakReceived, asyncssh.SignalReceived, asyncssh.TerminalSizeChanged):
                continue
            target.write(chunk)
            await target.drain()
    target.close()


async def _relay(source: asyncio.StreamReader, target: asyncssh.SSHWriter[bytes]) -> None:
    """Copies the command's output to the client, no faster than the client reads it."""
    with suppress(OSError, asyncssh.Error):
        while chunk := await source.read(_CHUNK):
            target.write(chunk)
            await target.drain()


async def _drain_pipes(child: Process) -> None:
    """Reads what a killed command left in its pipes, so that they are closed."""
    with suppress(TimeoutError, OSError):
        await asyncio.wait_for(child.communicate(), _DRAIN_SECONDS)
