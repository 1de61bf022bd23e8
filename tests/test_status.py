"""
`remotestatus status`: what the last round found, its exit codes, and everything about one remote; from history alone.
"""

import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from remotestatus_playbook.protocol import HostAnswer, Outcome

from remotestatus.cli import group
from remotestatus.evaluate.diagnosis import diagnose
from remotestatus.evaluate.make_trouble import explain
from remotestatus.evaluate.state_machine import next_state
from remotestatus.history.database import History
from remotestatus.model.causes import Cause
from remotestatus.model.check_result import CheckResult, Trouble
from remotestatus.model.fleet import Proxy, Remote
from remotestatus.model.inventory_variables import RemoteSettings
from remotestatus.model.rounds import Round
from remotestatus.model.states import Kind, Policy, State
from remotestatus.model.status_words import Severity
from tests.lab import Command, HttpSink, Lab
from tests.rounds import run_round

PROXY = Proxy("jump", "jump", "proxy.example.com", 22, None)


def _write_history(path: Path, found: Mapping[str, Cause | None], ended: datetime, rounds: int = 1) -> Path:
    """A history whose last round, ended at `ended`, found these causes; `jump` is a proxy, all else remotes."""
    states: dict[tuple[Kind, str], State] = {}
    with History.open(path) as history:
        for number in range(rounds):
            at = ended - timedelta(minutes=10) * (rounds - 1 - number)
            changes, results = [], []
            for name, cause in found.items():
                troubles = _troubles(name, cause)
                subject = (Kind.PROXY if name == "jump" else Kind.REMOTE, name)
                change = next_state(*subject, states.get(subject), troubles, Policy(), at)
                states[subject] = change.state
                changes.append(change)
                if name != "jump":
                    results.append(CheckResult(name, at, troubles))
            history.record(Round(0, at - timedelta(seconds=3), at, len(results)), changes, results)
    return path


def _troubles(name: str, cause: Cause | None) -> tuple[Trouble, ...]:
    if cause is None:
        return ()
    severity = Severity.WARNING if cause in (Cause.CHECK_FAILED, Cause.LIMIT_EXCEEDED) else Severity.CRITICAL
    if name == "jump":
        return (explain(cause, PROXY, names=["disk / 97 %"], severity=severity),)
    remote = Remote(name, (), RemoteSettings(), path=("jump",))
    if cause is Cause.PROXY_UNREACHABLE:
        return (diagnose(remote, HostAnswer(Outcome.PROXY_DOWN, proxy="jump")),)
    return (explain(cause, remote, names=["encoder"], severity=severity),)


CODES = [
    ({"a": None, "b": None}, 0, "OK: All 2 remotes are up | up=2 degraded=0 down=0 unknown=0 maintenance=0"),
    ({"a": None, "b": Cause.CHECK_FAILED}, 1, "WARNING: 1 of 2 remotes needs attention (b check-failed) | up=1"),
    (
        {"a": Cause.CHECK_FAILED, "b": Cause.NOT_CHECKED},
        3,
        "UNKNOWN: 2 of 2 remotes need attention (b not-checked, a check-failed) | up=0",
    ),
    (
        {"a": Cause.TUNNEL_DOWN, "b": Cause.NOT_CHECKED},
        2,
        "CRITICAL: 2 of 2 remotes need attention (a tunnel-down, b not-checked) | up=0",
    ),
    (
        {"jump": Cause.CONNECTION_REFUSED, "a": Cause.PROXY_UNREACHABLE, "b": Cause.PROXY_UNREACHABLE},
        2,
        "CRITICAL: Proxy jump does not answer: 2 of 2 remotes cannot be checked (jump connection-refused) | up=0 ",
    ),
    ({"jump": None, "a": None}, 0, "OK: The remote is up | up=1"),
    (
        {"jump": Cause.LIMIT_EXCEEDED, "a": None},
        1,
        "WARNING: The remote is up, the proxy jump needs attention (jump limit-exceeded) | up=1",
    ),
]


@pytest.mark.parametrize(("found", "code", "line"), CODES)
def test_it_speaks_as_a_nagios_plugin(
    tmp_path: Path, remotestatus: Command, found: dict[str, Cause | None], code: int, line: str
) -> None:
    """The exit code is the worst that applies (down, unknown, degraded), and --nagios prints one line with counts."""
    database = _write_history(tmp_path / "h", found, datetime.now(UTC))
    plugin = remotestatus("status", "--nagios", "--database", database)
    assert (plugin.returncode, plugin.stderr) == (code, "")
    assert plugin.stdout.startswith(f"REMOTESTATUS {line}")
    assert plugin.stdout.count("\n") == 1
    assert remotestatus("status", "--database", database).returncode == code


