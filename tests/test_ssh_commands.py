"""
`remotestatus ssh-config`, `ssh` and `tunnel`, by real processes: the plain `ssh` client with what they give it.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

from remotestatus.probe import AnsibleSource, PlaybookRunner
from remotestatus.report.ssh_command import write_ssh_command
from tests.lab import Command, HttpSink, Lab, require_program, run_command
from tests.lab.ports import Port
from tests.terminal import Terminal

ENVIRONMENT = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}


def free_port() -> int:
    """A port that was free a moment ago."""
    port = Port()
    port.close()
    return port.number


# -- ssh-config


def test_plain_ssh_and_scp_reach_every_remote_by_its_name(lab: Lab, remotestatus: Command, tmp_path: Path) -> None:
    """
    Included first in a person's own configuration, it leads to direct, tunnelled and twice tunnelled remotes.

    The one command that a page shows does too.
    """
    outer = lab.proxy("outer")
    inner = lab.proxy("inner", variables={"ansible_ssh_common_args": "-J outer"})
    lab.remote("capture-1", proxy=outer)
    lab.remote("deep-1", proxy=inner)
    lab.direct("web-1", variables={"ansible_ssh_common_args": "-C -o ServerAliveInterval=7 -4"})
    printed = remotestatus("ssh-config", "-i", lab.write_inventory())
    assert printed.returncode == 0, printed.stderr
    (tmp_path / "remotes.conf").write_text(printed.stdout)
    config = tmp_path / "config"
    config.write_text(f"Include {tmp_path / 'remotes.conf'}\nHost *\n  BatchMode yes\n")
    for name in ("capture-1", "deep-1", "web-1", "outer", "inner"):
        done = run_command(["ssh", "-F", str(config), name, "echo reached"], environment=ENVIRONMENT, timeout=30)
        assert (name, done.stdout, done.stderr) == (name, "reached\n", "")
    described = PlaybookRunner(AnsibleSource((lab.write_inventory(),))).describe_inventory()
    for name in ("capture-1", "deep-1", "web-1"):
        pasted = write_ssh_command(name, described.hosts[name].path, described.ssh)
        done = run_command(
            ["sh", "-c", f"{pasted} -o BatchMode=yes 'echo reached'"], environment=ENVIRONMENT, timeout=30
        )
        assert (name, done.stdout, done.stderr) == (name, "reached\n", ""), pasted
    (tmp_path / "video").write_text("frames")
    copied = tmp_path / "copied"
    copy = ["scp", "-q", "-F", str(config), str(tmp_path / "video"), f"deep-1:{copied}"]
    assert run_command(copy, environment=ENVIRONMENT, timeout=30).returncode == 0
    assert copied.read_text() == "frames"
    asked = run_command(["ssh", "-F", str(config), "-G", "web-1"], environment=ENVIRONMENT, timeout=10).stdout
    assert {"compression yes", "serveraliveinterval 7", "addressfamily inet"} <= set(asked.splitlines())


def test_a_folder_with_spaces_survives_the_configuration(remotestatus: Command, tmp_path: Path) -> None:
    """Key and known_hosts files may lie in a folder whose name holds spaces."""
    with Lab(tmp_path / "my lab") as lab:
        lab.remote("capture-1")
        inventory = lab.write_inventory()
        config = tmp_path / "config"
        config.write_text(remotestatus("ssh-config", "-i", inventory).stdout)
        done = run_command(["ssh", "-F", str(config), "capture-1", "echo reached"], environment=ENVIRONMENT, timeout=30)
        assert (done.stdout, done.stderr) == ("reached\n", "")
        assert remotestatus("ssh", "-i", inventory, "capture-1", "echo reached").stdout == "reached\n"


def test_rsync_goes_by_the_name_alone(lab: Lab, remotestatus: Command, tmp_path: Path) -> None:
    """`rsync FILE capture-1:` goes through the proxy like ssh does."""
    rsync = require_program("rsync", "copying with rsync")
    lab.remote("capture-1")
    config = tmp_path / "config"
    config.write_text(remotestatus("ssh-config", "-i", lab.write_inventory()).stdout)
    (tmp_path / "video").write_text("frames")
    command = [
        rsync,
        f"--rsync-path={rsync}",
        "-e",
        f"ssh -F {config}",
        str(tmp_path / "video"),
        f"capture-1:{tmp_path / 'copied'}",
    ]
    done = run_command(command, environment=ENVIRONMENT, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "copied").read_text() == "frames"


def test_a_chosen_remote_comes_with_its_proxy_and_no_password(lab: Lab, remotestatus: Command) -> None:
    """With names, only these and what lies on their way is printed; a password never is."""
    lab.remote("capture-1", variables={"ansible_password": "open sesame"})
    lab.direct("web-1")
    inventory = lab.write_inventory()
    done = remotestatus("ssh-config", "-i", inventory, "capture-1")
    assert re.findall(r"^Host (.*)$", done.stdout, re.MULTILINE) == ["tunnel-proxy", "capture-1"]
    limited = remotestatus("ssh-config", "-i", inventory, "--limit", "web-1")
    assert re.findall(r"^Host (.*)$", limited.stdout, re.MULTILINE) == ["web-1"]
    assert "sesame" not in remotestatus("ssh-config", "-i", inventory).stdout


def test_relative_key_files_and_odd_options_stay_right_for_ever(lab: Lab, remotestatus: Command) -> None:
    """A relative key file starts at the inventory's folder, and what has quotes in the inventory keeps them."""
    lab.direct(
        "web-1",
        variables={
            "ansible_ssh_private_key_file": "checker_key",
            "ansible_ssh_extra_args": """-o 'SetEnv="A=b c"' -o LogLevel=ERROR""",
        },
    )
    config = lab.directory / "config"
    config.write_text(remotestatus("ssh-config", "-i", lab.write_inventory()).stdout)
    asked = run_command(["ssh", "-F", str(config), "-G", "web-1"], environment=ENVIRONMENT, timeout=10).stdout
    assert {"setenv A=b c", "loglevel ERROR", f"identityfile {lab.directory}/checker_key"} <= set(asked.splitlines())


