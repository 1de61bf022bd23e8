"""
Runs one batch on one worker: ansible-runner's `transmit`, the worker's command, and `process`.

It returns the worker's answers, or raises WorkerFault. Each stage has a time limit, and at the end no process of the
command is left on this machine.
"""

import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import ansible_runner
from remotestatus_playbook.protocol import SENT_ORDER, Order, to_json

from remotestatus.model.untrusted_text import one_line
from remotestatus.model.worker_faults import FaultKind
from remotestatus.probe.ansible_configuration import ALWAYS
from remotestatus.probe.workers.time_limits import END_SECONDS, INTERRUPT_SECONDS, LAST_WORDS_SECONDS
from remotestatus.probe.workers.worker_archive import WorkerAnswers, archive_bytes, read_archive
from remotestatus.probe.workers.worker_stream import (
    FEWEST_LINES,
    LINES_PER_REMOTE,
    StreamLimits,
    WorkerFault,
    WorkerStream,
)
from remotestatus.shipped import playbooks as playbooks_folder

_SSH_FAILED = 255
_EXIT_SECONDS = 0.5

Start = Callable[[Callable[[], "subprocess.Popen[bytes]"]], "subprocess.Popen[bytes]"]
"""Starts a process that only its starter ends."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """
    What one worker is sent for one batch, and what may come back.

    `words` are the command; `folder` is a private temporary directory here. Answers are expected for `names` and the
    proxies `aliases`. Secrets are environment variables, which are in no file here. With `ends` the command's input is
    closed after sending, as receptorctl needs; otherwise at the end of the run.
    """

    words: Sequence[str]
    folder: Path
    inventory: str
    known_hosts: str
    order: Order
    names: Collection[str]
    aliases: Collection[str]
    environment: Mapping[str, str]
    ends: bool = False


def run_worker(parcel: Parcel, deadline: float, given_up: Callable[[], bool], start: Start) -> WorkerAnswers:
    """Run a worker, until `deadline` (monotonic) at most. Raises WorkerFault."""
    try:
        _pack(parcel)
    except OSError as error:
        shutil.rmtree(parcel.folder, ignore_errors=True)
        # An error of our own disk is no worker fault.
        raise WorkerFault(FaultKind.GIVEN_UP, f"nothing can be sent to workers: {error.strerror}") from error
    try:
        process = start(lambda: _start(parcel.words))
    except OSError as error:
        shutil.rmtree(parcel.folder, ignore_errors=True)
        raise WorkerFault(FaultKind.ENDED, f"its command could not be started: {error.strerror}") from error
    assert process.stdout is not None
    assert process.stderr is not None
    count = len(parcel.names)
    bounds = StreamLimits(deadline, archive_bytes(count), given_up, lines=FEWEST_LINES + LINES_PER_REMOTE * count)
    stream = WorkerStream(process.stdout.fileno(), process.stderr.fileno(), bounds)
    sender = threading.Thread(target=_transmit, args=(parcel, process), name="transmit", daemon=True)
    sender.start()
    failure = ""
    try:
        failure = _process(parcel, stream)
        if stream.cut:
            raise WorkerFault(FaultKind.ENDED)
        if not stream.archive:
            raise WorkerFault(FaultKind.FAILED)
        return read_archive(stream.archive, parcel.names, parcel.aliases)
    except WorkerFault as fault:
        if fault.fault is FaultKind.FAILED:
            fault.seen = one_line(failure, 300) or fault.seen
        stream.drain(LAST_WORDS_SECONDS)
        fault.stderr = stream.stderr.decode("utf-8", "replace")
        if fault.fault is FaultKind.ENDED and not parcel.ends and not fault.stderr and _code(process) == _SSH_FAILED:
            fault.fault = FaultKind.LOST
        raise
    finally:
        _end(process, sender, patience=END_SECONDS if stream.archive else 0.5)
        shutil.rmtree(parcel.folder, ignore_errors=True)


def _pack(parcel: Parcel) -> None:
    """Write what is sent into the folder, as ansible-runner wants it."""
    project = parcel.folder / "project"
    parcel.folder.mkdir(mode=0o700)
    shutil.copytree(playbooks_folder(), project, ignore=shutil.ignore_patterns("__pycache__"))
    # Keeps the worker's own configuration out of this run.
    (project / "ansible.cfg").write_text("[defaults]\n")
    (project / SENT_ORDER).write_text(to_json(parcel.order))
    (project / "known_hosts").write_text(parcel.known_hosts)
    (parcel.folder / "inventory").mkdir()
    (parcel.folder / "inventory" / "hosts.json").write_text(parcel.inventory)


def _start(words: Sequence[str]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        words,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "SSH_ASKPASS_REQUIRE": "never", "LC_ALL": "C.UTF-8"},
        start_new_session=True,
    )


def _transmit(parcel: Parcel, process: "subprocess.Popen[bytes]") -> None:
    """Send it. If the worker has ended or does not read, the reading side notices."""
    with suppress(OSError, ValueError):
        ansible_runner.run(
            streamer="transmit",
            _output=process.stdin,
            private_data_dir=str(parcel.folder),
            playbook="check.yml",
            cmdline="--skip-tags=alone",
            envvars={**ALWAYS, **parcel.environment},
            suppress_env_files=True,
            fact_cache_type="",
            cancel_callback=lambda: False,
        )
        if parcel.ends and process.stdin is not None:
            process.stdin.close()
    # The sent files are no longer needed.
    for sent in ("project", "inventory"):
        shutil.rmtree(parcel.folder / sent, ignore_errors=True)


def _process(parcel: Parcel, stream: WorkerStream) -> str:
    """Read the stream to its end; returns Ansible's error, or its last lines. Raises WorkerFault."""
    said: list[str] = []
    last = ""

    def note_event(event: Mapping[str, object]) -> bool:
        nonlocal last
        last = str(event.get("stdout") or "").strip()[:2000] or last
        if event.get("event") in ("runner_on_failed", "runner_on_unreachable", "error") and len(said) < 3:
            said.append(str(event.get("stdout"))[:2000])
        return False  # nothing that a worker sends becomes a file

    def note_status(status: Mapping[str, object], runner_config: object) -> None:
        del runner_config
        if status.get("status") == "error" and len(said) < 3:
            said.append(str(status.get("job_explanation"))[:2000])

    try:
        ansible_runner.run(
            streamer="process",
            _input=stream,
            private_data_dir=str(parcel.folder / "answers"),
            quiet=True,
            event_handler=note_event,
            status_handler=note_status,
            cancel_callback=lambda: False,
        )
    except WorkerFault:
        raise
    except Exception as error:
        raise WorkerFault(FaultKind.GARBAGE, one_line(f"{type(error).__name__}: {error}", 200)) from error
    return said[0] if said else last


def _code(process: "subprocess.Popen[bytes]") -> int | None:
    """The exit code of a command whose outputs have ended."""
    with suppress(subprocess.TimeoutExpired):
        return process.wait(_EXIT_SECONDS)
    return None


def _end(process: "subprocess.Popen[bytes]", sender: threading.Thread, patience: float) -> None:
    """End the command: close its input, then SIGINT, then SIGKILL."""
    assert process.stdin is not None
    end = time.monotonic() + patience
    # A writing thread blocks the close.
    sender.join(patience)
    if not sender.is_alive():
        with suppress(OSError, ValueError):
            process.stdin.close()
        while process.poll() is None and time.monotonic() < end:
            time.sleep(0.02)
    with suppress(ProcessLookupError, PermissionError):
        # As Ctrl-C does: receptorctl then cancels its work, and docker stops its container.
        os.killpg(process.pid, signal.SIGINT)
        end = time.monotonic() + INTERRUPT_SECONDS
        while time.monotonic() < end:
            process.poll()
            os.killpg(process.pid, 0)
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    sender.join()
    for pipe in (process.stdin, process.stdout, process.stderr):
        with suppress(OSError, ValueError):
            if pipe is not None:
                pipe.close()
