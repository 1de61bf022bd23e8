"""
The test laboratory itself, looked at with the plain ssh client: each fault shows what it shows in the field.
"""

import json
import os
import signal
import smtplib
import socket
import subprocess
import sys
import textwrap
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from email.message import EmailMessage
from pathlib import Path

import psutil
import pytest
import yaml

from tests.lab import HttpSink, Lab, Proxy, Remote, SmtpSink, require_program, require_root

NO_BANNER = "kex_exchange_identification: Connection closed by remote host"


def test_a_remote_is_reached_through_its_tunnel_with_one_login_at_each_stop(lab: Lab) -> None:
    """The plain client logs in to the remote through the proxy, and both servers count just that."""
    capture = lab.remote("capture-1")
    answer = lab.ssh(capture, "cat", text="a line\n")
    assert (answer.returncode, answer.stdout) == (0, "a line\n")
    assert capture.proxy
    assert (capture.logins(), capture.connections()) == (1, 1)
    assert (capture.proxy.logins(), capture.proxy.connections()) == (1, 1)


def test_a_remote_is_reached_through_a_chain_of_proxies(lab: Lab) -> None:
    """With two proxies in a row, each sees one login."""
    outer, inner = lab.proxy("outer"), lab.proxy("inner")
    deep = lab.remote("deep-1", proxy=[outer, inner])
    assert lab.ssh(deep).stdout == "ok\n"
    assert (outer.logins(), inner.logins(), deep.logins()) == (1, 1, 1)


def test_remotes_may_have_different_proxies_or_none(lab: Lab) -> None:
    """A proxy sees only the logins of its own remotes."""
    east, west = lab.proxy("east"), lab.proxy("west")
    one, two, web = lab.remote("one", proxy="east"), lab.remote("two", proxy=west), lab.direct("web-1")
    assert [lab.ssh(remote).stdout for remote in (one, two, web)] == ["ok\n"] * 3
    assert (east.logins(), west.logins(), web.logins()) == (1, 1, 1)


def test_two_hundred_remotes_start_within_seconds(lab: Lab) -> None:
    """A fleet in bulk is cheap, each remote answers on a port of its own, and each tunnel is cut by itself."""
    begin = time.monotonic()
    fleet = lab.bulk(200)
    assert time.monotonic() - begin < 10
    assert len({remote.port for remote in fleet}) == 200
    fleet[3].cut_tunnel()
    assert lab.ssh(fleet[3]).returncode == 255
    assert lab.ssh(fleet[199]).stdout == "ok\n"
    fleet[3].restore()
    assert lab.ssh(fleet[3]).stdout == "ok\n"


TUNNELLED_FAULTS: dict[str, tuple[Callable[[Remote], None], str]] = {
    "tunnel cut": (Remote.cut_tunnel, "connect failed: Connection refused"),
    "tunnel frozen": (Remote.freeze_tunnel, "Connection timed out during banner exchange"),
    "sshd stopped": (Remote.stop, NO_BANNER),
    "closed at once": (Remote.close_at_once, NO_BANNER),
    "silent": (Remote.fall_silent, "Connection timed out during banner exchange"),
    "key rejected": (Remote.reject_key, "Permission denied (publickey)"),
    "host key changed": (Remote.change_host_key, "you have requested strict checking"),
    "connection lost": (Remote.lose_connection, "closed by"),
    "proxy stopped": (lambda remote: _proxy(remote).stop(), "Connection refused"),
    "proxy in a black hole": (lambda remote: _proxy(remote).black_hole(), "Connection timed out"),
    "proxy silent": (lambda remote: _proxy(remote).fall_silent(), "Connection timed out during banner exchange"),
    "proxy closes": (lambda remote: _proxy(remote).close_at_once(), NO_BANNER),
    "proxy rejects key": (lambda remote: _proxy(remote).reject_key(), "Permission denied (publickey)"),
    "proxy's key changed": (lambda remote: _proxy(remote).change_host_key(), "you have requested strict checking"),
}