# -- ssh


def test_ssh_is_ssh(lab: Lab, remotestatus: Command) -> None:
    """Arguments, standard input, output and the exit code are those of the command on the remote."""
    lab.remote("capture-1")
    inventory = lab.write_inventory()
    done = remotestatus("ssh", "-i", inventory, "capture-1", "cat; ls -d /; exit 7", text="from here\n")
    assert (done.returncode, done.stdout, done.stderr) == (7, "from here\n/\n", "")
    assert remotestatus("ssh", "-i", inventory, "capture-1", "ls", "-d", "/").stdout == "/\n"
    assert remotestatus("ssh", "-i", inventory, "tunnel-proxy", "echo on the proxy").stdout == "on the proxy\n"


def test_ssh_asks_for_a_password_itself(lab: Lab, remotestatus: Command) -> None:
    """Where the inventory has a password, it is said that ssh asks, and what is typed logs in."""
    lab.remote("capture-1", password="open sesame")
    inventory = lab.write_inventory()
    with Terminal(remotestatus, "ssh", "-i", inventory, "capture-1", "echo logged in") as terminal:
        assert "ssh will ask for the password of capture-1" in terminal.wait_for("password: ")
        terminal.type("open sesame")
        terminal.wait_for("logged in")
        assert terminal.finish()[0] == 0


def test_ssh_says_what_is_not_trusted_yet(lab: Lab, remotestatus: Command) -> None:
    """An unknown host key is ssh's to refuse; the command that collects it is named before."""
    lab.remote("capture-1")
    inventory = lab.write_inventory()
    lab.known_hosts.write_text("")
    done = remotestatus("ssh", "-i", inventory, "capture-1", "true")
    assert done.returncode == 255
    assert "`remotestatus trust tunnel-proxy capture-1`" in done.stderr
    assert "Host key verification failed" in done.stderr


REFUSED = {
    "here": ("here is not reached by SSH: it is this machine itself (ansible_connection: local)", ("ssh", "tunnel")),
    "capture-2": ("did you mean capture-1?", ("ssh", "tunnel", "ssh-config", "match", "trust")),
    "tunnel-proxy": ("tunnel-proxy is a proxy; name a remote, for example capture-1", ("tunnel", "match")),
}


def test_a_name_that_cannot_be_meant_is_refused_with_a_sentence(lab: Lab, remotestatus: Command) -> None:
    """Exit code 2, in each command that takes a remote."""
    lab.remote("capture-1")
    lab.local("here")
    inventory = lab.write_inventory()
    for name, (sentence, commands) in REFUSED.items():
        for command in commands:
            done = remotestatus(command, "-i", inventory, name)
            assert (command, name, done.returncode) == (command, name, 2)
            assert sentence in done.stderr


# -- tunnel


def test_the_virtual_port_leads_to_the_remotes_ssh(lab: Lab, remotestatus: Command) -> None:
    """The command that is printed logs in through the mapped port, with the remote's own host key checked."""
    port = free_port()
    capture = lab.remote("capture-1", variables={"remotestatus_forwarded_port": port})
    inventory = lab.write_inventory()
    with Terminal(remotestatus, "tunnel", "-i", inventory, "capture-1", width=1000) as terminal:
        shown = terminal.wait_for("Ctrl-C ends it")
        assert f"127.0.0.1:{port} is mapped to capture-1 (port {capture.port} on tunnel-proxy)" in shown
        (printed,) = re.findall(r"^  (ssh .*?)\r?$", shown, re.MULTILINE)
        assert "HostKeyAlias=capture-1" in printed
        done = run_command(
            ["/bin/sh", "-c", f"{printed} -o BatchMode=yes echo through"], environment=ENVIRONMENT, timeout=30
        )
        assert (done.stdout, done.returncode) == ("through\n", 0), done.stderr
        second = remotestatus("tunnel", "-i", inventory, "capture-1")
        assert second.returncode == 3
        assert f"port {port} is in use" in second.stderr
        assert "--port" in second.stderr
        terminal.press("c")
        code, shown = terminal.finish()
    assert code == 0
    assert f"Port {port} is no longer mapped." in shown
    assert capture.logins() == 1