def test_what_is_degraded_and_critical_is_critical_for_nagios(tmp_path: Path, remotestatus: Command) -> None:
    """With --nagios a critical finding is exit code 2, of the fleet and of the one; without, degraded stays 1."""
    database = _write_history(tmp_path / "h", {"a": None, "b": Cause.PROCESS_MISSING}, datetime.now(UTC))
    plugin = remotestatus("status", "--nagios", "--database", database)
    assert (plugin.returncode, plugin.stdout[:22]) == (2, "REMOTESTATUS CRITICAL:")
    assert remotestatus("status", "b", "--nagios", "--database", database).returncode == 2
    assert remotestatus("status", "--database", database).returncode == 1
    assert remotestatus("status", "b", "--database", database).returncode == 1


@pytest.mark.parametrize(
    ("minutes", "code"), [(15, 0), (14, 0), (16.1, 3), (600, 3), (-5, 0)], ids=lambda value: str(value)
)
def test_an_overdue_round_is_unknown_and_stands_first(
    tmp_path: Path, remotestatus: Command, minutes: float, code: int
) -> None:
    """After one and a half check intervals and a minute: exit code 3 and a first line in capitals, though all is up."""
    ended = datetime.now(UTC) - timedelta(minutes=minutes)
    database = _write_history(tmp_path / "h", {"a": None}, ended, rounds=6)
    done = remotestatus("status", "--database", database)
    assert done.returncode == code
    assert done.stdout.startswith("OUT OF DATE: the last round ended") == (code == 3)
    plugin = remotestatus("status", "--nagios", "--database", database)
    assert plugin.stdout.startswith("REMOTESTATUS UNKNOWN: the last round ended" if code else "REMOTESTATUS OK")


def test_without_a_result_the_status_is_unknown(tmp_path: Path, remotestatus: Command) -> None:
    """No inventory, no history, an empty or a damaged one, a name that is none: exit code 3 with the cure."""
    empty = tmp_path / "empty"
    History.open(empty).close()
    damaged = tmp_path / "damaged"
    damaged.write_bytes(b"not a database" * 100)
    good = _write_history(tmp_path / "good", {"capture-1": None}, datetime.now(UTC))
    cases = {
        ("-i", tmp_path / "nowhere"): "there is no inventory at",
        ("--database", tmp_path / "none"): "`remotestatus run` makes it",
        ("--database", empty): "holds none",
        ("--database", damaged): "damaged or no SQLite file",
        ("capture-2", "--database", good): "did you mean capture-1?",
    }
    for arguments, words in cases.items():
        done = remotestatus("status", *arguments)
        assert done.returncode == 3, done.stderr
        assert words in done.stderr
        assert "Traceback" not in done.stderr
        plugin = remotestatus("status", *arguments, "--nagios")
        assert (plugin.returncode, plugin.stderr) == (3, "")
        assert plugin.stdout.startswith("REMOTESTATUS UNKNOWN: ")


@pytest.mark.parametrize(
    ("options", "words"),
    [(("--vault-password-file", "/nope"), "no Vault password file /nope"), (("-J",), "nobody is at a terminal")],
)
def test_a_password_that_is_not_there_is_no_result(tmp_path: Path, options: tuple[str, ...], words: str) -> None:
    """Without the Vault's password the status is unknown, as for a plugin; with --database none is asked for."""
    inventory = ("-i", str(tmp_path))
    plugin = CliRunner().invoke(group, ["status", "--nagios", *inventory, *options])
    assert (plugin.exit_code, plugin.stderr) == (3, "")
    assert plugin.stdout.startswith("REMOTESTATUS UNKNOWN: ")
    assert words in plugin.stdout
    database = _write_history(tmp_path / "h", {"a": None}, datetime.now(UTC))
    assert CliRunner().invoke(group, ["status", *options, "--database", str(database)]).exit_code == 0


def test_it_only_reads(tmp_path: Path, remotestatus: Command) -> None:
    """The history file is byte for byte the same afterwards."""
    database = _write_history(tmp_path / "h", {"a": Cause.TUNNEL_DOWN}, datetime.now(UTC))
    before = database.read_bytes()
    for arguments in ((), ("a",), ("a", "--why"), ("--json",), ("--nagios",)):
        assert remotestatus("status", *arguments, "--database", database).returncode == 2
    assert database.read_bytes() == before
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("PRAGMA quick_check").fetchone() == ("ok",)


def test_remotes_behind_a_dead_proxy_are_told_apart_without_an_inventory(tmp_path: Path, remotestatus: Command) -> None:
    """The history alone knows which remotes a dead proxy hides: they are one entry."""
    found = {"jump": Cause.CONNECTION_TIMEOUT, **{f"r{number}": Cause.PROXY_UNREACHABLE for number in range(9)}}
    shown = remotestatus("status", "--database", _write_history(tmp_path / "h", found, datetime.now(UTC))).stdout
    assert shown.count("proxy-unreachable") == 1
    assert "9 remotes behind it" in shown
    assert "r0, r1, r2, r3, r4, r5, r6 and 2 more" in shown


