"""The machine formats, read back by parsers that others wrote."""

import json
import subprocess
import xml.etree.ElementTree as ET
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import feedparser
import jsonschema
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from remotestatus.model.facts import Disk, Facts
from remotestatus.report.build import Report, build_report
from remotestatus.report.formats.badges import _COLOURS, fleet_badge, remote_badge, write_endpoint, write_svg
from remotestatus.report.formats.metrics import write_metrics
from remotestatus.report.formats.status_json import status_schema, write_status
from remotestatus.report.pages import page_templates
from remotestatus.report.publish import machine_files
from remotestatus.shipped import report_templates
from tests.lab import require_program
from tests.made_fleet import Made, make_report_input

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
HOSTILE = '"><script>alert(1)</script>&\\n{}\x1b[31m\x00\ufffe\u202e'


@cache
def report_of(made: Made) -> Report:
    with TemporaryDirectory() as folder:
        return build_report(make_report_input(made, Path(folder) / "history.sqlite3"), made.now)


@pytest.fixture
def report() -> Report:
    return report_of(Made(41, NOW, dead_proxy=False, settings=Settings(url="https://status.example.com/boxes")))


class Settings(dict[str, object]):
    """Settings that can be a key of a cache."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(tuple(self.items()))


HOSTILE_REPORT = Made(8, NOW, hostile="x" + HOSTILE, names=("a" + HOSTILE,), settings=Settings())
DEAD = Made(56, NOW, dead_proxy=True, settings=Settings())


# -- status.json -----------------------------------------------------------------------------------------------------


def test_status_has_exactly_the_promised_keys(report: Report) -> None:
    """status.json has the keys that the documentation promises, and no others."""
    status = json.loads(write_status(report))
    assert list(status) == [
        "schema",
        "title",
        "generated_at",
        "next_expected_at",
        "round",
        "summary",
        "proxies",
        "workers",
        "out_of_sight",
        "remotes",
        "incidents",
        "planned",
        "notes",
    ]
    assert status["schema"] == 1
    assert status["round"].keys() == {"id", "started_at", "finished_at", "seconds", "troubles"}
    assert status["summary"].keys() == {"up", "degraded", "down", "unknown", "maintenance"}
    assert list(status["proxies"][0]) == [
        *("name", "status", "cause", "since", "behind", "severity", "troubles", "processes", "facts", "limits"),
        *("checks", "files", "units", "devices", "advice", "notes"),
    ]
    assert list(status["remotes"][0]) == [
        "name",
        "nickname",
        "description",
        "location",
        "groups",
        "proxy",
        "remote_port",
        "virtual_port",
        "status",
        "since",
        "maintenance",
        "cause",
        "connect_ms",
        "severity",
        "troubles",
        "worker",
        "not_from",
        "processes",
        "facts",
        "limits",
        "checks",
        "files",
        "units",
        "devices",
        "advice",
        "notes",
        "seen_at",
        "first_seen",
        "attempts",
        "unconfirmed",
        "acknowledged",
        "uptime",
        "observed",
    ]
    troubles = [trouble for remote in status["remotes"] for trouble in remote["troubles"]]
    assert troubles
    assert all(list(one) == ["code", "severity", "message", "hint", "detail", "what", "log"] for one in troubles)
    assert status["remotes"][0]["uptime"].keys() == {"1d", "7d", "30d", "90d"}
    assert status["incidents"][0].keys() == {"subject", "status", "cause", "started_at", "ended_at"}


def test_status_says_what_is_so(report: Report) -> None:
    """A remote that is up has no cause, one that is not has code, message, hint and detail; times are UTC."""
    status = json.loads(write_status(report))
    assert status["generated_at"] == "2026-03-01T12:00:00Z"
    assert status["next_expected_at"] == "2026-03-01T12:10:00Z"
    remotes = {remote["name"]: remote for remote in status["remotes"]}
    assert remotes["north-camera-1"]["cause"] is None
    down = remotes["signage-1"]
    assert down["cause"]["code"] == "tunnel-down"
    assert down["cause"]["detail"] == "Stdio forwarding request failed: Session open refused by peer"
    assert {process["running"] for process in down["processes"]} == {None}
    assert {process["count"] for process in down["processes"]} == {None}
    assert sum(status["summary"].values()) == len(remotes)


@pytest.mark.parametrize("made", [DEAD, HOSTILE_REPORT, Made(9, NOW, public=True, settings=Settings())], ids=str)
def test_status_keeps_its_schema(made: Made) -> None:
    """What is written is what `remotestatus schema --status` promises, and every declared key is written."""
    schema = status_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    status = json.loads(write_status(report_of(made)))
    jsonschema.Draft202012Validator(schema).validate(status)


def test_status_says_what_the_page_says(report: Report) -> None:
    """Disks, memory, limits and checks stand in it, with their values; what a remote does not tell is absent."""
    remotes = {remote["name"]: remote for remote in json.loads(write_status(report))["remotes"]}
    fine = remotes["north-camera-1"]
    assert fine["facts"].keys() >= {"booted_at", "load", "cpus", "memory_percent", "disks", "clock_offset_seconds"}
    assert "temperature_celsius" not in fine["facts"]
    assert {limit["name"] for limit in fine["limits"]} >= {"disk /", "memory"}
    assert all(limit["severity"] is None and limit["value"] < limit["warning"] for limit in fine["limits"])
    assert [(check["name"], check["exit"]) for check in fine["checks"]] == [("camera", 0)]
    assert fine["processes"][0]["matched"][0]["pid"] > 0
    assert remotes["signage-1"]["facts"] == {}


def test_status_of_a_dead_proxy_gives_its_cause() -> None:
    """A proxy's cause has the same form as a remote's."""
    proxies = {proxy["name"]: proxy for proxy in json.loads(write_status(report_of(DEAD)))["proxies"]}
    assert proxies["tunnel-proxy"]["cause"]["code"] == "connection-timeout"
    assert proxies["south-proxy"]["cause"] is None


# -- feed.xml --------------------------------------------------------------------------------------------------------


def write_feed(report: Report) -> str:
    return next(file for file in machine_files(report, page_templates()) if file.path == "feed.xml").make().decode()


def test_feed_is_valid_atom(report: Report) -> None:
    """An independent parser reads the feed without complaint, newest entry first."""
    feed = feedparser.parse(write_feed(report).encode())
    assert not feed.bozo
    assert feed.version == "atom10"
    assert feed.feed.title == "Harbour boxes"
    assert feed.entries
    updated = [entry.updated for entry in feed.entries]
    assert updated == sorted(updated, reverse=True)
    assert feed.feed.updated == updated[0]
    assert all(entry.link.startswith("https://status.example.com/boxes/remotes/") for entry in feed.entries)


def test_feed_ids_are_unique_and_stay(report: Report) -> None:
    """Every entry has an id of its own, which is the same in a later round."""
    now = {entry.id for entry in feedparser.parse(write_feed(report).encode()).entries}
    later = replace(report, generated_at=NOW + timedelta(minutes=10))
    assert now == {entry.id for entry in feedparser.parse(write_feed(later).encode()).entries}
    assert len(now) == len(feedparser.parse(write_feed(report).encode()).entries)


def test_feed_tells_of_one_dead_proxy_once() -> None:
    """A dead proxy with dozens of remotes behind it is one entry."""
    entries = feedparser.parse(write_feed(report_of(DEAD)).encode()).entries
    assert sum(entry.title == "Proxy tunnel-proxy is down" for entry in entries) == 1
    assert not any("is unknown" in entry.title for entry in entries)


def test_feed_without_incidents_is_valid() -> None:
    """A feed without entries is a feed all the same."""
    assert not feedparser.parse(write_feed(report_of(Made(0, NOW, settings=Settings()))).encode()).bozo


# -- metrics.prom ----------------------------------------------------------------------------------------------------


def families(report: Report) -> dict[str, list[tuple[dict[str, str], float]]]:
    return {
        family.name: [(sample.labels, sample.value) for sample in family.samples]
        for family in text_string_to_metric_families(write_metrics(report))  # type: ignore[no-untyped-call]
    }


def test_metrics_are_openmetrics(report: Report) -> None:
    """An independent parser of OpenMetrics reads the file."""
    found = families(report)
    assert found["remotestatus_last_round_timestamp_seconds"] == [({}, NOW.timestamp())]
    assert found["remotestatus_round_interval_seconds"] == [({}, 600)]


def test_each_status_is_a_series(report: Report) -> None:
    """Each remote has one series for each status: one of them 1, the others 0."""
    of_one = [
        (labels["status"], value)
        for labels, value in families(report)["remotestatus_remote_status"]
        if labels["remote"] == "signage-1"
    ]
    assert of_one == [("up", 0), ("degraded", 0), ("down", 1), ("unknown", 0)]


def test_absent_process_is_a_zero(report: Report) -> None:
    """A process that does not run is a 0; of a remote that nobody could look at there is no number."""
    counts = {
        (labels["remote"], labels["process"]): value for labels, value in families(report)["remotestatus_processes"]
    }
    assert counts["south-camera-2", "python manage.py capture_videos.py"] == 0
    assert counts["north-camera-1", "python manage.py capture_videos.py"] == 1
    assert not any(remote == "signage-1" for remote, _ in counts)


def test_metrics_of_nothing_parse() -> None:
    """An empty fleet has metrics too."""
    assert families(report_of(Made(0, NOW, settings=Settings())))["remotestatus_remote_status"] == []


def test_each_fact_limit_and_check_is_a_series(report: Report) -> None:
    """What a remote says of itself is a number with its unit, by the remote's name."""
    found = families(report)
    of_one = {
        (name, *sorted(value for key, value in labels.items() if key != "remote"))
        for name, samples in found.items()
        for labels, _ in samples
        if labels.get("remote") == "north-camera-1"
    }
    assert of_one >= {
        ("remotestatus_filesystem_used_ratio", "/"),
        ("remotestatus_limit_value", "memory"),
        ("remotestatus_limit_bound", "memory", "warning"),
        ("remotestatus_check_status", "camera"),
        ("remotestatus_load1",),
        ("remotestatus_memory_available_bytes",),
        ("remotestatus_boot_time_seconds",),
    }
    assert not any(labels["remote"] == "signage-1" for labels, _ in found["remotestatus_load1"])


