"""The page as people meet it: in a real browser, light and dark, wide and narrow, with script and without."""

import gzip
import http.server
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import cycle, product
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from remotestatus.model.rounds import Round
from remotestatus.model.status_words import Status
from remotestatus.report import pages
from remotestatus.report.build import build_report
from remotestatus.report.publish import publish
from tests.browser import axe_violations, html_errors, open_browser
from tests.made_fleet import Made, make_report_input

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
HOSTILE = '"><img src=x onerror=window.owned=1><script>window.owned=1</script></title></svg>{{ 7*7 }}'
FLEETS = {
    "none": Made(0, NOW),
    "one": Made(1, NOW, all_up=True),
    "some": Made(41, NOW),
    "dead": Made(56, NOW, dead_proxy=True),
    "public": Made(41, NOW, public=True),
    "thousand": Made(1000, NOW, dead_proxy=True, samples=3),
    "hostile": Made(8, NOW, hostile=HOSTILE, names=(f"a{HOSTILE}",), settings={"title": f"T{HOSTILE}"}),
}
PAGES = (
    "none/index.html",
    "none/incidents.html",
    "one/index.html",
    "some/index.html",
    "some/incidents.html",
    "some/report.html",
    "some/remotes/north-camera-1.html",
    "some/remotes/south-camera-2.html",
    "some/remotes/signage-1.html",
    "some/groups/hall-a.html",
    "some/proxies/south-proxy.html",
    "dead/index.html",
    "dead/proxies/tunnel-proxy.html",
    "dead/incidents.html",
    "dead/remotes/south-camera-1.html",
    "public/index.html",
    "public/remotes/south-camera-2.html",
)

