"""Messages are templates: a folder of one's own stands in for the shipped ones, and a broken one loses no message."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from remotestatus.model.messages import Message
from remotestatus.notify import compose_each
from remotestatus.notify.assemble import assemble, complete_commands
from remotestatus.notify.compose import compose_message
from remotestatus.probe.ansible_source import AnsibleSource
from remotestatus.shipped import report_templates
from remotestatus.templates import TemplateProblem, Templates
from tests.lab import Command, Lab, SmtpSink
from tests.stories import START, Story, make_fleet

SHIPPED = report_templates() / "messages"


def folder_with(folder: Path, name: str, text: str) -> Path:
    """A folder of one's own with one template of a message."""
    (folder / "mine" / "messages").mkdir(parents=True)
    (folder / "mine" / "messages" / name).write_text(text)
    return folder / "mine"


def message_by(templates: Templates, nickname: str = "") -> Message:
    """What is sent when r1 is down, by these templates."""
    story = Story(make_fleet({"r1": {"nickname": nickname} if nickname else {}}))
    story.round({"r1": "d"})
    (notification,) = story.notifications()
    return assemble([compose_message(notification, story.fleet, templates)], START, story.fleet.settings, templates)


def test_one_sentence_of_ones_own_changes_text_and_html(tmp_path: Path) -> None:
    """Plain text and HTML share their sentences; a value in a sentence of one's own is escaped in the HTML only."""
    words = (SHIPPED / "sentences.j2").read_text().replace("You are told", "This is sent")
    words = words.replace("{{ entry.line.state.name }}{% if labels", "*{{ entry.line.state.name }}*{% if labels")
    templates = Templates(folder_with(tmp_path, "sentences.j2", words))
    message = message_by(templates, "<b>")
    assert message.text.startswith("*r1* (<b>) is down.")
    assert message.html.startswith("<p><b>*r1* (&lt;b&gt;) is down.</b>")
    assert templates.problems == []


@pytest.mark.parametrize("name", sorted(path.name for path in SHIPPED.iterdir()))
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("first\n{% if %}", "line 2: Expected an expression"),
        ("first\n{{ nobody }}", "line 2: 'nobody' is undefined"),
        ("  \n", "it writes nothing"),
    ],
)
def test_whatever_is_broken_the_shipped_template_says_it(tmp_path: Path, name: str, text: str, said: str) -> None:
    """The message is as if there were no template of one's own, and each problem is said once, with its file."""
    folder = folder_with(tmp_path, name, text)
    templates = Templates(folder)
    assert message_by(templates) == message_by(Templates())
    if name.startswith(("notification", "message")):
        assert len(templates.problems) == 1
        assert templates.problems[0].startswith(str(folder / "messages" / name))
        assert said in templates.problems[0]


def test_a_shipped_template_that_fails_is_no_ones_to_replace() -> None:
    """Without a folder of one's own there is nothing to fall back to, and the problem is raised."""
    with pytest.raises(TemplateProblem):
        Templates().render_or_shipped("messages/no-such.txt.j2", {})


def test_templates_of_ones_own_are_used_by_a_real_round(
    lab: Lab, remotestatus: Command, smtp_sink: SmtpSink, tmp_path: Path
) -> None:
    """`run --templates` mails by the user's subject; once it is broken, by the shipped one, with exit code 3."""
    local = lab.local("here", variables={"remotestatus_processes": ["no such process"]})
    inventory = lab.write_inventory(remotestatus_apprise=smtp_sink.url)
    subject = "{% for kind, names in names_by_kind.items() %}{{ names | length }} x {{ kind }}!{% endfor %}"
    folder = folder_with(tmp_path, "notification_subject.txt.j2", subject)

    done = remotestatus("run", "-i", inventory, "--templates", folder)

    assert done.returncode == 0, done.stdout + done.stderr
    assert smtp_sink.wait_for(1)[0]["Subject"] == "1 x degraded!"

    (folder / "messages" / "notification_subject.txt.j2").write_text("fine\n{{ names | nobody }}\n")
    local.start_process("no such process")
    done = remotestatus("run", "-i", inventory, "--templates", folder)

    assert done.returncode == 3, done.stdout + done.stderr
    assert smtp_sink.wait_for(2)[1]["Subject"] == "1 recovered: here"
    said = " ".join(done.stderr.split())
    assert f"the shipped template of messages was used: {folder}/messages/notification_subject.txt.j2, line 2" in said


def test_commands_in_a_message_name_an_inventory_that_is_not_the_default() -> None:
    """A cure can be copied: of an inventory with another name, each command of ours says where it is."""
    story = Story(make_fleet())
    message = story.round({"r1": "g"})["ops"]
    assert complete_commands(message, "") == message
    complete = complete_commands(message, "-i '/srv/my hosts.yml'")
    assert "`remotestatus match -i '/srv/my hosts.yml' r1`" in complete.text
    assert complete_commands(complete, "-i '/srv/my hosts.yml'") == complete
    assert "`remotestatus match -i &#x27;/srv/my hosts.yml&#x27; r1`" in complete.html
    assert AnsibleSource((Path("inventory"),)).option == ""
    for path in ("/srv/hosts.yml", "/srv/fleet/inventory"):
        assert AnsibleSource((Path(path),)).option == f"-i {path}"


def test_without_destinations_apprise_is_not_loaded() -> None:
    """A round that notifies nobody does not pay for the library that sends."""
    code = (
        "import sys; from pathlib import Path; import remotestatus.round; from remotestatus.notify import *; "
        "assert load_destinations([], Path('/')) == (); assert 'apprise' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_what_cannot_be_composed_is_sent_as_names() -> None:
    """A value that no sentence can be made of costs its own message the words: names go out, the others are whole."""
    story = Story(make_fleet(2))
    story.round({"r1": "d"})
    (notification,) = story.notifications()
    (line,) = notification.lines
    # A moment without a zone cannot be compared with one that has a zone.
    broken = replace(line.state, problem_since=START.replace(tzinfo=None))
    assert story.last is not None
    plan = replace(
        story.last,
        notifications=(replace(notification, lines=(replace(line, state=broken),)), notification),
    )

    messages, troubles = compose_each(plan, story.fleet, Templates())

    assert [message.headline for message in messages] == ["changed: r1", "1 down: r1"]
    assert "could not be composed" in messages[0].text
    (trouble,) = troubles
    assert "TypeError" in trouble
