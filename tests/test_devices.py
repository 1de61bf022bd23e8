"""
Devices behind a remote, connected to through its own SSH connection; and files that are looked at with the same log-in.
"""

import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from remotestatus_playbook.device_probe import valid_until
from remotestatus_playbook.protocol import DeviceOutput

from remotestatus.evaluate.files_units_devices import examine_devices
from remotestatus.model.inventory_variables import DeviceSpec
from tests.lab import Command, Lab
from tests.rounds import run_round

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("spec", "output", "ok", "sentence"),
    [
        ({}, {"connected": True, "connect_ms": 7}, True, "answers in 7 ms"),
        ({}, {"connected": False, "error": "no answer within 8 s"}, False, "no answer within 8 s"),
        ({}, {"connected": None, "error": "the connection is gone"}, None, "the connection is gone"),
        ({}, None, None, "it was not asked in this round"),
        (
            {"tls": True},
            {"connected": True, "connect_ms": 7, "certificate_until": (NOW + timedelta(days=12)).timestamp()},
            True,
            "answers in 7 ms, its certificate is good for 12 d",
        ),
        (
            {"tls": True},
            {"connected": True, "connect_ms": 7, "certificate_until": (NOW - timedelta(hours=2)).timestamp()},
            False,
            "answers in 7 ms, its certificate has expired 2 h ago",
        ),
        ({"tls": True}, {"connected": True, "error": "no TLS: it says x"}, False, "answers, no TLS: it says x"),
    ],
)
def test_a_device_is_compared(
    spec: dict[str, Any], output: dict[str, Any] | None, ok: bool | None, sentence: str
) -> None:
    """A device has to answer, and its certificate to be good; one that was not asked is unknown."""
    specs = [DeviceSpec.model_validate({"name": "camera", "host": "192.0.2.9", "port": 554, **spec})]
    outputs = [] if output is None else [DeviceOutput("camera", **output)]
    (result,) = examine_devices(specs, outputs, NOW)
    assert (result.ok, result.sentence) == (ok, sentence)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate that is good for 30 days, with its key."""
    path = tmp_path_factory.mktemp("tls") / "device.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-subj", "/CN=camera", "-days", "30", "-keyout", str(path), "-out", f"{path}.crt"]
    subprocess.run(command, check=True, capture_output=True)
    path.write_text(path.read_text() + Path(f"{path}.crt").read_text())
    return path


def test_the_end_of_a_certificate_is_read(certificate: Path) -> None:
    """The date is the one that openssl reads, and what is no certificate has none."""
    der = ssl.PEM_cert_to_DER_cert(Path(f"{certificate}.crt").read_text())
    assert abs((valid_until(der) or 0) - time.time() - 30 * 86400) < 3600
    assert valid_until(der[:40]) is None
    assert valid_until(b"") is None


@pytest.fixture
def devices(certificate: Path) -> Iterator[dict[str, int]]:
    """Ports of a device that takes connections and says nothing, of one that speaks TLS, and of one that is off."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    plain, secured, closed = (socket.create_server(("127.0.0.1", 0)) for _ in range(3))
    ports = {"plain": plain.getsockname()[1], "tls": secured.getsockname()[1], "off": closed.getsockname()[1]}
    closed.close()
    accepted: list[socket.socket] = []

    def serve(listener: socket.socket, *, tls: bool) -> None:
        while True:
            try:
                connection, _ = listener.accept()
                accepted.append(context.wrap_socket(connection, server_side=True) if tls else connection)
            except (ssl.SSLError, ConnectionError):
                continue
            except OSError:
                return

    for listener, tls in ((plain, False), (secured, True)):
        threading.Thread(target=serve, args=(listener,), kwargs={"tls": tls}, daemon=True).start()
    yield ports
    for one in (plain, secured):
        one.shutdown(socket.SHUT_RDWR)
        one.close()
    for one in accepted:
        one.close()


def test_devices_are_asked_through_the_remotes_own_connection(
    lab: Lab, remotestatus: Command, devices: dict[str, int], tmp_path: Path
) -> None:
    """One log-in asks all devices and looks at the files; what is off is told by its name, and nothing stays open."""
    lab.proxy("gate")
    lab.remote("box-1", proxy="gate")
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(b"x" * 5000)
    asked = [
        {"name": "camera", "host": "127.0.0.1", "port": devices["plain"]},
        {"name": "router", "host": "127.0.0.1", "port": devices["tls"], "tls": True},
        {"name": "printer", "host": "127.0.0.1", "port": devices["off"], "severity": "warning"},
        {"name": "mute", "host": "127.0.0.1", "port": devices["plain"], "tls": True, "severity": "warning"},
    ]
    files = [{"name": "clips", "path": f"{tmp_path}/*.mp4", "newer_than": "15m", "min_size": "1k"}]
    inventory = lab.write_inventory(remotestatus_devices=asked, remotestatus_files=files, remotestatus_timeout=25)

    recorded = run_round(lab, remotestatus, inventory)

    result = recorded.readings["box-1"]
    assert {one.name: one.ok for one in result.devices} == {
        "camera": True,
        "router": True,
        "printer": False,
        "mute": False,
    }
    sentences = {one.name: one.sentence for one in result.devices}
    assert "its certificate is good for 29 d" in sentences["router"]
    assert sentences["mute"].endswith("no TLS: it says nothing")
    assert {trouble.key for trouble in result.troubles} == {
        ("device-unreachable", "printer"),
        ("device-unreachable", "mute"),
    }
    assert [(one.ok, one.count) for one in result.files] == [(True, 1)]
    assert lab.remotes["box-1"].logins() == 1