LOOKS = (("light", 1280), ("dark", 375))


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A published site for each fleet."""
    folder = tmp_path_factory.mktemp("sites")
    for name, made in FLEETS.items():
        report = build_report(make_report_input(made, folder / f"{name}.sqlite3"), NOW)
        publish(report, folder / name)
        if name == "some":
            # As with more than a thousand remotes: the summary lists groups, and the script makes the rows.
            with mock.patch.object(pages, "TABLE_ROWS", 10):
                publish(report, folder / "many")
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as browser:
        yield browser


class Reader:
    """Opens one page after the other, at a moment of its own, and keeps what went wrong on them."""

    def __init__(self, browser: Browser, sites: Path) -> None:
        self.browser, self.sites = browser, sites
        self.trouble: list[str] = []
        self.requests: list[str] = []
        self._contexts: list[Any] = []

    def open(
        self, path: str, *, at: datetime = NOW + timedelta(minutes=2), ticking: bool = False, **context: Any
    ) -> Page:
        settings = {"viewport": {"width": 1280, "height": 900}, "timezone_id": "Europe/Berlin", **context}
        self.close()
        opened = self.browser.new_context(**settings)
        self._contexts.append(opened)
        page = opened.new_page()
        page.on("console", lambda message: self.trouble.append(message.text))
        page.on("pageerror", lambda error: self.trouble.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))
        if ticking:
            page.clock.install(time=at)
        elif settings.get("java_script_enabled", True):
            page.clock.set_fixed_time(at)
        page.goto(path if "://" in path else (self.sites / path).as_uri())
        return page

    def close(self) -> None:
        for context in self._contexts:
            context.close()
        self._contexts.clear()


@pytest.fixture
def reader(browser: Browser, sites: Path) -> Iterator[Reader]:
    reader = Reader(browser, sites)
    yield reader
    reader.close()


def overflow(page: Page) -> int:
    return int(page.evaluate("document.documentElement.scrollWidth - innerWidth"))


# -- what everyone is owed -------------------------------------------------------------------------------------------


def test_axe_finds_nothing(reader: Reader) -> None:
    """axe finds no violation on any kind of page, by turns light and wide, and dark and narrow, folds open."""
    for path, (scheme, width) in product(("some/index.html", "some/remotes/north-camera-1.html"), LOOKS):
        assert_accessible(reader, path, scheme, width)
    for path, (scheme, width) in zip(PAGES, cycle(LOOKS), strict=False):
        assert_accessible(reader, path, scheme, width)


def assert_accessible(reader: Reader, path: str, scheme: str, width: int) -> None:
    """Open a page with all its folds, and let axe look at it."""
    page = reader.open(path, color_scheme=scheme, viewport={"width": width, "height": 800}, bypass_csp=True)
    page.evaluate("document.querySelectorAll('details').forEach(details => { details.open = true; })")
    assert axe_violations(page) == [], path


def test_axe_finds_nothing_on_a_stale_page(reader: Reader) -> None:
    """The warning that a page is out of date can be read too."""
    for scheme in ("light", "dark"):
        page = reader.open("some/index.html", at=NOW + timedelta(hours=9), color_scheme=scheme, bypass_csp=True)
        assert axe_violations(page) == []


def test_html_is_valid(sites: Path) -> None:
    """The Nu HTML checker has nothing to say about any kind of page, not even a warning."""
    assert html_errors(*(sites / path for path in PAGES), sites / "hostile") == []


@pytest.mark.parametrize("path", [*PAGES, "hostile/index.html", "thousand/index.html", "thousand/incidents.html"])
def test_narrow_page_does_not_scroll_sideways(reader: Reader, path: str) -> None:
    """At 320 pixels every page fits, with script and without, and the table where rows are no cards any more."""
    for script in (True, False):
        page = reader.open(path, viewport={"width": 320, "height": 600}, java_script_enabled=script)
        assert overflow(page) <= 0
    if not path.startswith("hostile"):
        page.set_viewport_size({"width": 1089, "height": 600})
        assert overflow(page) <= 0


def test_page_asks_nobody_and_breaks_no_rule(reader: Reader) -> None:
    """Opened from a file, a page loads only files beside it, and neither script nor policy complains."""
    for path in PAGES:
        reader.open(path)
    assert reader.trouble == []
    assert all(url.startswith("file://") for url in reader.requests)


def test_index_stays_small(sites: Path) -> None:
    """With a thousand remotes the summary is at most 150 KB compressed."""
    assert len(gzip.compress((sites / "thousand" / "index.html").read_bytes(), 6)) <= 150_000


# -- hostile text ----------------------------------------------------------------------------------------------------


def test_hostile_text_stays_inert(reader: Reader, sites: Path) -> None:
    """Names, descriptions, errors and process arguments full of markup are shown as text and run nothing."""
    found = [str(path.relative_to(sites)) for path in (sites / "hostile").rglob("*.html")]
    assert len(found) == 8 + 2 + 3 + 6  # of remotes, proxies, the site, groups
    for path in found:
        page = reader.open(path, bypass_csp=True)
        assert page.evaluate("window.owned") is None
        assert page.locator("img[src=x]").count() == 0
        assert page.locator("script:not([src])").count() == 0
    page = reader.open("hostile/index.html")
    assert HOSTILE in page.locator("#fleet").inner_text()
    assert "49" not in page.locator(".brand").inner_text()


# -- is it current? --------------------------------------------------------------------------------------------------


def test_fresh_page_has_no_warning(reader: Reader) -> None:
    """A page whose next round is not overdue shows no banner, and says how old it is."""
    page = reader.open("some/index.html")
    assert page.locator("#stale").is_hidden()
    assert page.locator("#age").inner_text() == ", 2 min ago"


def test_stale_page_says_so(reader: Reader) -> None:
    """When the clock passes the moment at which the next round is overdue, every page says so by itself."""
    for path in ("some/index.html", "some/incidents.html", "some/remotes/signage-1.html"):
        page = reader.open(path, ticking=True)
        assert page.locator("#stale").is_hidden()
        page.clock.fast_forward("15:00")
        assert page.locator("#stale").is_visible()
        assert "Out of date: the next round was due" in page.locator("#stale").inner_text()


def test_nothing_moves_when_the_script_comes_late(reader: Reader) -> None:
    """The warning stands there before what is below it; a reader who has found a line keeps it."""
    shifts = (
        "new Promise(tell => { new PerformanceObserver(list => tell(list.getEntries().reduce((sum, one) => sum + "
        "one.value, 0))).observe({type: 'layout-shift', buffered: true}); setTimeout(() => tell(0), 200) })"
    )

    def later(route: Route) -> None:
        time.sleep(0.5)
        route.continue_()

    page = reader.open("some/groups/hall-a.html", at=NOW + timedelta(hours=9), viewport={"width": 412, "height": 823})
    page.route("**/page.js*", later)
    page.reload()
    assert page.locator("#stale").is_visible()
    assert page.evaluate(shifts) < 0.02


def test_age_stands_in_words_without_script(reader: Reader) -> None:
    """Without script a page says when it was made, when the next is due, and what it means if that has passed."""
    for path in ("some/index.html", "some/incidents.html", "some/remotes/signage-1.html"):
        page = reader.open(path, java_script_enabled=False)
        assert drawn_words(page, "footer .made") == (
            "As of 1 Mar 2026, 12:00 UTC. The next round is due 1 Mar 2026, 12:10 UTC; "
            "if it is later than that now, this page is out of date."
        )


@pytest.mark.parametrize("script", [True, False])
def test_old_copy_never_looks_fresh(reader: Reader, sites: Path, script: bool) -> None:
    """A page of an earlier round beside the files of a newer one has no time, and says that it may be an old copy."""
    report_input = make_report_input(Made(8, NOW), sites / f"old-{script}.sqlite3")
    site = sites / f"old-{script}"
    publish(build_report(report_input, NOW), site)
    old = {name: (site / name).read_bytes() for name in ("index.html", "remotes/signage-1.html")}
    later = NOW + timedelta(minutes=10)
    states = {key: replace(state, troubles=(), status=Status.UP) for key, state in report_input.states.items()}
    publish(build_report(replace(report_input, states=states, round=Round(2, NOW, later, 8)), later), site)
    for path, content in old.items():
        fresh = reader.open(f"{site.name}/{path}", at=later, java_script_enabled=script)
        assert fresh.locator("#doubt").is_hidden()
        assert "12:10 UTC" in drawn_words(fresh, "footer .made") or script
        (site / path).write_bytes(content)
        copy = reader.open(f"{site.name}/{path}", at=later, java_script_enabled=script)
        assert copy.locator("#doubt").is_visible()
        assert "As of an unknown time." in drawn_words(copy, "footer .made")


def drawn_words(page: Page, selector: str) -> str:
    """The words of an element, with those that the style sheet writes."""
    words: str = page.evaluate(
        """selector => {
            const told = part => part.nodeType === 3 ? part.textContent : [...part.childNodes].map(told).join("")
                + getComputedStyle(part, "::after").content.replace(/^none$|^"|"$/g, "");
            return told(document.querySelector(selector));
        }""",
        selector,
    )
    return " ".join(words.split())


def test_page_on_a_wall_shows_the_next_round(reader: Reader, sites: Path) -> None:
    """Served by a web server, an open page takes up the next round by itself and keeps its filter."""
    report_input = make_report_input(Made(8, NOW), sites / "wall.sqlite3")
    site = sites / "wall"
    publish(build_report(report_input, NOW), site)
    # A web server tells versions apart by whole seconds (Last-Modified), and rounds are further apart than that.
    earlier = time.time() - 5
    for path in site.rglob("*.*"):
        os.utime(path, (earlier, earlier))

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        page = reader.open(f"http://127.0.0.1:{server.server_port}/index.html?q=camera", ticking=True)
        later = NOW + timedelta(minutes=10)
        publish(build_report(replace(report_input, round=Round(2, NOW, later, 8)), later), site)
        page.clock.fast_forward("09:00")  # each of its clocks strikes once, as after a laptop's sleep
        page.wait_for_selector('body[data-made="2026-03-01T12:10:00Z"]')
        expect(page.locator("#filter")).to_have_value("camera")  # its script runs once the page has been read
        server.shutdown()


# -- times -----------------------------------------------------------------------------------------------------------


def test_times_are_the_readers_own(reader: Reader) -> None:
    """With script a time is in the reader's zone, with the exact UTC behind it; without, it is in UTC and says so."""
    with_script = reader.open("some/index.html").locator(".current time").first
    assert with_script.inner_text().startswith("1 Mar 2026, 13:00")
    assert with_script.get_attribute("datetime") == "2026-03-01T12:00:00Z"
    assert with_script.get_attribute("title") == "2026-03-01 12:00:00 UTC"
    without = reader.open("some/index.html", java_script_enabled=False)
    assert drawn_words(without, ".current") == "As of 1 Mar 2026, 12:00 UTC. Next round due 1 Mar 2026, 12:10 UTC."


