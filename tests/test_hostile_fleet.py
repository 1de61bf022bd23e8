"""
Hostile remotes in a fleet: the others are checked, shown and told as if they were not there.
"""

import json
import shlex

from remotestatus.model.causes import Cause
from tests.lab import Command, Lab, SmtpSink
from tests.lab.remote import Remote
from tests.rounds import run_round
from tests.test_bounded_work import FLOODS, NONCE, RULES

HONEST = 12
KINDS = ("the documents' expression", "bytes that are no text", "very many processes", "a df of spaces", "full disks")


def forge(lab: Lab, name: str, flood: bytes) -> None:
    """A remote that knows the probe's marker, as every remote does, and prints what it likes in its place."""
    remote = lab.remote(name, variables={"remotestatus_processes": list(RULES)})
    path = remote.sshd.folder / "flood"
    path.write_bytes(flood)
    remote.run_instead(
        "nonce=$(sed -n 's/^NONCE=//p' | head -n 1)\n"
        + f'LC_ALL=C exec sed "s/{NONCE}/$nonce/g" {shlex.quote(str(path))}'
    )


def hold_proxy(lab: Lab, name: str, until: Remote) -> None:
    """A proxy to which nothing leads before somebody has logged in at this remote, and nothing then."""
    script = lab.scratch / "until"
    script.write_text(f"until grep -q '^Accepted' {shlex.quote(str(until.sshd.log))}; do sleep 0.1; done\n")
    lab.proxy(name)
    lab.remote(f"behind-{name}", proxy=name)
    lab.proxies[name].variables["ansible_ssh_common_args"] = f"-o 'ProxyCommand=sh {script}'"


def test_others_are_as_if_the_hostile_were_not_there(lab: Lab, remotestatus: Command, smtp_sink: SmtpSink) -> None:
    """
    Forged answers of every kind, clocks, and a proxy that hangs until others were probed: all others are up, on the
    page, and told when one of them goes down.
    """
    lab.bulk(HONEST, prefix="honest-")
    settings = {"remotestatus_apprise": [smtp_sink.url], "remotestatus_timeout": 30, "remotestatus_attempts": 1}
    calm = run_round(lab, remotestatus, lab.write_inventory(**settings))
    assert set(calm.causes.values()) == {None}
    for number, kind in enumerate(KINDS):
        forge(lab, f"hostile-{number}", FLOODS[kind]())
    late = lab.remote("late")
    late.replace_program("date", "echo 999999999999999")
    lab.remote("gone").cut_tunnel()
    hold_proxy(lab, "held", late)

    found = run_round(lab, remotestatus, lab.write_inventory(**settings))

    assert {name: found.causes[name] for name in calm.causes} == calm.causes
    assert found.causes["gone"] is Cause.TUNNEL_DOWN
    assert found.causes["behind-held"] is Cause.PROXY_UNREACHABLE
    assert found.proxy_causes["held"] is Cause.CONNECTION_LOST, "nobody was probed before it was given up"
    mails = smtp_sink.wait_for(1)
    assert "gone" in "".join(str(mail) for mail in mails)
    shown = json.loads((lab.directory / "site" / "status.json").read_text())["remotes"]
    assert len(shown) == HONEST + len(KINDS) + 3
    assert {one["status"] for one in shown if one["name"].startswith("honest-")} == {"up"}
    assert not [one for one in shown if (one["cause"] or {}).get("code") == "checker-error"]
    assert (lab.directory / "history.sqlite3").stat().st_size < 5_000_000
