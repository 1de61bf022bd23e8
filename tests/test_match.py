"""
`remotestatus match`, by its real process: what rules find among a remote's real processes, and what nearly matches.
"""

import json

from tests.lab import Command, Lab
from tests.terminal import Terminal


def test_matches_and_near_matches_are_listed_with_the_reason(lab: Lab, remotestatus: Command) -> None:
    """Each rule of the inventory gets its processes, and near matches with the reason why they do not count."""
    capture = lab.remote(
        "capture-1",
        processes=["rslab-python manage.py capture_videos.py", {"name": "tool", "command": "rslab-ffmpeg"}],
        variables={"remotestatus_limits": {"disk": "99%"}},
    )
    capture.start_process("rslab-python manage.py CAPTURE_videos.py")
    capture.start_process("nice rslab-ffmpeg -i x")
    done = remotestatus("match", "-i", lab.write_inventory(), "capture-1")
    assert done.returncode == 0, done.stderr
    assert "rslab-python manage.py capture_videos.py: 1 running, at least 1 wanted" in done.stdout
    assert "upper and lower case differ: rslab-python manage.py CAPTURE_videos.py" in done.stdout
    assert "tool: 1 running" in done.stdout
    assert "has rslab-ffmpeg as an argument, not as the command: nice rslab-ffmpeg -i x" in done.stdout
    assert not (lab.directory / "history.sqlite3").exists()
    assert not (lab.directory / "site").exists()


def test_a_pattern_is_tried_before_it_is_written_to_the_inventory(lab: Lab, remotestatus: Command) -> None:
    """The same text means different things as words, --command, --contains and --regex."""
    lab.remote("capture-1").start_process("rslab-encode -f mp4 /srv/video")
    inventory = lab.write_inventory()

    def count(*arguments: str) -> int:
        done = remotestatus("match", "-i", inventory, "--json", "capture-1", *arguments)
        assert done.returncode == 0, done.stderr
        (rule,) = json.loads(done.stdout)["rules"]
        # The lab's remotes share this machine's process table, and this very command is on it.
        return sum(found["argv"][0] == "rslab-encode" for found in rule["matched"])

    assert count("rslab-encode -f mp4") == 1
    assert count("rslab-enc") == 0
    assert count("--contains", "rslab-enc") == 1
    assert count("--command", "rslab-encode") == 1
    assert count("--command", "mp4") == 0
    assert count("--regex", "^rslab-[a-z]+ .*(mp4|mkv)") == 1
    assert count("--user", "nobody-at-all", "rslab-encode") == 0


def test_all_lists_every_process_in_the_width_of_the_terminal(lab: Lab, remotestatus: Command) -> None:
    """--all shows each process on one line that fits; without a terminal command lines are whole."""
    lab.remote("capture-1", isolated=True).start_process("rslab-long " + "x" * 300)
    inventory = lab.write_inventory()
    done = remotestatus("match", "-i", inventory, "capture-1", "--all")
    assert "rslab-long " + "x" * 300 in done.stdout
    with Terminal(remotestatus, "match", "-i", inventory, "capture-1", "--all", width=70) as terminal:
        code, shown = terminal.finish()
    assert code == 0
    assert max(len(line.rstrip()) for line in shown.splitlines()) <= 70
    assert "rslab-long xxx" in shown


def test_nothing_of_a_command_line_reaches_the_terminal_but_text(lab: Lab, remotestatus: Command) -> None:
    """Escapes and line feeds in arguments are not obeyed; JSON has them as they are, escaped."""
    lab.remote("capture-1").start_process("rslab-evil \x1b]0;owned\x07 'two\nlines'")
    inventory = lab.write_inventory()
    done = remotestatus("match", "-i", inventory, "capture-1", "--command", "rslab-evil")
    assert "\x1b" not in done.stdout
    assert "\x07" not in done.stdout
    assert "two lines" in done.stdout
    as_json = json.loads(
        remotestatus("match", "-i", inventory, "capture-1", "--command", "rslab-evil", "--json").stdout
    )
    assert as_json["rules"][0]["matched"][0]["argv"][-1] == "two\nlines"


def test_a_remote_that_is_not_reached_says_why(lab: Lab, remotestatus: Command) -> None:
    """Exit code 3 with cause and cure: of the remote, or of the proxy on the way."""
    capture = lab.remote("capture-1", processes=["rslab-x"])
    inventory = lab.write_inventory()
    capture.cut_tunnel()
    done = remotestatus("match", "-i", inventory, "capture-1")
    assert (done.returncode, done.stdout) == (3, "")
    assert f"nothing listens on the remote port {capture.port} there" in done.stderr.replace("\n", " ")
    lab.proxies["tunnel-proxy"].stop()
    done = remotestatus("match", "-i", inventory, "capture-1", "--json")
    assert done.returncode == 3
    values = json.loads(done.stdout)
    assert values["reached"] is False
    assert [(one["name"], one["cause"]) for one in values["troubles"]] == [
        ("tunnel-proxy", "connection-refused"),
        ("capture-1", "proxy-unreachable"),
    ]


def test_without_rules_the_next_step_is_named(lab: Lab, remotestatus: Command) -> None:
    """A remote without processes in the inventory gets no empty page; wrong usage is refused before a connection."""
    here = lab.local("here")
    inventory = lab.write_inventory()
    assert "set remotestatus_processes, or give a PATTERN" in remotestatus("match", "-i", inventory, here.name).stdout
    for arguments, sentence in (
        (("--regex", "here", "("), "is not a regular expression"),
        (("--regex", "here"), "need a PATTERN"),
        (("here", " "), "PATTERN is empty"),
    ):
        done = remotestatus("match", "-i", inventory, *arguments)
        assert done.returncode == 2
        assert sentence in done.stderr