# -- what is wrong ---------------------------------------------------------------------------------------------------


def test_summary_answers_at_once(reader: Reader) -> None:
    """What is wrong, since when, why, and whether the page is current are on a phone's first two screens."""
    page = reader.open("dead/index.html", viewport={"width": 375, "height": 800})
    assert "Proxy tunnel-proxy does not answer" in page.locator("h1").inner_text()
    problem = page.locator(".problem").first
    assert "for 47 min" in problem.inner_text()
    assert "No answer from proxy.example.com, port 22" in problem.inner_text()
    box = problem.bounding_box()
    assert box is not None
    assert box["y"] < 800


def test_status_is_never_colour_alone(reader: Reader) -> None:
    """Each row names its status in a word and with a shape of its own."""
    page = reader.open("some/index.html")
    for row in page.locator("#fleet tbody tr:not(.group)").all():
        word = (row.get_attribute("class") or "").removeprefix("s-")
        assert row.locator(".word").inner_text() == word
        assert row.locator("use").first.get_attribute("href") == f"#{word}"


def test_without_script_all_is_there(reader: Reader) -> None:
    """Without script everything is unfolded, problems are on top, and no control stands there that does nothing."""
    page = reader.open("dead/index.html", java_script_enabled=False)
    assert page.locator(".problem").first.locator("li").first.is_visible()
    assert page.locator("#fleet tbody tr:not(.group)").count() == 56
    assert page.locator("#fleet tbody tr").last.is_visible()
    assert page.locator(".tools").is_hidden()
    assert page.locator("main button:visible").count() == 0
    order = page.locator("h2").all_inner_texts()
    assert order.index("What is wrong") < order.index("Remotes")


