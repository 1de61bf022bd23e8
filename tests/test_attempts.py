"""
Attempts of a round, here and with workers, where something of the checker's own goes wrong between them.
"""

import shutil
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from remotestatus.inventory import read_inventory
from remotestatus.model.causes import Cause
from remotestatus.model.check_result import CheckResult, Trouble
from remotestatus.model.fleet import Inventory, Remote
from remotestatus.model.inventory_variables import CHECKER, RemoteSettings
from remotestatus.model.status_words import Status
from remotestatus.probe import AnsibleSource, PlaybookRunner
from remotestatus.probe.attempts import Earlier, check_fleet, places_of
from remotestatus.probe.attempts.results_so_far import latest
from remotestatus.probe.attempts.retry import choose_retries
from remotestatus.probe.workers import WorkerCaller, clock_error

NOW = datetime(2026, 3, 1, tzinfo=UTC)
AT = NOW.timestamp()


def read(runner: PlaybookRunner) -> Inventory:
    return read_inventory(runner.describe_inventory())


def write_fleet(folder: Path, text: str) -> AnsibleSource:
    """An inventory whose remotes nobody listens for."""
    inventory = folder / "remotes.yml"
    inventory.write_text(f"all:\n  vars: {{ansible_host: 127.0.0.1, ansible_port: 9}}\n{text}")
    return AnsibleSource((inventory,))


@pytest.mark.slow
def test_what_the_first_attempt_found_outlives_the_next(tmp_path: Path) -> None:
    """Nothing can be written any more when the next attempt begins: the round has its results, and says what failed."""
    with PlaybookRunner(write_fleet(tmp_path, "  hosts: {gone: }\n")) as runner:
        inventory = read(runner)
        times: list[datetime] = []

        def clock() -> datetime:
            times.append(NOW)
            return NOW

        def cancel() -> bool:
            if len(times) > 1:  # the first attempt is over
                shutil.rmtree(runner.workdir, ignore_errors=True)
            return False

        results = check_fleet(runner, inventory, Earlier(), clock, cancel, lambda _: None)
    assert results.remotes["gone"].status is Status.DOWN
    assert "nothing can be written to" in "".join(results.troubles)


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["[]", "[{name: north, command: cat}]"])
def test_a_remote_whose_variables_are_wrong_is_not_tried_again(tmp_path: Path, workers: str) -> None:
    """Neither without workers nor with them: Ansible is started once."""
    text = f"  vars: {{remotestatus_workers: {workers}}}\n  hosts: {{hasty: {{ansible_timeout: soon}}}}\n"
    (tmp_path / "remotes.yml").write_text(f"all:\n{text}")
    with PlaybookRunner(AnsibleSource((tmp_path / "remotes.yml",))) as runner:
        inventory = read(runner)
        results = check_fleet(runner, inventory, Earlier(), lambda: NOW, lambda: False, lambda _: None)
        assert runner.runs == 1
    trouble = results.remotes["hasty"].trouble
    assert trouble is not None
    assert trouble.cause is Cause.CHECKER_ERROR


@pytest.mark.slow
def test_a_lookup_that_hangs_keeps_passwords_from_workers_and_nothing_else(tmp_path: Path) -> None:
    """It costs a share of the round's time; then no worker gets what needs a password, and that is said."""
    text = (
        "  vars:\n    ansible_host: 127.0.0.1\n    remotestatus_workers: [{name: north, command: cat, secrets: true}]\n"
        "  hosts:\n    open:\n    locked:\n      ansible_password: \"{{ lookup('pipe', 'sleep 60') }}\"\n"
    )
    (tmp_path / "remotes.yml").write_text(f"all:\n{text}")
    with PlaybookRunner(AnsibleSource((tmp_path / "remotes.yml",))) as runner:
        inventory = read(runner)
        began = time.monotonic()
        caller = WorkerCaller(runner, inventory, began + 5, lambda: False)
        assert time.monotonic() - began < 20
        assert caller.troubles == ("the passwords for workers cannot be read: a lookup has not answered in time",)
        places = places_of(inventory, inventory.fleet.remotes, secrets=caller.has_passwords)
    assert places == {"open": {CHECKER, "north"}, "locked": {CHECKER}}


@pytest.mark.parametrize(
    ("first", "second", "known"),
    [
        (Cause.TUNNEL_DOWN, Cause.NOT_CHECKED, Cause.TUNNEL_DOWN),
        (Cause.TUNNEL_DOWN, Cause.PROXY_UNREACHABLE, Cause.PROXY_UNREACHABLE),
        (Cause.NOT_CHECKED, None, None),
        (None, Cause.NOT_CHECKED, Cause.NOT_CHECKED),
    ],
)
def test_an_attempt_that_did_not_come_so_far_takes_nothing_back(
    first: Cause | None, second: Cause | None, known: Cause | None
) -> None:
    """The connection to the proxy is lost while a remote is tried again: what was seen before still counts."""
    before, now = (CheckResult("r", NOW, (Trouble(one, "", "", ""),) if one else ()) for one in (first, second))
    trouble = latest(before if first else None, now).trouble
    assert (trouble.cause if trouble else None) is known


@pytest.mark.parametrize(
    ("clock", "error"),
    [(AT - 40, -10), (AT - 30, 0), (AT - 1, 0), (AT, 0), (AT + 20, 20)],
    ids=["behind", "when it was asked", "while it ran", "when it answered", "ahead"],
)
def test_a_slow_transfer_is_no_wrong_clock(clock: float, error: float) -> None:
    """A worker that was asked half a minute ago read its clock at any time since then."""
    assert clock_error(clock, NOW - timedelta(seconds=30), NOW) == error


def test_behind_a_suspect_proxy_is_looked_at_first_and_only_where_that_may_help() -> None:
    """From each place that may; not what was reached, what refused us, or what no attempt is left for."""

    def result(name: str, cause: Cause | None, proxy: str = "") -> CheckResult:
        return CheckResult(name, NOW, (Trouble(cause, "", proxy=proxy),) if cause else ())

    causes = {"a": Cause.TUNNEL_DOWN, "b": Cause.PROXY_UNREACHABLE, "c": Cause.AUTHENTICATION_FAILED, "d": None}
    remotes = [Remote(name, (), RemoteSettings(), path=("p",)) for name in causes]
    places = {name: frozenset({"w1"} if name == "d" else {CHECKER, "w1"}) for name in causes}
    found = {name: {CHECKER: result(name, cause, "p" * (name == "b"))} for name, cause in causes.items()}
    batches = {batch.places: batch.names for batch in choose_retries(remotes, places, found, {}, 2)}
    assert batches == {frozenset({"w1"}): ("b", "a"), frozenset({CHECKER}): ("a",)}  # a proxy is tried twice by itself
    assert choose_retries(remotes, places, found, {}, 9) == []


def test_a_large_second_look_is_cut_into_batches() -> None:
    """What a worker may lose is small the second time, too; what is behind one proxy stays together."""
    remotes = [Remote(f"r{number}", (), RemoteSettings(), path=(f"p{number // 90}",)) for number in range(1800)]
    places = {remote.name: frozenset({"w1"}) for remote in remotes}
    down = (Trouble(Cause.TUNNEL_DOWN, ""),)
    found = {remote.name: {CHECKER: CheckResult(remote.name, NOW, down)} for remote in remotes}
    batches = choose_retries(remotes, places, found, {}, 2)
    assert [len(batch.names) for batch in batches] == [450, 450, 450, 450]
    assert [name for batch in batches for name in batch.names] == [remote.name for remote in remotes]
