"""A destination keeps its queue when its entry is written differently, and what waits for nobody is told."""

import json
from pathlib import Path

import pytest

from remotestatus.history import outbox
from remotestatus.history.database import History
from remotestatus.model.errors import ConfigurationError
from remotestatus.model.inventory_variables import DestinationSpec, FleetSettings
from remotestatus.model.notification import Receiver
from remotestatus.model.states import Kind
from remotestatus.notify.destinations import load_destinations
from tests.lab import Command, HttpSink, Lab
from tests.stories import EVERY, START, Story, make_fleet, record_round

R1 = (Kind.REMOTE, "r1")


def receiver_of(entry: str | dict[str, object]) -> Receiver:
    """The receiver that an entry of remotestatus_apprise makes."""
    settings = FleetSettings.model_validate({"apprise": [entry]})
    assert not isinstance(settings.apprise, str)
    (destination,) = load_destinations(settings.apprise, Path("/"))
    return destination


SAME = [
    ("mailto://me:one@mail.example.com?to=a@example.com", "mailto://me:two@mail.example.com?to=a@example.com"),
    ("mailtos://me:one@Mail.Example.com/a@example.com", "mailtos://me:one@mail.example.com?to=a%40example.com&cto=5"),
    ("json://u:one@127.0.0.1:8080/hook", {"url": "json://u:two@127.0.0.1:8080/hook/", "tags": ["ops"]}),
    ("json://127.0.0.1:8080/hook", {"url": "json://127.0.0.1:8080/hook", "name": "hook"}),
    ({"url": "json://127.0.0.1:8080/hook", "name": "a"}, {"url": "json://127.0.0.1:8080/hook", "name": "b"}),
    ({"url": "json://old.example.com/", "name": "a"}, {"url": "json://new.example.com/", "name": "a"}),
    ("ntfys://tk_abcdefghijk@ntfy.example.com/boxes", "ntfys://tk_zyxwvutsrq@ntfy.example.com/boxes"),
    ("discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js", "discord://4174216298/XHMHI8qBe7bk2ZwO5U711o3dV_jz"),
]


@pytest.mark.parametrize(("before", "after"), SAME)
def test_a_queue_stays_with_its_destination(
    tmp_path: Path, before: str | dict[str, object], after: str | dict[str, object]
) -> None:
    """A new password, tag, name, spelling or order changes neither what waits nor what the receiver knows."""
    old, new = receiver_of(before), receiver_of(after)
    other = Receiver("id other", "other", identity="other")
    with History.open(tmp_path / "h") as history:
        outbox.carry_over(history, (old, other))
        record_round(history, make_fleet(), {"r1": "d"}, (old, other), START)
        outbox.carry_over(history, (other, new))
        record_round(history, make_fleet(), {"r1": "d"}, (other, new), START + EVERY)
        assert outbox.orphans(history, (other, new)) == ()
        due = outbox.due(history, {new.key: "", other.key: ""}, START)
        assert {one.destination: len(one.messages) for one in due} == {new.key: 1, other.key: 1}


def test_a_queue_of_an_older_version_is_found(tmp_path: Path) -> None:
    """An older version knew a destination without a name by a hash of its whole URL: its queue goes on."""
    new = receiver_of("json://u:one@127.0.0.1:8080/hook")
    (former,) = new.former
    assert former != new.key
    with History.open(tmp_path / "h") as history:
        record_round(history, make_fleet(), {"r1": "d"}, (Receiver(former, "JSON"),), START)
        outbox.carry_over(history, (new,))
        assert outbox.read_memory(history, START, (new,)).known.keys() == {(new.key, R1)}
        assert [one.destination for one in outbox.due(history, {new.key: ""}, START)] == [new.key]


def test_two_hooks_that_differ_by_their_tokens_are_two() -> None:
    """They have queues of their own; the same one twice is an error that says so."""
    one, two = "discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js", "discord://4174216298/XHMHI8qBe7bk2ZwO5U711o3dV_jz"
    first, second = load_destinations([DestinationSpec(url=one), DestinationSpec(url=two)], Path("/"))
    assert first.key != second.key
    with pytest.raises(ConfigurationError, match="a problem") as error:
        load_destinations([DestinationSpec(url=one), DestinationSpec(url=one, tags=("x",))], Path("/"))
    assert "the same destination" in str(error.value)


def test_no_key_holds_a_secret() -> None:
    """Neither the key nor the identity changes with the password, so nothing of it can be learned from them."""
    one, two = (receiver_of(f"mailto://me:{word}@mail.example.com?to=a@example.com") for word in ("hunter2", "other"))
    assert (one.key, one.identity) == (two.key, two.identity)


def test_what_waits_for_nobody_is_told_to_the_others(tmp_path: Path) -> None:
    """Messages for a destination that left the inventory are given up, and the others hear of it once."""
    old, other = Receiver("id old", "old"), Receiver("id other", "other")
    with History.open(tmp_path / "h") as history:
        record_round(history, make_fleet(), {"r1": "d"}, (old, other), START)
        memory = outbox.read_memory(history, START, (other,))
        story = Story(make_fleet(), receivers=(other,), memory=memory, states=history.states())
        message = story.round({"r1": "d"})["other"]
        assert message.subject == "messages to old given up"
        assert "1 message to old will never be sent, because it is no longer in remotestatus_apprise;" in message.text
        assert story.last is not None
        outbox.add(history, story.last, [message])
        assert outbox.read_memory(history, START, (other,)).orphans == ()
        assert [one.dropped for one in outbox.messages_about(history, R1)].count(outbox.UNCONFIGURED) == 1


def test_a_real_queue_survives_a_new_password_and_a_removed_one_is_printed(
    lab: Lab, remotestatus: Command, http_sink: HttpSink
) -> None:
    """What the server refused is sent after the password was changed; without its entry it is given up, and said."""
    lab.local("here", variables={"remotestatus_processes": ["no such process"]})

    def run(entry: str | dict[str, str] | None, code: int = 0) -> str:
        lab.write_inventory(remotestatus_apprise=[entry] if entry else [])
        done = remotestatus("run", "-i", lab.directory / "inventory")
        assert done.returncode == code, done.stdout + done.stderr
        return " ".join((done.stdout + done.stderr).split())

    hook = f"127.0.0.1:{http_sink.port}/hook"
    http_sink.status = 401
    assert "401" in run(f"json://user:one@{hook}")
    refused = len(http_sink.requests)
    http_sink.status = 200
    run({"url": f"json://user:two@{hook}", "name": "hook"})
    assert len(http_sink.requests) > refused, "a changed entry is tried at once"
    assert "1 degraded: here" in json.dumps(http_sink.requests[-1].body, default=str)
    http_sink.status = 401
    lab.local("there", variables={"remotestatus_processes": ["no such process either"]})
    run({"url": f"json://user:two@{hook}", "name": "hook"})
    said = run(None)
    assert "1 message to hook will never be sent, because it is no longer in remotestatus_apprise" in said
    assert "the last one: 1 degraded: there" in said
