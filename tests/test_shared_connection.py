"""
The connection to a proxy that all remotes behind it share: opened once, used by all, mended when it breaks.

Connections are counted in the log of the proxy's own sshd.
"""

import shlex
import threading
from pathlib import Path

import psutil

from remotestatus.model.causes import Cause
from remotestatus.model.status_words import Status
from remotestatus.probe.runtime_directories import kept_folders
from tests.lab import Command, Lab, Proxy, Remote
from tests.rounds import await_that, run_round

SHORT = {"remotestatus_timeout": 8}


def test_one_connection_per_proxy_however_many_remotes(lab: Lab, remotestatus: Command) -> None:
    """One remote or forty, behind one proxy or a chain of two: each proxy sees one login and one connection."""
    first, second, other = lab.proxy("first"), lab.proxy("second"), lab.proxy("other")
    second.variables["ansible_ssh_common_args"] = "-o ProxyJump=first"
    lab.bulk(40, proxy="first")
    # The chain is the second proxy's own setting here, and the remote's for the other.
    lab.remote("behind-both", proxy="second")
    lab.remote("alone", proxy="other")
    lab.remote("spelt-out", proxy=["first", "second"])

    found = run_round(lab, remotestatus, lab.write_inventory())

    assert set(found.causes.values()) == {None}
    assert len(found.causes) == 43
    assert [(proxy.logins(), proxy.connections()) for proxy in (first, second, other)] == [(1, 1)] * 3
    assert [remote.logins() for remote in lab.remotes.values()][-3:] == [1, 1, 1]


def test_a_stock_proxy_turns_nobody_away(lab: Lab, remotestatus: Command) -> None:
    """With `MaxStartups 1:100:1`, far under any stock limit, thirty remotes are all reached."""
    proxy = lab.proxy(sshd_config={"MaxStartups": "1:100:1", "MaxSessions": "1"})
    lab.bulk(30)

    found = run_round(lab, remotestatus, lab.write_inventory())

    assert set(found.causes.values()) == {None}
    assert (proxy.turned_away(), proxy.connections()) == (0, 1)


def test_every_way_to_write_a_jump(lab: Lab, remotestatus: Command, tmp_path: Path) -> None:
    """A name, `user@host:port`, and an alias of the user's own configuration, whose settings stay in force."""
    named, plain, aliased = lab.proxy("Proxy-1.Example"), lab.proxy("plain"), lab.proxy("aliased")
    key = lab.keys["checker"].path
    where = f"[127.0.0.1]:{plain.sshd.port}"
    config = tmp_path / "my config"
    config.write_text(
        f"Host my-bastion\n  HostName 127.0.0.1\n  Port {aliased.sshd.port}\n  User {aliased.login.user}\n"
        f'  IdentityFile "{key}"\n  HostKeyAlias bastion-key\n'
        f'Match host 127.0.0.1 user {plain.login.user}\n  IdentityFile "{key}"\n'
    )
    lab.remote("By-Name.hall-a", proxy=named)
    lab.remote("by-address", proxy=plain).variables["ansible_ssh_common_args"] = (
        f"-o ProxyJump={plain.login.user}@127.0.0.1:{plain.sshd.port} -F {shlex.quote(str(config))}"
    )
    lab.remote("by-alias", proxy=aliased).variables["ansible_ssh_common_args"] = (
        f"-J my-bastion -F {shlex.quote(str(config))}"
    )
    # Only hosts of the inventory stand in it: these two proxies are known to ssh alone.
    del lab.proxies["plain"], lab.proxies["aliased"]
    inventory = lab.write_inventory(**SHORT)
    with lab.known_hosts.open("a") as file:
        file.write(f"{where} {plain.sshd.host_key.public}\nbastion-key {aliased.sshd.host_key.public}\n")

    found = run_round(lab, remotestatus, inventory)

    assert found.causes == {"By-Name.hall-a": None, "by-address": None, "by-alias": None}, found.printed
    address = f"{plain.login.user}@127.0.0.1:{plain.sshd.port}"
    assert found.proxy_causes == {"Proxy-1.Example": None, address: None, "my-bastion": None}
    assert [proxy.logins() for proxy in (named, plain, aliased)] == [1, 1, 1]