@pytest.mark.parametrize("fault", TUNNELLED_FAULTS)
def test_a_fault_on_the_way_shows_its_real_text_and_can_be_taken_back(lab: Lab, fault: str) -> None:
    """Each fault makes OpenSSH say what it says in the field; after `restore` all is well."""
    break_it, text = TUNNELLED_FAULTS[fault]
    capture = lab.remote("capture-1")
    break_it(capture)
    answer = lab.ssh(capture, connect_timeout=2)
    assert answer.returncode == 255
    assert text in answer.stderr
    _proxy(capture).restore()
    capture.restore()
    assert lab.ssh(capture).stdout == "ok\n"


@pytest.mark.parametrize(
    ("break_it", "text"),
    [(Remote.stop, "port {port}: Connection refused"), (Remote.black_hole, "port {port}: Connection timed out")],
)
def test_a_direct_remote_fails_in_its_own_words(lab: Lab, break_it: Callable[[Remote], None], text: str) -> None:
    """Without a proxy the client names the address and port that did not answer."""
    web = lab.direct("web-1")
    break_it(web)
    assert text.format(port=web.port) in lab.ssh(web, connect_timeout=2).stderr
    web.restore()
    assert lab.ssh(web).stdout == "ok\n"


def test_swapped_tunnels_lead_to_the_other_remote(lab: Lab) -> None:
    """The host keys tell: each remote's port presents the key of the other."""
    one, two = lab.remote("one"), lab.remote("two")
    lab.swap_tunnels(one, two)
    for remote in (one, two):
        assert "HOST IDENTIFICATION HAS CHANGED" in lab.ssh(remote).stderr
    for remote in (one, two):
        remote.restore()
        assert lab.ssh(remote).stdout == "ok\n"


def test_the_checkers_connection_can_be_killed_while_the_tunnels_stand(lab: Lab) -> None:
    """Killing the proxy's sessions of the checker ends a command in the middle; the next one works at once."""
    capture = lab.remote("capture-1")
    running = subprocess.Popen(
        ["ssh", "-F", str(lab.ssh_config()), "capture-1", "sleep 60"], stderr=subprocess.PIPE, stdin=subprocess.DEVNULL
    )
    with running:
        deadline = time.monotonic() + 10
        while capture.logins() == 0:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert _proxy(capture).end_connections() == 1
        assert running.wait(timeout=10) == 255
    assert lab.ssh(capture).stdout == "ok\n"


def test_a_proxy_keeps_the_limits_of_its_sshd(lab: Lab) -> None:
    """With more logins under way than MaxStartups allows, the next one is turned away, and counted."""
    proxy = lab.proxy(sshd_config={"MaxStartups": "1:100:1"})
    capture = lab.remote("capture-1")
    with socket.create_connection(("127.0.0.1", proxy.sshd.port)):
        assert lab.ssh(capture).returncode == 255
    assert proxy.turned_away() == 1


def test_a_hanging_shell_says_nothing_for_ever(lab: Lab) -> None:
    """The login succeeds and no output comes; also after the output, when told so."""
    capture = lab.remote("capture-1")
    capture.hang_shell()
    with pytest.raises(subprocess.TimeoutExpired) as silence:
        lab.ssh(capture, timeout=2)
    assert not silence.value.output
    assert capture.logins() == 1
    capture.hang_after_output()
    with pytest.raises(subprocess.TimeoutExpired) as stall:
        lab.ssh(capture, timeout=2)
    assert stall.value.output == "ok\n"


def test_a_shell_may_print_before_the_output_or_for_ever(lab: Lab) -> None:
    """Noise and megabytes of garbage come before the command's output; an endless printer never gets to it."""
    web = lab.direct("web-1")
    web.print_noise("Welcome to 'web-1'")
    answer = lab.ssh(web)
    assert (answer.stdout, answer.stderr) == ("Welcome to 'web-1'\nok\n", "Welcome to 'web-1'\n")
    web.print_garbage()
    answer = lab.ssh(web)
    assert len(answer.stdout) > 1_000_000
    assert answer.stdout.endswith("ok\n")
    web.print_for_ever()
    with pytest.raises(subprocess.TimeoutExpired) as endless:
        lab.ssh(web, "echo never", timeout=1)
    assert set(endless.value.output) == {"y", "\n"}
    web.restore()
    web.show_banner("Authorized use only\n")
    answer = lab.ssh(web)
    assert (answer.stdout, answer.stderr.strip()) == ("ok\n", "Authorized use only")