def test_no_series_is_there_twice(report: Report) -> None:
    """A remote may name mount points that are the same once they are clean: a reader would refuse all metrics."""
    disks = tuple(Disk(mount, 100, share, float(share)) for mount, share in (("/a", 10), ("/a\x01", 20)))
    first = report.remotes[0]
    hostile = replace(first, latest=replace(first.latest, said=Facts(disks=disks)))
    text = write_metrics(replace(report, remotes=(hostile, *report.remotes[1:])))
    series = [line.rpartition(" ")[0] for line in text.splitlines() if not line.startswith("#")]
    assert len(series) == len(set(series))
    assert sum(f'{{remote="{hostile.name}",mountpoint="/a"}}' in one for one in series) == 2  # its size, and its share


def test_promtool_has_nothing_to_say(report: Report) -> None:
    """Prometheus's own check of names and units finds nothing."""
    promtool = require_program("promtool", "this test")
    done = subprocess.run(
        [promtool, "check", "metrics"], input=write_metrics(report), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# -- badges ----------------------------------------------------------------------------------------------------------


def test_badges_are_svg_and_say_the_status(report: Report) -> None:
    """A badge is well-formed SVG whose title says which remote is what."""
    down = next(remote for remote in report.remotes if remote.name == "signage-1")
    title = ET.fromstring(write_svg(remote_badge(down))).findtext("{http://www.w3.org/2000/svg}title")
    assert title == "signage-1: down"
    title = ET.fromstring(write_svg(fleet_badge(report))).findtext("{http://www.w3.org/2000/svg}title")
    assert title == "Harbour boxes: 3 of 41 not up"


def test_endpoint_is_what_shields_reads(report: Report) -> None:
    """The endpoint badge has the keys and the version that shields.io asks for."""
    badge = json.loads(write_endpoint(fleet_badge(report)))
    assert badge == {
        "schemaVersion": 1,
        "label": "Harbour boxes",
        "message": "3 of 41 not up",
        "color": "bf281e",
        "isError": True,
    }
    assert json.loads(write_endpoint(remote_badge(report.remotes[0])))["message"] == "up"


def test_badges_have_the_colours_of_the_page() -> None:
    """A status has one colour on light ground."""
    light, _, _ = (report_templates() / "assets" / "page.css").read_text("utf-8").partition("@media")
    assert all(f"--{word}: {colour};" in light for word, colour in _COLOURS.items())


# -- hostile text ----------------------------------------------------------------------------------------------------


def test_hostile_text_stays_text() -> None:
    """Names, nicknames and errors full of markup, control characters and broken Unicode break no format."""
    report = report_of(HOSTILE_REPORT)
    json.loads(write_status(report))
    families(report)
    feed = write_feed(report)
    assert not feedparser.parse(feed.encode()).bozo
    assert "<script" not in feed
    for remote in report.remotes:
        badge = ET.fromstring(write_svg(remote_badge(remote)))
        assert {element.tag.rpartition("}")[2] for element in badge.iter()} == {
            "svg", "title", "clipPath", "rect", "g", "text",
        }  # fmt: skip
        json.loads(write_endpoint(remote_badge(remote)))
    for text in (write_status(report), feed, write_metrics(report)):
        text.encode()
        assert not any(character in text for character in "\x00\x1b\u202e\ufffe")