def test_the_same_address_behind_two_proxies_is_two_remotes(lab: Lab, remotestatus: Command) -> None:
    """Both remotes are 127.0.0.1 with the same remote port, and each is probed through its own proxy."""
    for side in ("left", "right"):
        lab.proxy(f"{side}-proxy")
        lab.remote(f"{side}-1", proxy=f"{side}-proxy", processes=[f"lab_{side}_process"], isolated=True)
    # All the lab is one machine, where a port can be bound once: `right-1` is given the port of `left-1`.
    # Whoever takes one proxy's connection for the other's gets the answer of `left-1` for both.
    left, right = lab.remotes["left-1"], lab.remotes["right-1"]
    right.variables["ansible_port"] = left.port

    found = run_round(lab, remotestatus, lab.write_inventory(remotestatus_keep_connections=True))

    assert found.causes == {"left-1": None, "right-1": Cause.HOST_KEY_CHANGED}
    assert "left-1 answers in the place of right-1" in found.words("right-1")
    assert [lab.proxies[f"{side}-proxy"].logins() for side in ("left", "right")] == [1, 1]
    _end_kept(lab, remotestatus)


def test_a_shared_connection_that_breaks_is_opened_again(lab: Lab, remotestatus: Command) -> None:
    """When the proxy ends the connection in the middle, the remotes it carried are tried again and are up."""
    proxy = lab.proxy()
    remotes = [lab.remote(f"remote-{number}") for number in range(4)]
    broken = lab.scratch / "broken"
    for remote in remotes:
        # The first login of each hangs until the connection under it was broken.
        remote.run_instead(f"if [ -e {broken} ]; then run_command; else echo 'in the middle'; exec sleep 600; fi")
    inventory = lab.write_inventory(remotestatus_timeout=30, remotestatus_attempts=2)
    ended: list[int] = []

    def break_it() -> None:
        await_that(lambda: all(remote.logins() for remote in remotes))
        ended.append(proxy.end_connections())
        broken.touch()

    breaker = threading.Thread(target=break_it)
    breaker.start()
    found = run_round(lab, remotestatus, inventory)
    breaker.join()

    assert ended == [1]
    assert set(found.causes.values()) == {None}, found.printed
    assert {result.attempts for result in found.readings.values()} == {2}
    assert proxy.logins() == 2


def test_a_remote_whose_proxy_broke_for_good_is_unknown(lab: Lab, remotestatus: Command) -> None:
    """A proxy that goes away in the middle of a round makes what is behind it unknown, not down."""
    proxy = lab.proxy()
    remote = lab.remote("remote-1")
    remote.run_instead("sleep 600")
    tried_once = lab.remote("remote-2", variables={"remotestatus_attempts": 1})
    tried_once.run_instead("sleep 600")
    inventory = lab.write_inventory(remotestatus_timeout=30)

    def break_it() -> None:
        await_that(lambda: bool(remote.logins() and tried_once.logins()))
        proxy.stop()

    breaker = threading.Thread(target=break_it)
    breaker.start()
    found = run_round(lab, remotestatus, inventory)
    breaker.join()

    assert found.causes == {"remote-1": Cause.PROXY_UNREACHABLE, "remote-2": Cause.NOT_CHECKED}
    assert {result.status for result in found.readings.values()} == {Status.UNKNOWN}
    assert found.proxy_causes == {"tunnel-proxy": Cause.CONNECTION_REFUSED}


def test_many_remotes_that_vanish_at_once_make_us_suspect_ourselves(lab: Lab, remotestatus: Command) -> None:
    """Before remotes that were up are believed to be gone, all of them, a fresh connection to the proxy is made."""
    proxy = lab.proxy()
    remotes = [lab.remote(f"remote-{number}") for number in range(3)]
    inventory = lab.write_inventory(**SHORT)
    assert set(run_round(lab, remotestatus, inventory).causes.values()) == {None}
    assert proxy.logins() == 1
    for remote in remotes:
        remote.cut_tunnel()
    vanished = run_round(lab, remotestatus, inventory)
    assert set(vanished.causes.values()) == {Cause.TUNNEL_DOWN}
    assert proxy.logins() == 1 + 2
    # They are known to be down now: one connection a round is enough again.
    run_round(lab, remotestatus, inventory)
    assert proxy.logins() == 3 + 1


def test_a_connection_that_went_silent_is_our_fault_and_not_the_remotes(lab: Lab, remotestatus: Command) -> None:
    """When the proxy's network dies in the middle, remotes seem to be silent; a fresh connection tells the truth."""
    proxy = lab.proxy()
    # Slow enough that the proxy is frozen while it still answers.
    remote = lab.remote("remote-1")
    remote.run_instead('sleep 1; exec /bin/sh -c "$SSH_ORIGINAL_COMMAND"')
    inventory = lab.write_inventory(**SHORT)
    assert run_round(lab, remotestatus, inventory).causes == {"remote-1": None}
    stopped: list[psutil.Process] = []
    before = remote.logins()

    def freeze_it() -> None:
        await_that(lambda: remote.logins() > before)
        for session in _newest_session(proxy):
            session.suspend()
            stopped.append(session)

    freezer = threading.Thread(target=freeze_it)
    freezer.start()
    found = run_round(lab, remotestatus, inventory)
    freezer.join()
    for session in stopped:
        session.kill()

    assert stopped
    assert found.causes == {"remote-1": None}
    assert found.readings["remote-1"].attempts == 2


