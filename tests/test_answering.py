"""
What an administrator answers to a message: `ack`, `maintenance` and `notify`, each as the real command.
"""

import json
import re
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.lab import Command, HttpSink, Lab, SmtpSink

HOSTILE = '<b onmouseover="x">Sam</b> drives there\x1b[31m'


class Fleet:
    """One remote that lacks a process, with a mail server that gets its messages, and reminders at once."""

    def __init__(self, lab: Lab, remotestatus: Command, sink: SmtpSink) -> None:
        self.lab, self.remotestatus, self.sink = lab, remotestatus, sink
        self.process = f"answering-{uuid4().hex}"
        self.local = lab.local("here", variables={"remotestatus_processes": [self.process]})
        self.inventory = lab.write_inventory(
            remotestatus_apprise=[{"url": sink.url, "name": "mail"}], remotestatus_remind_every="1s"
        )

    def does(self, *words: str, code: int = 0) -> str:
        """Run one command; returns all that it printed."""
        done = self.remotestatus(*words, "-i", self.inventory)
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout + done.stderr

    def round(self) -> list[str]:
        """Run one round; returns the subjects of the mails it brought."""
        before = len(self.sink.messages)
        self.does("run")
        return [str(mail["Subject"]) for mail in self.sink.messages[before:]]

    def remote(self) -> dict[str, Any]:
        """The remote as status.json has it."""
        document = json.loads((self.lab.directory / "site" / "status.json").read_text())
        found: dict[str, Any] = document["remotes"][0]
        return found

    def page(self, name: str) -> str:
        return (self.lab.directory / "site" / name).read_text()


@pytest.fixture
def fleet(lab: Lab, remotestatus: Command, smtp_sink: SmtpSink) -> Fleet:
    return Fleet(lab, remotestatus, smtp_sink)


def test_each_finding_is_told_by_real_rounds(fleet: Fleet) -> None:
    """A check that fails on a remote that is degraded already is a mail, and so is that it passes again."""
    state = fleet.lab.directory / "lamp"
    check = {"name": "lamp", "command": f"cat {state} 2>/dev/null && exit 2; echo on"}
    variables = {"remotestatus_processes": [fleet.process], "remotestatus_checks": [check]}
    fleet.lab.local("there", variables=variables)
    fleet.inventory = fleet.lab.write_inventory(remotestatus_remind_every="1d")
    assert fleet.round() == ["2 degraded: here, there"]
    assert fleet.round() == []
    fleet.does("ack", "there", "--note", "known")
    state.write_text("lamp is off")
    assert fleet.round() == ["1 worse: there"]
    assert fleet.round() == []
    document = json.loads((fleet.lab.directory / "site" / "status.json").read_text())
    (there,) = [remote for remote in document["remotes"] if remote["name"] == "there"]
    assert [(trouble["code"], trouble["severity"]) for trouble in there["troubles"]] == [
        ("process-missing", "critical"),
        ("check-failed", "critical"),
    ]
    assert "told: worse: new check-failed lamp" in fleet.does("status", "there", "--why", code=1)
    state.unlink()
    assert fleet.round() == ["1 better: there"]


def test_an_acknowledgement_stops_reminders_is_shown_and_ends_with_the_problem(fleet: Fleet) -> None:
    """Its note is on the page and in status, harmless; the recovery is sent and clears it."""
    assert fleet.round() == ["1 degraded: here"]
    assert fleet.round() == ["1 still degraded: here"]

    said = fleet.does("ack", "here", "--note", HOSTILE, "--until", "2h")
    assert said.startswith("Acknowledged: here is degraded; no reminders and no escalation until ")
    assert fleet.round() == []
    for name in ("index.html", "incidents.html", "remotes/here.html"):
        assert "<b onmouseover" not in fleet.page(name)
        assert "Sam&lt;/b&gt; drives there" in fleet.page(name), name
        assert "\x1b" not in fleet.page(name)
    assert "drives there" in fleet.does("ack", "--list")
    assert "acknowledged" in fleet.does("status", "here", "--why", code=1)

    fleet.does("ack", "here", "--clear")
    assert fleet.does("ack", "--list").strip() == "Nothing is acknowledged."
    assert fleet.round() == ["1 still degraded: here"]

    fleet.does("ack", "here", "--note", "again")
    fleet.local.start_process(fleet.process)
    assert fleet.round() == ["1 recovered: here"]
    assert fleet.does("ack", "--list").strip() == "Nothing is acknowledged."