# -- the table -------------------------------------------------------------------------------------------------------


def rows(page: Page) -> list[str]:
    names: list[str] = page.evaluate(
        "[...document.querySelectorAll('#fleet tbody tr:not(.group)')]"
        ".filter(row => row.checkVisibility()).map(row => row.querySelector('a').textContent)"
    )
    return names


def test_filter_finds(reader: Reader) -> None:
    """The filter looks at names, locations, groups and proxies, word by word, and says how many it found."""
    page = reader.open("some/index.html")
    page.keyboard.press("/")
    page.keyboard.type("south-proxy gate")
    assert len(rows(page)) == 6
    assert page.locator("#shown").inner_text() == "6 of 41"
    page.keyboard.press("Escape")
    assert len(rows(page)) == 41


def test_status_filter_shows_what_is_not_up(reader: Reader) -> None:
    """The status filter and the counts above leave only what has that status; the address remembers."""
    page = reader.open("some/index.html")
    page.locator("#status").select_option("wrong")
    assert sorted(rows(page)) == ["South Camera 2", "Weather Station 1", "signage-1", "weather-2"]
    page.locator(".counts li[data-status=down] button").click()
    assert rows(page) == ["signage-1"]
    page.reload()
    assert rows(page) == ["signage-1"]


def test_columns_sort(reader: Reader) -> None:
    """A click on a heading sorts, the next turns the order round, and the third brings the groups back."""
    page = reader.open("some/index.html")
    before = rows(page)
    heading = page.locator("#fleet thead button", has_text="Status")
    heading.click()
    assert rows(page)[0] == "signage-1"
    assert page.locator("th[aria-sort=ascending]").inner_text().startswith("Status")
    heading.click()
    assert rows(page)[-1] == "signage-1"
    heading.click()
    assert rows(page) == before
    page.locator("#fleet thead button", has_text="Remote port").click()
    assert rows(page)[:3] == ["South Camera 5", "north-camera-1", "South Camera 1"]


def test_groups_fold(reader: Reader) -> None:
    """Groups fold one by one or all at once, by keyboard too; a filter looks into folded ones."""
    page = reader.open("some/index.html")
    page.locator("#fold").click()
    assert rows(page) == []
    page.locator("button.fold", has_text="buses").focus()
    page.keyboard.press("Enter")
    assert len(rows(page)) == 5
    page.locator("#filter").fill("barrier-3")
    assert rows(page) == ["barrier-3"]


def test_rows_of_many_remotes_are_the_same(reader: Reader) -> None:
    """A row that the script makes of data looks like one of the table that a smaller fleet has."""
    html = "row => row.outerHTML.replace(/ hidden=\"\"/, '')"
    rows_of = {}
    for site in ("some", "many"):
        page = reader.open(f"{(reader.sites / site).as_uri()}/index.html?q=gate")
        rows_of[site] = [
            row.evaluate(html) for row in page.locator("#fleet tbody tr:not(.group)").all() if row.is_visible()
        ]
    assert len(rows_of["some"]) > 5
    assert rows_of["many"] == rows_of["some"]
    assert reader.trouble == []


def test_many_remotes_filter_sort_and_unfold(reader: Reader) -> None:
    """Groups are folded at first, and everything that works in a table works in one of data."""
    page = reader.open("many/index.html")
    assert rows(page) == []
    page.locator("button.fold", has_text="buses").click()
    assert len(rows(page)) == 5
    page.reload()
    assert len(rows(page)) == 5
    page.locator("#status").select_option("wrong")
    assert len(rows(page)) == 4
    page.locator("#fleet thead button", has_text="Status").click()
    assert rows(page)[0] == "signage-1"
    page.locator("#fold").click()
    page.locator("#status").select_option("")
    assert len(rows(page)) == 41
    assert reader.trouble == []