def test_programs_can_be_missing_or_hang(lab: Lab) -> None:
    """Without ps the shell exits with 127; with a hanging disk df never returns."""
    web = lab.direct("web-1")
    web.remove_programs("ps")
    assert lab.ssh(web, "ps").returncode == 127
    assert lab.ssh(web, "cat /dev/null && echo ok").stdout == "ok\n"
    web.hang_disk()
    with pytest.raises(subprocess.TimeoutExpired):
        lab.ssh(web, "df", timeout=1)
    web.exit_with(255)
    assert lab.ssh(web).returncode == 255


def test_processes_have_the_arguments_that_were_asked_for(lab: Lab) -> None:
    """A process of the lab looks like the real one in ps, and can be killed by its name."""
    capture = lab.remote("capture-1", processes=["python manage.py lab_test_1", {"name": "rec", "command": "rec -f x"}])
    listing = lab.ssh(capture, "ps -ww -e -o comm= -o args=").stdout
    words = [line.split() for line in listing.splitlines()]
    assert ["python", "python", "manage.py", "lab_test_1"] in words
    assert ["rec", "rec", "-f", "x"] in words
    capture.stop_process("python manage.py lab_test_1")
    assert "lab_test_1" not in lab.ssh(capture, "ps -ww -e -o args=").stdout


def test_an_isolated_remote_sees_only_its_own_processes(lab: Lab) -> None:
    """As root, a remote can have a process table of its own; its faults work as everywhere."""
    require_root("a process table of its own")
    one = lab.remote("one", isolated=True, processes=["python manage.py lab_test_2"])
    two = lab.remote("two", isolated=True)
    assert "python manage.py lab_test_2" in lab.ssh(one, "ps -e -o args=").stdout.splitlines()
    assert "lab_test_2" not in lab.ssh(two, "ps -e -o args=").stdout
    one.stop_process("python manage.py lab_test_2")
    assert "lab_test_2" not in lab.ssh(one, "ps -e -o args=").stdout
    one.change_host_key()
    assert lab.ssh(one).returncode == 255
    one.stop()
    one.restore()
    assert lab.ssh(one).stdout == "ok\n"


def test_a_password_login_works_until_the_password_is_changed(lab: Lab) -> None:
    """A remote with a password has a real account, which the inventory's password opens."""
    capture = lab.remote("capture-1", password='c\'est "tout"')
    assert lab.ssh(capture, "id -un").stdout.strip() == capture.login.user
    assert capture.logins() == 1
    capture.change_password()
    assert "Permission denied (" in lab.ssh(capture).stderr


def test_login_shells_are_real(lab: Lab) -> None:
    """An account can have any login shell, and a profile that prints."""
    require_root("a login shell of its own")
    bash = lab.direct("bash-1", shell="/bin/bash")
    (bash.home / ".bashrc").write_text("echo noise\n")
    assert lab.ssh(bash).stdout == "noise\nok\n"
    closed = lab.direct("closed-1", shell=require_program("nologin", "a login shell that refuses"))
    answer = lab.ssh(closed)
    assert answer.returncode == 1
    assert "not available" in answer.stdout


@pytest.mark.parametrize("shell", ["csh", "fish"])
def test_other_login_shells_are_real(lab: Lab, shell: str) -> None:
    """A login shell that is not a Bourne shell runs the command too, in its own language."""
    require_root("a login shell of its own")
    remote = lab.direct("shell-1", shell=require_program(shell, "this login shell"))
    assert lab.ssh(remote, "set").stdout.strip()