WRONG_ANSWERS: tuple[tuple[list[str], str], ...] = (
    (["ack"], "write which remote, or --list"),
    (["ack", "her"], 'no remote or proxy "her" was checked so far; did you mean here?'),
    (["ack", "here", "--until", "yesterday"], '"yesterday" is not a time; write for example 22:30'),
    (["ack", "here", "--until", "1h", "--for", "1h"], "write either --for or --until"),
    (["maintenance", "here"], "write how long: --for 2h, or --until 22:30"),
    (["maintenance", "her", "--for", "1h"], "here"),
    (["maintenance", "here", "--for", "soon"], "is not a duration"),
    (["maintenance", "here", "--until", "2020-01-01 10:00"], "is over already"),
    (["note", "--clear"], "write whose notes to take away"),
    (["notify", "--test", "nobody"], 'no destination has the tag "nobody"'),
)


def test_a_wrong_answer_is_a_sentence_with_its_cure(fleet: Fleet) -> None:
    """Exit code 2, and nothing was recorded."""
    fleet.does("run")
    for words, sentence in WRONG_ANSWERS:
        assert sentence in " ".join(fleet.does(*words, code=2).split())
    assert fleet.does("ack", "--list").strip() == "Nothing is acknowledged."


def test_maintenance_by_command_holds_messages_until_it_is_ended(fleet: Fleet) -> None:
    """In the window the problem is shown and not sent; when it has ended, it is sent."""
    said = fleet.does("maintenance", "all", "--for", "1h", "--note", "new disk")
    assert said.startswith("In maintenance: all (1 remote), from ")
    assert fleet.round() == []
    assert (fleet.remote()["status"], fleet.remote()["maintenance"]) == ("degraded", True)
    assert "new disk" in fleet.page("remotes/here.html")
    assert "held: in maintenance until" in fleet.does("status", "here", "--why")
    assert "new disk" in fleet.does("maintenance", "--list")

    fleet.does("maintenance", "all", "--end")
    assert "new disk" not in fleet.does("maintenance", "--list")
    assert fleet.round() == ["1 degraded: here"]
    assert fleet.remote()["maintenance"] is False


def test_notify_lists_and_tests_every_destination_without_its_secrets(
    lab: Lab, remotestatus: Command, smtp_sink: SmtpSink, http_sink: HttpSink, tmp_path: Path
) -> None:
    """Each is sent a message and said to have had it or why not, in any encoding; a failure is exit code 3."""
    lab.local("here", variables={"remotestatus_notify": ["mail", "hook", "gone"]})
    gone = "jsons://user:pass-0815-secret@127.0.0.1:9/path-0815-secret"
    inventory = lab.write_inventory(
        remotestatus_apprise=[
            {"url": smtp_sink.url, "name": "mail to ops", "tags": ["mail"]},
            {"url": http_sink.apprise_url, "name": "the hook", "tags": ["hook"]},
            {"url": gone, "name": "nobody “there”", "tags": ["gone"]},
        ]
    )

    encoding = {"PYTHONIOENCODING": "iso-8859-1"}
    listed = remotestatus("notify", "-i", inventory, environment=encoding)
    tested = remotestatus("notify", "--test", "-i", inventory, environment=encoding)
    one = remotestatus("notify", "--test", "mail", "-i", inventory)

    assert (listed.returncode, tested.returncode, one.returncode) == (0, 3, 0), tested.stdout + tested.stderr
    assert re.search(r"^sent +mail to ops$", tested.stdout, re.MULTILINE), tested.stdout
    assert re.search(r"^sent +the hook$", tested.stdout, re.MULTILINE)
    assert re.search(r'^FAILED +nobody "there": .*[Cc]onnection', tested.stdout, re.MULTILINE), tested.stdout
    assert len(smtp_sink.wait_for(2)) == 2
    assert len(http_sink.requests) == 1
    for done in (listed, tested, one):
        assert "0815" not in done.stdout + done.stderr
    assert 'nobody "there"' in listed.stdout