def test_the_script_makes_the_same_cells_as_the_template(reader: Reader) -> None:
    """A table whose rows are made of data is, cell for cell, the one that stands in a smaller page."""
    cells = "rows => rows.map(row => row.className + [...row.cells].map(cell => cell.outerHTML).join(''))"
    made = []
    for path in ("some/index.html", "many/index.html"):
        page = reader.open(path)
        page.locator("#fleet thead button", has_text="Name").click()
        made.append(page.locator("#fleet tbody tr:not(.group)").evaluate_all(cells))
    assert len(made[0]) == 41
    assert made[0] == made[1]


@pytest.mark.parametrize(
    ("path", "count"), [("groups/hall-a", 12), ("groups/monitored", 21), ("proxies/tunnel-proxy", 28)]
)
def test_page_of_many_remotes_has_all_rows(reader: Reader, path: str, count: int) -> None:
    """The page of a large group or proxy gets its rows as the summary does; one group alone is open at once."""
    page = reader.open(f"many/{path}.html")
    assert len(rows(page)) == (count if path == "groups/hall-a" else 0)
    page.locator("#status").select_option("")
    page.locator("#fleet thead button", has_text="Name").click()
    assert len(rows(page)) == count
    page.locator("#fleet tbody tr a").first.click()
    page.locator("#name").wait_for()
    assert page.url.split("/")[-2] == "remotes"
    assert reader.trouble == []


def test_many_remotes_without_script(reader: Reader) -> None:
    """Without script and in print: problems first, then the groups, each with a page that has its remotes."""
    page = reader.open("many/index.html", java_script_enabled=False)
    assert page.locator(".problem").count() > 0
    assert page.locator("#fleet tbody tr").count() == page.locator("#fleet tr.group").count() == 5
    page.locator("#fleet a.whole", has_text="buses").click()
    assert page.locator("#fleet tbody tr:not(.group)").count() == 5
    page = reader.open("many/groups/hall-a.html", java_script_enabled=False)
    assert page.locator(".names a").count() == 12, "a group that is too large for a table lists its remotes"


def test_thousand_remotes_stay_usable(reader: Reader) -> None:
    """With a thousand remotes the page is ready, filters and sorts within a moment."""
    page = reader.open("thousand/index.html")
    seconds: float = page.evaluate(
        """() => {
            const start = performance.timeOrigin + performance.now();
            const filter = document.getElementById("filter");
            filter.value = "camera 77";
            filter.dispatchEvent(new Event("input"));
            document.querySelector("#fleet thead button").click();
            document.body.offsetHeight;
            return (performance.timeOrigin + performance.now() - start) / 1000;
        }"""
    )
    assert rows(page)
    assert seconds < 2


# -- one remote ------------------------------------------------------------------------------------------------------


def test_remote_says_how_to_reach_it(reader: Reader) -> None:
    """A remote's page has the commands that lead to it, each with a button that copies it."""
    page = reader.open("some/remotes/signage-1.html")
    lines = page.locator(".command code").all_inner_texts()
    assert lines == [
        "remotestatus ssh signage-1",
        "remotestatus tunnel signage-1",
    ]
    assert page.locator(".command button").count() == 2


def test_remote_shows_what_matched(reader: Reader) -> None:
    """A remote's page shows each process with what matched or nearly did, and why that does not count."""
    text = reader.open("some/remotes/south-camera-2.html").locator("#processes ~ div").inner_text()
    assert "/usr/bin/python /srv/app/manage.py migrate capture_videos.py" in text
    assert "does not count: has all the words, but not one after the other" in text
    assert "ffmpeg -i /dev/video0 -f mp4 /srv/out/0.mp4" in text


def test_chart_has_a_table(reader: Reader) -> None:
    """The log-in times that the chart draws can be read as a table."""
    page = reader.open("some/remotes/north-camera-1.html")
    page.locator("#connect ~ details summary").click()
    assert page.locator("#connect ~ details tbody tr").count() > 10


def test_every_link_leads_somewhere(reader: Reader, sites: Path) -> None:
    """No page of a site links to a file that is not there."""
    for path in ("some/index.html", "some/incidents.html", "some/remotes/signage-1.html", "hostile/index.html"):
        page = reader.open(path)
        links: list[str] = page.evaluate("[...document.links].map(link => link.href.split('#')[0])")
        assert [link for link in links if not Path(link.removeprefix("file://")).is_file()] == []