def test_the_inventory_is_what_ansible_reads(lab: Lab) -> None:
    """Ansible finds every host with its variables, and nothing but inventory lies in the inventory folder."""
    lab.variables["recorders"] = {"remotestatus_location": "Hall A"}
    lab.remote("capture-1", processes=["python manage.py lab_test_3"], group="recorders", variables={"extra": [1]})
    lab.local("here")
    folder = lab.write_inventory(remotestatus_title="Lab")
    listing = subprocess.run(
        [Path(sys.executable).with_name("ansible-inventory"), "-i", folder, "--list"],
        check=True,
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"], "HOME": str(lab.directory), "LC_ALL": "C.UTF-8"},
    )
    read = json.loads(listing.stdout)
    capture = read["_meta"]["hostvars"]["capture-1"]
    assert capture["ansible_ssh_common_args"] == "-o ProxyJump=tunnel-proxy"
    assert capture["ansible_port"] == lab.remotes["capture-1"].port
    assert capture["remotestatus_location"] == "Hall A"
    assert capture["remotestatus_title"] == "Lab"
    assert capture["extra"] == [1]
    assert read["proxies"]["hosts"] == ["tunnel-proxy"]
    assert read["_meta"]["hostvars"]["here"]["ansible_connection"] == "local"
    assert {path.name for path in folder.rglob("*")} == {"remotes.yml", "group_vars", "all.yml", "recorders.yml"}
    assert yaml.safe_load((folder / "group_vars" / "all.yml").read_text())["remotestatus_known_hosts"] == "known_hosts"
    names = [line.split()[0] for line in lab.known_hosts.read_text().splitlines()]
    assert names == ["tunnel-proxy", "capture-1"]


def test_nothing_survives_a_killed_test(tmp_path: Path) -> None:
    """When the test process is killed, the lab's processes, accounts and folder go away by themselves."""
    program = textwrap.dedent(
        f"""
        import os, signal
        from pathlib import Path
        from tests.lab import Lab
        lab = Lab(Path({str(tmp_path)!r}))
        remote = lab.remote("capture-1", processes=["python manage.py lab_test_4"])
        remote.hang_shell()
        if os.geteuid() == 0:
            lab.direct("bash-1", shell="/bin/sh")
        print(lab.scratch, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=Path(__file__).parent.parent, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    scratch = Path(done.stdout.strip())
    deadline = time.monotonic() + 10
    while scratch.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    commands = [" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])]
    assert not [command for command in commands if str(scratch) in command or "lab_test_4" in command]
    assert str(scratch) not in Path("/etc/passwd").read_text()


def test_a_mail_sink_collects_refuses_and_comes_back(smtp_sink: SmtpSink) -> None:
    """Mail is parsed; a refusal reaches the sender; a stopped sink refuses connections and starts on the same port."""
    port = smtp_sink.port
    _send_mail(port, "first: ü")
    assert smtp_sink.wait_for(1)[0]["Subject"] == "first: ü"
    smtp_sink.refusal = "451 4.3.0 try again later"
    with pytest.raises(smtplib.SMTPDataError):
        _send_mail(port, "refused")
    smtp_sink.refusal = None
    smtp_sink.stop()
    with pytest.raises(ConnectionRefusedError):
        _send_mail(port, "nobody there")
    smtp_sink.start()
    _send_mail(port, "second")
    assert [message["Subject"] for message in smtp_sink.wait_for(2)] == ["first: ü", "second"]
    assert (smtp_sink.port, smtp_sink.attempts) == (port, 3)


def test_a_web_sink_records_fails_hangs_and_comes_back(http_sink: HttpSink) -> None:
    """Requests are recorded whatever the answer; a hanging or stopped sink gives none."""
    assert _post(http_sink, b"one") == 200
    http_sink.status = 500
    assert _post(http_sink, b"two") == 500
    http_sink.hangs = True
    with pytest.raises(TimeoutError):
        _post(http_sink, b"three", timeout=0.5)
    http_sink.hangs, http_sink.status = False, 200
    http_sink.stop()
    with pytest.raises(urllib.error.URLError):
        _post(http_sink, b"nobody there")
    http_sink.start()
    assert _post(http_sink, b"four") == 200
    assert [request.body for request in http_sink.requests] == [b"one", b"two", b"three", b"four"]
    assert http_sink.requests[0].method == "POST"
    assert http_sink.requests[0].path == "/hook"
    assert http_sink.requests[0].headers["x-test"] == "yes"


def _proxy(remote: Remote) -> Proxy:
    assert remote.proxy
    return remote.proxy


def _send_mail(port: int, subject: str) -> None:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "a@example.com", "b@example.com", subject
    message.set_content("text")
    with smtplib.SMTP("127.0.0.1", port, timeout=5) as client:
        client.send_message(message)


def _post(sink: HttpSink, body: bytes, timeout: float = 5) -> int:
    request = urllib.request.Request(sink.url, data=body, headers={"X-Test": "yes"})
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code