# -- kept connections -------------------------------------------------------------------------------------------------


def test_kept_connections_are_used_again_and_end_when_told(lab: Lab, remotestatus: Command) -> None:
    """With `keep_connections` the next round logs in nowhere; turned off, nothing of them is left."""
    proxy = lab.proxy()
    remotes = [lab.remote("remote-1"), lab.remote("remote-2"), lab.direct("direct-1")]
    inventory = lab.write_inventory(remotestatus_keep_connections=True)
    for _ in range(2):
        assert set(run_round(lab, remotestatus, inventory).causes.values()) == {None}
    assert [host.logins() for host in (proxy, *remotes)] == [1, 1, 1, 1]
    assert len(_kept(lab)) == 4

    inventory = lab.write_inventory(remotestatus_keep_connections=False)
    assert set(run_round(lab, remotestatus, inventory).causes.values()) == {None}
    assert [host.logins() for host in (proxy, *remotes)] == [2, 2, 2, 2]
    await_that(lambda: not _kept(lab))


def test_a_kept_connection_that_died_does_not_look_like_a_down_remote(lab: Lab, remotestatus: Command) -> None:
    """Connections ended by the remote, a restarted server and a frozen far end are noticed, and made anew."""
    proxy = lab.proxy()
    ended, restarted, frozen = lab.remote("ended"), lab.remote("restarted"), lab.remote("frozen")
    whole = lab.remote("whole")
    inventory = lab.write_inventory(remotestatus_keep_connections=True, **SHORT)
    assert set(run_round(lab, remotestatus, inventory).causes.values()) == {None}

    assert ended.end_connections() == 1
    restarted.stop()
    restarted.restore()
    for session in _newest_session(frozen):
        session.suspend()
    found = run_round(lab, remotestatus, inventory)
    assert set(found.causes.values()) == {None}, found.printed
    assert [host.logins() for host in (ended, restarted, frozen, whole)] == [2, 2, 2, 1]
    assert proxy.logins() == 1

    assert proxy.end_connections() == 1
    assert set(run_round(lab, remotestatus, inventory).causes.values()) == {None}
    _end_kept(lab, remotestatus)


def test_kept_connections_hide_no_failure(lab: Lab, remotestatus: Command) -> None:
    """A cut or frozen tunnel and a changed host key have their own cause, with kept connections too."""
    lab.proxy()
    cut, frozen, changed = lab.remote("cut"), lab.remote("frozen"), lab.remote("changed")
    lab.remote("once-cut", variables={"remotestatus_attempts": 1}).cut_tunnel()
    whole = lab.remote("whole")
    inventory = lab.write_inventory(remotestatus_keep_connections=True, **SHORT)
    run_round(lab, remotestatus, inventory)

    cut.cut_tunnel()
    frozen.freeze_tunnel()
    changed.change_host_key()
    changed.end_connections()
    found = run_round(lab, remotestatus, inventory)
    assert found.causes == {
        "cut": Cause.TUNNEL_DOWN,
        "frozen": Cause.TUNNEL_STALE,
        "changed": Cause.HOST_KEY_CHANGED,
        "once-cut": Cause.TUNNEL_DOWN,
        "whole": None,
    }
    assert whole.logins() == 1
    _end_kept(lab, remotestatus)


def _kept(lab: Lab) -> list[str]:
    """The SSH clients that stand by in the background for this lab: ssh names them after their socket."""
    folders = [str(folder) for folder in kept_folders(lab.directory / "history.sqlite3")]
    lines = [" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])]
    return [line for line in lines if line.startswith("ssh") and any(folder in line for folder in folders)]


def _end_kept(lab: Lab, remotestatus: Command) -> None:
    """Leave nothing behind: a round that no longer keeps connections ends them."""
    run_round(lab, remotestatus, lab.write_inventory(remotestatus_keep_connections=False))
    await_that(lambda: not _kept(lab))
    assert not [folder for folder in kept_folders(lab.directory / "history.sqlite3") if folder.exists()]


def _newest_session(host: Proxy | Remote) -> list[psutil.Process]:
    """The server processes of the last connection that a host accepted."""
    config = str(host.sshd.folder / "sshd_config")
    listener = next(
        process for process in psutil.process_iter(["cmdline"]) if config in " ".join(process.info["cmdline"] or ())
    )
    newest = max(listener.children(), key=lambda child: child.create_time())
    return [newest, *newest.children(recursive=True)]
