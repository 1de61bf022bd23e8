"""Several pages from one round: each shows its part of the fleet, and nothing of the rest is in any of its files."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from remotestatus.model.acknowledgement import Acknowledgement
from remotestatus.model.causes import Cause
from remotestatus.model.check_result import Finding, Trouble
from remotestatus.model.facts import Disk, Facts, Mount
from remotestatus.model.fleet import Fleet, LimitedPage
from remotestatus.model.inventory_variables import FleetSettings, PageSpec
from remotestatus.model.notes import Note
from remotestatus.model.notification import Receiver
from remotestatus.model.period_report import LastingProblem, PeriodReport
from remotestatus.model.report_input import ReportInput
from remotestatus.model.states import Kind
from remotestatus.model.status_words import Status
from remotestatus.model.watched import DeviceResult, FileResult, UnitResult
from remotestatus.model.windows import PlannedWindow
from remotestatus.notify import settings_for
from remotestatus.report.build import build_report
from remotestatus.report.limited_page import limit_input
from remotestatus.report.publish import publish
from tests.made_fleet import Made, make_report_input
from tests.test_report import SECRETS

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SHOWN = ("barrier-1", "barrier-2", "weather-1", "weather-2", "barrier-3")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> ReportInput:
    """A fleet with two customers, of whom one is told things that name the other."""
    made = make_report_input(Made(41, NOW, dead_proxy=True), tmp_path_factory.mktemp("whole") / "history.sqlite3")
    states = dict(made.states)
    subject = (Kind.REMOTE, "weather-2")
    foreign = Trouble(Cause.HOST_KEY_CHANGED, "It answers with the key of signage-1.", detail="signage-1,signage-2")
    states[subject] = replace(states[subject], troubles=(foreign, *states[subject].troubles))
    everybody = frozenset(remote.name for remote in made.fleet.remotes)
    planned = [
        PlannedWindow(NOW, NOW + timedelta(hours=1), "signage-1, weather-1", frozenset(("signage-1", "weather-1"))),
        PlannedWindow(NOW, NOW + timedelta(hours=1), "all", everybody, "first north-camera-1, then the rest"),
        PlannedWindow(NOW, NOW + timedelta(hours=1), "hall-b", frozenset(("signage-1", "signage-2"))),
    ]
    notes = [Note(1, "", "A word to all.", NOW), Note(2, "signage-1", "Kept.", NOW), Note(3, "", "signage-2!", NOW)]
    said = Acknowledgement(NOW, note="as hall-b")
    lasting = LastingProblem("weather-1", Status.DEGRADED, NOW, "signage-2 is mute", said)
    regular = PeriodReport(NOW - timedelta(days=7), NOW, 2, 99.0, 100.0, lasting=(lasting,), planned=tuple(planned))
    return replace(made, states=states, planned=planned, notes=notes, regular=regular)


def publish_page(whole: ReportInput, folder: Path, *, public: bool) -> str:
    """Publish the page of one customer, and return all of its files but the assets, with their paths."""
    spec = PageSpec(site="customer", limit="gates:weather", public=public, title="Customer", url="https://c.example/")
    limited = limit_input(whole, LimitedPage(spec, frozenset(SHOWN)))
    publish(build_report(limited, NOW), folder)
    files = [path for path in folder.rglob("*") if path.is_file() and path.parent.name != "assets"]
    text = "\n".join(f"{path.relative_to(folder)}\n{path.read_text()}" for path in files)
    return re.sub(r'data-version="\w+"|nonce[-=]"?\w+|\?v=\w+|urn:uuid:[\w-]+|UID:[\w-]+', "", text)


def says(whole: ReportInput, name: str, about: str) -> ReportInput:
    """The same, where one remote says something of another in every way that it has."""
    unit = f"backup@{about}.service"
    said = replace(
        whole.check_results[name],
        findings=(
            Finding("check", "camera", False, f"CRITICAL: {about} is mute", perfdata=f"{about}=3"),
            Finding("limit", f"disk /mnt/{about}", False, "97 %"),
        ),
        files=(FileResult("export", "/srv/*", False, f"nothing from {about}"),),
        units=(UnitResult(unit, False, "failed"), UnitResult("own.service", False, f"waits for {unit}")),
        devices=(DeviceResult("relay", "relay", 80, False, f"{about}: no route"),),
        facts=Facts(
            failed_units=("own.service", unit),
            disks=(Disk("/", 10, 5, 50.0), Disk(f"/mnt/{about}", 10, 5, 50.0)),
            mounts=(Mount("/", "/dev/sda1", "ext4", True), Mount(f"/mnt/{about}", "/dev/sdb1", "ext4", True)),
            notes=(f"{about} could not be read",),
        ),
    )
    return replace(whole, check_results={**whole.check_results, name: said})


@pytest.mark.parametrize("about", ["signage-2", "2001:db8::7"])
def test_nothing_that_a_remote_says_names_others(whole: ReportInput, tmp_path: Path, about: str) -> None:
    """What checks, files, units, devices and facts of one's own remote say of others is left out, the rest stays."""
    remotes = tuple(
        replace(one, address="2001:db8::7") if one.name == "signage-2" else one for one in whole.fleet.remotes
    )
    whole = replace(says(whole, "weather-1", about), fleet=replace(whole.fleet, remotes=remotes))
    text = publish_page(whole, tmp_path / "customer", public=False)
    assert about not in text
    assert all(word in text for word in ("own.service", "camera", "export", "relay", "50.0"))