def test_something_else_on_the_remote_can_be_mapped(lab: Lab, remotestatus: Command, http_sink: HttpSink) -> None:
    """--to leads to a web server as the remote sees it."""
    lab.remote("capture-1")
    port, target = free_port(), http_sink.url.split("//")[1].split("/")[0]
    arguments = ("tunnel", "-i", lab.write_inventory(), "capture-1", "--port", str(port), "--to", target)
    with Terminal(remotestatus, *arguments) as terminal:
        terminal.wait_for("Ctrl-C ends it")
        fetch = f"import urllib.request; urllib.request.urlopen('http://127.0.0.1:{port}/x', data=b'1', timeout=9)"
        subprocess.run([sys.executable, "-c", fetch], check=True, timeout=30)
        terminal.press("c")
        assert terminal.finish()[0] == 0
    assert [request.path for request in http_sink.requests] == ["/x"]


def test_a_connection_that_ends_says_so(lab: Lab, remotestatus: Command) -> None:
    """When the proxy goes away, the mapping ends with exit code 3 and a sentence."""
    lab.remote("capture-1", variables={"remotestatus_forwarded_port": free_port()})
    with Terminal(remotestatus, "tunnel", "-i", lab.write_inventory(), "capture-1", width=200) as terminal:
        terminal.wait_for("Ctrl-C ends it")
        lab.proxies["tunnel-proxy"].end_connections()
        code, shown = terminal.finish()
    assert code == 3
    assert "the connection to tunnel-proxy ended" in shown


def test_a_tunnel_that_cannot_be_made_says_why(lab: Lab, remotestatus: Command) -> None:
    """No port, a direct remote, a wrong destination, a proxy that is down: each has its sentence and its cure."""
    lab.remote("capture-1")
    lab.direct("web-1", variables={"remotestatus_forwarded_port": free_port()})
    inventory = lab.write_inventory()
    port = ("--port", str(free_port()))
    cases = [
        (("capture-1",), 2, "set remotestatus_forwarded_port for it, or give --port"),
        (("web-1",), 2, "reached directly"),
        (("web-1", "--to", "eighty"), 2, "write [HOST:]PORT"),
    ]
    for arguments, code, sentence in cases:
        done = remotestatus("tunnel", "-i", inventory, *arguments)
        assert (arguments, done.returncode) == (arguments, code)
        assert sentence in done.stderr
    lab.proxies["tunnel-proxy"].stop()
    for arguments in (("capture-1", *port), ("capture-1", *port, "--to", "80")):
        done = remotestatus("tunnel", "-i", inventory, *arguments)
        assert done.returncode == 3
        assert "refuses connections to port" in done.stderr
        assert "tunnel-proxy" in done.stderr


def test_a_tunnel_through_a_dead_tunnel_blames_the_remote(lab: Lab, remotestatus: Command) -> None:
    """With --to the remote itself is logged in to; when its tunnel is down, that is what is said."""
    capture = lab.remote("capture-1")
    inventory = lab.write_inventory()
    capture.cut_tunnel()
    done = remotestatus("tunnel", "-i", inventory, "capture-1", "--port", str(free_port()), "--to", "80")
    assert done.returncode == 3
    assert f"nothing listens on the remote port {capture.port} there" in done.stderr


# -- completion


def test_names_are_completed_from_the_history(lab: Lab, remotestatus: Command) -> None:
    """After a round the shell completes remotes, and proxies where they are meant; before it, and fast, nothing."""
    lab.local("here-1")
    lab.proxy("here-proxy")
    inventory = lab.write_inventory(remotestatus_database="kept/rounds.sqlite3")

    def complete(*words: str) -> list[str]:
        environment = {
            "_REMOTESTATUS_COMPLETE": "bash_complete",
            "COMP_WORDS": " ".join(("remotestatus", *words)),
            "COMP_CWORD": str(len(words)),
        }
        done = remotestatus(environment=environment, timeout=30)
        return [line.partition(",")[2] for line in done.stdout.splitlines() if line]

    assert complete("match", "-i", str(inventory), "he") == []
    assert remotestatus("run", "-q", "-i", inventory).returncode == 0
    assert complete("match", "-i", str(inventory), "he") == ["here-1"]
    assert complete("trust", "-i", str(inventory), "he") == ["here-1", "here-proxy"]
    assert complete("trust", "-i", str(inventory), "here-1", "he") == ["here-proxy"]
    assert complete("match", "-i", str(inventory), "x") == []
