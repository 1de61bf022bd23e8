"""
Networks as they are behind routers nobody controls: late and lossy, which is no reason to call anything down.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.lab import BadLink, Command, Lab
from tests.rounds import run_round

REMOTES = 3
NAMES = [f"capture-{number}" for number in range(1, REMOTES + 1)]


@contextmanager
def fleet(link: BadLink, folder: Path, where: str) -> Iterator[Lab]:
    """Remotes behind a proxy, with the bad link between checker and proxy, or between proxy and remotes."""
    with Lab(folder / "lab") as lab:
        lab.proxy(link=link if where == "checker" else None, tunnel_link=link if where == "tunnels" else None)
        for name in NAMES:
            lab.remote(name)
        yield lab


@pytest.mark.parametrize("where", ["checker", "tunnels"])
def test_a_remote_that_answers_late_is_up(where: str, remotestatus: Command, tmp_path: Path) -> None:
    """800 ms each way: the first look waits long enough, and says how long it took."""
    with BadLink(delay=0.8) as link, fleet(link, tmp_path, where) as lab:
        found = run_round(lab, remotestatus, lab.write_inventory())
        assert found.causes == dict.fromkeys(NAMES)
        assert all((found.readings[name].connect_ms or 0) > 15000 for name in NAMES)
        assert [lab.remotes[name].logins() for name in NAMES] == [1] * REMOTES


@pytest.mark.parametrize("where", ["checker", "tunnels"])
def test_a_remote_whose_packets_get_lost_is_up(where: str, remotestatus: Command, tmp_path: Path) -> None:
    """A fifth of all round trips lose a packet: no round takes that for an outage."""
    with BadLink(delay=0.02, loss=0.1) as link, fleet(link, tmp_path, where) as lab:
        inventory = lab.write_inventory()
        for _round in range(3):
            assert run_round(lab, remotestatus, inventory).causes == dict.fromkeys(NAMES)
        assert link.lost > 0
        assert lab.proxies["tunnel-proxy"].logins() >= 3