@pytest.mark.parametrize("text", ["SIGNAGE 2 is repaired.", "All of hall-b rest.", "Ask south-camera-1"])
def test_what_people_write_of_others_is_for_others(whole: ReportInput, text: str) -> None:
    """A note, a window or an acknowledgement that has a nickname or a group of somebody else is not shown."""
    window = PlannedWindow(NOW, NOW + timedelta(hours=1), "weather-1", frozenset(("weather-1",)), text)
    notes = [Note(1, "", text, NOW), Note(2, "weather-1", text, NOW), Note(3, "", "Barrier 1, weather and gates", NOW)]
    known = {(Kind.REMOTE, "weather-1"): Acknowledgement(NOW, note=text)}
    page = LimitedPage(PageSpec(site="customer", limit="gates:weather"), frozenset(SHOWN))
    limited = limit_input(replace(whole, planned=[window], notes=notes, acknowledgements=known), page)
    assert [note.id for note in limited.notes] == [3]
    assert limited.planned[0].note == ""
    assert limited.acknowledgements[Kind.REMOTE, "weather-1"].note == ""


@pytest.mark.parametrize("public", [False, True])
def test_nothing_of_others_is_in_any_file(whole: ReportInput, tmp_path: Path, public: bool) -> None:
    """No name, nickname, group, proxy, count, incident, message or failing destination of the rest of the fleet."""
    text = publish_page(whole, tmp_path / "customer", public=public)
    others = [remote for remote in whole.fleet.remotes if remote.name not in SHOWN]
    foreign = {remote.name for remote in others} | {remote.settings.nickname for remote in others}
    foreign |= {group for remote in others for group in remote.groups} - {"gates", "weather", "monitored"}
    foreign |= {"tunnel-proxy", "proxy.example.com", "proxy-user", "pager", "HTTP 503", "mail.example.com", "on call"}
    foreign |= {"41 remotes", "Harbour boxes"}
    words = set(re.findall(r"[\w.-]+", text))
    found = sorted(name for name in foreign - {""} if (name in text if " " in name else name in words))
    assert found == []
    assert all(name in text for name in SHOWN)
    assert "A word to all." in text
    assert "report.html" in text
    if public:
        assert [secret for secret in SECRETS if secret in text] == []
    else:
        assert "gate@198.51.100.20" in text, "its own proxy's address"


def test_a_page_has_its_own_settings_and_counts(whole: ReportInput) -> None:
    """Title, address and counts are the page's own; what it does not set is the fleet's."""
    spec = PageSpec(site="customer", limit="weather", title="Weather")
    report = build_report(limit_input(whole, LimitedPage(spec, frozenset(("weather-1", "weather-2")))), NOW)
    assert (report.title, report.url, report.public) == ("Weather", None, False)
    assert sum(report.summary.values()) == 2
    assert report.round.remotes == 2
    assert {proxy.name: proxy.behind for proxy in report.proxies} == {"south-proxy": 2}


def test_a_page_without_a_limit_shows_all(whole: ReportInput) -> None:
    """Only what strangers must not see is left out of a public page of everything."""
    page = LimitedPage(PageSpec(site="public", public=True), frozenset())
    report = build_report(limit_input(whole, page), NOW)
    assert report.public
    assert len(report.remotes) == 41


@pytest.mark.parametrize(
    "pages",
    [[{"site": "site"}], [{"site": "site/a"}], [{"site": "a/b"}, {"site": "a"}], [{"site": "a"}, {"site": "a"}]],
)
def test_pages_do_not_lie_in_one_another(pages: list[dict[str, str]]) -> None:
    """Two pages in one folder, or one inside of another, are an error with a cure."""
    with pytest.raises(ValueError, match="give each one of its own"):
        FleetSettings.model_validate({"pages": pages})


def test_messages_link_to_the_page_of_their_receiver(whole: ReportInput) -> None:
    """Who is told of one customer only is led to that customer's page, and who is told of all to the page of all."""
    remotes = tuple(
        replace(
            one, settings=one.settings.model_copy(update={"notify": ("customer" if one.name in SHOWN else "ours",)})
        )
        for one in whole.fleet.remotes
    )
    settings = FleetSettings.model_validate({"url": "https://all.example/"})
    page = LimitedPage(PageSpec(site="customer", limit="gates", url="https://c.example/"), frozenset(SHOWN))
    fleet = Fleet(remotes, whole.fleet.proxies, settings, pages=(page,))
    for tags, url in (
        (("customer",), "https://c.example/"),
        (("ours",), "https://all.example/"),
        (("customer", "ours"), "https://all.example/"),
    ):
        assert settings_for(Receiver("key", "name", tags), fleet).url == url