def test_everything_about_one_remote(lab: Lab, remotestatus: Command, http_sink: HttpSink) -> None:
    """Cause, path, matched processes, limits, checks, uptime, incidents, messages, reasons; of a proxy likewise."""
    box = lab.remote(
        "box-1",
        processes=["python serve.py --port 80"],
        variables={
            "remotestatus_nickname": "Box One",
            "remotestatus_location": "Attic",
            "remotestatus_forwarded_port": 1001,
            "remotestatus_limits": {"disk": {"/": "99.9%"}},
            "remotestatus_checks": [{"name": "lamp", "command": "echo 'lamp is off | w=3'; exit 1"}],
        },
    )
    lab.remote("box-2")
    inventory = lab.write_inventory(
        remotestatus_apprise=[{"url": f"json://127.0.0.1:{http_sink.port}/x", "name": "office"}]
    )
    run_round(lab, remotestatus, inventory)
    assert box.proxy
    connections = box.proxy.connections(), box.connections()

    done = remotestatus("status", "box-1", "--why", "-i", inventory)
    assert done.returncode == 1
    for words in (
        "box-1 · Box One",
        "▲ degraded for",
        "Cause: check-failed",
        "Attic",
        f"tunnel-proxy → port {box.port}",
        "Virtual port  1001",
        "python serve.py --port 80: 1 running, at least 1 wanted",
        "pid ",
        "disk /",
        "lamp: WARNING: lamp is off",
        f"remotestatus ssh -i {inventory} box-1",
        "ssh -o HostKeyAlias=box-1 -p ",
        f"remotestatus tunnel -i {inventory} box-1",
        "90 d",
        "% of that time was observed",
        "degraded, check-failed",
        "sent to office: ",
        "office: told: problem",
    ):
        assert words in done.stdout, words
    assert remotestatus("status", "box one", "-i", inventory).stdout.startswith("box-1")
    assert "Told, or not told" not in remotestatus("status", "box-1", "-i", inventory).stdout

    proxy = remotestatus("status", "tunnel-proxy", "-i", inventory)
    assert proxy.returncode == 0
    assert "2: 1 degraded, 1 up" in proxy.stdout
    assert "box-1, box-2" in proxy.stdout

    values = json.loads(remotestatus("status", "box-1", "--json", "-i", inventory).stdout)
    assert (values["kind"], values["status"], values["cause"]["code"]) == ("remote", "degraded", "check-failed")
    assert values["processes"][0]["matched"][0]["command"] == "python serve.py --port 80"
    assert [finding["ok"] for finding in values["findings"]] == [True, False]
    assert values["messages"][0]["destination"] == "office"
    assert values["decisions"][0]["told"] is True

    only = remotestatus("status", "--limit", "box-2", "-i", inventory)
    assert only.returncode == 0
    assert "box-1" not in only.stdout
    assert (box.proxy.connections(), box.connections()) == connections, "status connected to somebody"

    assert remotestatus("ack", "box-1", "--note", "Kim fetches a bulb", "-i", inventory).returncode == 0
    assert "Kim fetches a bulb" in remotestatus("status", "box-1", "-i", inventory).stdout
    assert remotestatus("maintenance", "box-1", "--for", "2h", "-i", inventory).returncode == 0
    resting = remotestatus("status", "-i", inventory)
    assert resting.returncode == 0, "what is in maintenance is not counted"
    assert "◌ maintenance" in resting.stdout
    assert remotestatus("status", "box-1", "-i", inventory).returncode == 0


def test_the_document_is_that_of_the_page(lab: Lab, remotestatus: Command) -> None:
    """--json says what the page's status.json says but for the moment it was made; public mode hides nothing."""
    lab.remote("box-1").cut_tunnel()
    lab.local("checker")
    inventory = lab.write_inventory()
    run_round(lab, remotestatus, inventory)
    page = json.loads((lab.directory / "site" / "status.json").read_text())
    done = remotestatus("status", "--json", "-i", inventory)
    assert done.returncode == 2
    assert {**json.loads(done.stdout), "generated_at": None} == {**page, "generated_at": None}
    lab.write_inventory(remotestatus_public=True)
    shown = json.loads(remotestatus("status", "--json", "-i", inventory).stdout)
    assert {**shown, "generated_at": None} == {**page, "generated_at": None}


def test_a_remote_that_is_new_in_the_inventory_is_named(lab: Lab, remotestatus: Command) -> None:
    """A remote that no round has checked yet is named, and is neither up nor down."""
    lab.local("checker")
    inventory = lab.write_inventory()
    run_round(lab, remotestatus, inventory)
    lab.local("newcomer")
    lab.write_inventory()
    done = remotestatus("status", "-i", inventory)
    assert done.returncode == 0
    assert "1 remote of the inventory was not checked yet: newcomer" in done.stdout
    one = remotestatus("status", "newcomer", "-i", inventory)
    assert one.returncode == 3
    assert "remotestatus run --limit newcomer" in one.stderr
