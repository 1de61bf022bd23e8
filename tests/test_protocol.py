"""
What the package and the playbook both know: it arrives as it was written.
"""

import os
import shutil
from pathlib import Path

import pytest
from remotestatus_playbook.private_directory import make_private_directory
from remotestatus_playbook.protocol import HostDescription, InventoryDescription, Order, Proxy, SshAccess, to_json

from remotestatus.model.errors import RoundError
from remotestatus.probe.read_answers import read_description


def test_an_order_arrives_as_it_was_given() -> None:
    """The playbook reads the order that the package wrote."""
    order = Order(("a", "b"), False, 7, 2, 3, True, 60, "/run/x", frozenset("ab"), frozenset("b"), look_at=("p",))
    assert Order.from_json(to_json(order)) == order
    assert Order.from_json(to_json(Order())) == Order()


def test_an_inventory_arrives_as_it_was_described() -> None:
    """The package reads the description that the playbook wrote, with any value of a variable."""
    variables = {"remotestatus_processes": [{"name": "ü\udcff", "min": 2}], "remotestatus_limits": {"load": 1.5}}
    host = HostDescription(("lab",), variables, (("a", "wrong"),), port=22, path=("p",))
    proxy = Proxy("p", "p", "192.0.2.1", None, None)
    described = InventoryDescription({"one": host}, (proxy,), SshAccess(hosts={"one": ["-p", "22"]}), ("one",))
    assert read_description(to_json(described)) == described
    with pytest.raises(RoundError, match=r"cannot be read: hosts\.one\.port"):
        read_description('{"hosts": {"one": {"port": "x"}}}')


def test_a_private_directory_has_room_for_sockets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with too long a path is passed over, and what is made is only ours."""
    deep = tmp_path / ("x" * 60)
    deep.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(deep))
    made = make_private_directory(os.getpid())
    try:
        assert made.parent != deep
        assert made.stat().st_mode & 0o777 == 0o700
    finally:
        shutil.rmtree(made)
