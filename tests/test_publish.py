"""The site on the disk: each file whole, ours alone, and no more written than changed."""

import json
import os
import re
import stat
import subprocess
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from remotestatus.model.errors import RoundError
from remotestatus.report import site as site_module
from remotestatus.report.build import Report, build_report
from remotestatus.report.pages import page_templates
from remotestatus.report.publish import publish, site_files
from remotestatus.report.site import SiteFile, write_site
from remotestatus.shipped import playbooks, report_templates
from tests.made_fleet import Made, make_report_input

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def report(tmp_path: Path) -> Report:
    return build_report(make_report_input(Made(8, NOW), tmp_path / "history.sqlite3"), NOW)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return tmp_path / "served" / "site"


def tree(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def of(files: dict[str, bytes]) -> list[SiteFile]:
    """Files of a site by their paths, `index.html` last."""
    return [SiteFile(path, partial(bytes, text), turn=(path == "index.html", "", 0)) for path, text in files.items()]


def test_site_is_complete(report: Report, site: Path) -> None:
    """A published site holds the pages, the machine formats and the badges of every remote."""
    publish(report, site)
    found = tree(site)
    assert {"index.html", "incidents.html", "status.json", "feed.xml", "metrics.prom", "badge.svg"} <= found
    for remote in report.remotes:
        assert {
            f"remotes/{remote.slug}.html",
            f"badges/{remote.slug}.svg",
            f"badges/{remote.slug}.json",
        } <= found


def test_several_processes_make_what_one_makes(tmp_path: Path) -> None:
    """Each with the history opened for itself; ours is as usable afterwards as before."""
    report_input = make_report_input(Made(510, NOW, samples=3), tmp_path / "history.sqlite3")
    shown = build_report(report_input, NOW)
    publish(shown, tmp_path / "site")
    for file in list(site_files(shown, page_templates())[0])[::7]:
        assert (tmp_path / "site" / file.path).read_bytes() == file.make()


def test_a_pages_nonce_depends_on_all_that_it_shows(tmp_path: Path) -> None:
    """Also on measurements, which its version does not tell: what a remote says cannot name the nonce it will have."""
    made = make_report_input(Made(1, NOW), tmp_path / "history.sqlite3")
    pages = []
    for number, one in enumerate((made, replace(made, samples=lambda _: ()))):
        publish(build_report(one, NOW), tmp_path / str(number))
        (path,) = (tmp_path / str(number) / "remotes").glob("*.html")
        pages.append(path.read_text())
    versions = [re.findall(r'data-version="(\w+)"', page) for page in pages]
    nonces = [re.findall(r"'nonce-(\w+)'", page) for page in pages]
    assert versions[0] == versions[1]
    assert nonces[0] != nonces[1]
    for page, (nonce,) in zip(pages, nonces, strict=True):
        assert page.count("<script") == page.count(f'<script nonce="{nonce}"') > 0


def test_everyone_may_read(report: Report, site: Path) -> None:
    """Files are 0644 and folders 0755, whatever the umask of the timer's service is."""
    before = os.umask(0o077)
    try:
        publish(report, site)
    finally:
        os.umask(before)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (site, *site.rglob("*")) if path.is_dir()}
    assert modes == {0o755}
    assert {stat.S_IMODE(path.stat().st_mode) for path in site.rglob("*") if path.is_file()} == {0o644}


def test_mode_that_an_administrator_chose_stays(report: Report, site: Path) -> None:
    """A site's folder that was closed to others stays closed."""
    publish(report, site)
    site.chmod(0o2750)
    publish(report, site)
    assert stat.S_IMODE(site.stat().st_mode) == 0o2750


def test_unchanged_files_are_not_written_again(report: Report, site: Path) -> None:
    """What is the same in the next round is the same file; what changed is a new one."""
    publish(report, site)
    before = {path: (site / path).stat().st_ino for path in tree(site)}
    publish(report, site)
    assert {path: (site / path).stat().st_ino for path in tree(site)} == before
    publish(replace(report, generated_at=NOW + timedelta(minutes=10)), site)
    changed = {path for path in before if (site / path).stat().st_ino != before[path]}
    assert changed == {"round/pages.css", "round/summary.css", "status.json"}


def test_departed_remote_leaves_the_site(report: Report, site: Path) -> None:
    """The pages of a remote that is no longer in the inventory go."""
    publish(report, site)
    publish(replace(report, remotes=report.remotes[1:]), site)
    assert f"remotes/{report.remotes[0].slug}.html" not in tree(site)


def test_nothing_else_is_left(report: Report, site: Path) -> None:
    """After publishing, what a killed round was about to write is gone, and nothing is beside the site."""
    publish(report, site)
    before = tree(site)
    leftover = site / ".remotestatus-new" / "remotes"
    leftover.mkdir(parents=True)
    (leftover / "half.html").write_text("<p>ha")
    publish(replace(report, generated_at=NOW + timedelta(minutes=10)), site)
    assert tree(site) == before
    assert [path.name for path in site.parent.iterdir()] == ["site"]


def test_round_that_was_killed_is_made_good_by_the_next(report: Report, site: Path) -> None:
    """When a round dies between two files, the next one takes the folder for its own and removes what has left."""
    publish(report, site)
    (site / "index.html").unlink()
    publish(replace(report, remotes=report.remotes[1:]), site)
    assert f"remotes/{report.remotes[0].slug}.html" not in tree(site)
    assert "index.html" in tree(site)


@pytest.mark.parametrize("link", [True, False])
def test_marker_that_names_files_elsewhere_removes_none(report: Report, site: Path, tmp_path: Path, link: bool) -> None:
    """Whatever the marker lists, nothing outside the site is removed, not even through a link in it."""
    publish(report, site)
    outside = tmp_path / "outside.txt"
    outside.write_text("years of work")
    if link:
        (site / "way").symlink_to(tmp_path)
    listed = ["../../outside.txt", str(outside), "way/outside.txt", "..", "", ".", "a\x00b", "\ud800", 7, "index.html"]
    (site / site_module.MARKER).write_text(json.dumps({"files": listed}))
    publish(report, site)
    assert outside.read_text() == "years of work"
    assert set(json.loads((site / site_module.MARKER).read_text())["files"]) == tree(site) - {site_module.MARKER}


@pytest.mark.parametrize("text", [b"[" * 200_000, b'{"files": 5}', b"[]", b"\xff", b"", b'{"files": [[]]}'])
def test_damaged_marker_is_a_marker(report: Report, site: Path, text: bytes) -> None:
    """A marker that cannot be read says that the folder is ours, and nothing else: no file is removed for it."""
    publish(report, site)
    (site / "robots.txt").write_text("User-agent: *")
    (site / site_module.MARKER).write_bytes(text)
    publish(report, site)
    assert {"index.html", "robots.txt"} <= tree(site)
    assert "index.html" in json.loads((site / site_module.MARKER).read_text())["files"]


def test_folder_in_the_place_of_a_file_is_said(report: Report, site: Path) -> None:
    """When a page cannot be put into its place because a folder is there, nothing is replaced, and it is named."""
    publish(report, site)
    (site / "badge.svg").unlink()
    (site / "badge.svg" / "mine").mkdir(parents=True)
    old = (site / "index.html").read_bytes()
    with pytest.raises(RoundError, match=r"badge\.svg: Is a directory"):
        publish(replace(report, generated_at=NOW + timedelta(minutes=10)), site)
    assert (site / "index.html").read_bytes() == old


def test_folder_of_others_is_refused(report: Report, site: Path) -> None:
    """A folder that holds anything but has no marker of ours is left as it is, with a cure in the error."""
    site.mkdir(parents=True)
    (site / "thesis.txt").write_text("years of work")
    with pytest.raises(RoundError, match=r"did not write.*remotestatus_site"):
        publish(report, site)
    assert tree(site) == {"thesis.txt"}


def test_empty_folder_is_taken(report: Report, site: Path) -> None:
    """A folder that an administrator made for the site, with its mode, is used."""
    site.mkdir(parents=True, mode=0o750)
    publish(report, site)
    assert (site / "index.html").is_file()
    assert stat.S_IMODE(site.stat().st_mode) == 0o750


def test_files_of_others_in_our_folder_stay(report: Report, site: Path) -> None:
    """What an administrator adds to the site stays: files, folders, empty ones too, and links."""
    publish(report, site)
    (site / "robots.txt").write_text("User-agent: *")
    (site / ".well-known").mkdir()
    (site / ".well-known" / "security.txt").write_text("Contact: us")
    (site / "empty").mkdir()
    (site / "manual").symlink_to(report_templates())
    (site / "nowhere").symlink_to("gone")
    publish(replace(report, generated_at=NOW + timedelta(minutes=10)), site)
    assert (site / "robots.txt").read_text() == "User-agent: *"
    assert (site / ".well-known" / "security.txt").is_file()
    assert (site / "empty").is_dir()
    assert (site / "manual").readlink() == report_templates()
    assert (site / "nowhere").is_symlink()


def test_link_to_the_site_stays_a_link(report: Report, site: Path, tmp_path: Path) -> None:
    """A site that is reached through a symbolic link is written where the link leads."""
    target = tmp_path / "real"
    target.mkdir()
    site.parent.mkdir()
    site.symlink_to(target)
    publish(report, site)
    assert site.is_symlink()
    assert (target / "index.html").is_file()


def test_link_that_leads_to_itself_is_said(report: Report, site: Path) -> None:
    """A site that is a link in a circle is an error with a cure."""
    site.parent.mkdir()
    site.symlink_to(site)
    with pytest.raises(RoundError, match="the page was not written"):
        publish(report, site)


def test_reader_never_sees_half_a_file(site: Path) -> None:
    """While a site is written, a reader that holds its folder open finds every file whole."""
    rounds = [{"a.html": str(number % 10).encode() * 200_000, "index.html": b"%d" % number} for number in range(60)]
    write_site(site, of(rounds[0]))
    torn: list[str] = []
    done = threading.Event()

    def read() -> None:
        folder = os.open(site, os.O_RDONLY)
        while not done.is_set():
            with open(os.open("a.html", os.O_RDONLY, dir_fd=folder), encoding="utf-8") as file:  # noqa: PTH123
                text = file.read()
            if len(text) != 200_000 or len(set(text)) != 1:
                torn.append(text)
        os.close(folder)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for files in rounds[1:]:
            write_site(site, of(files))
    finally:
        done.set()
        reader.join()
    assert torn == []


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_mount_of_the_folder_shows_the_next_round(site: Path, tmp_path: Path) -> None:
    """A container's mount of the site's folder shows each round, not the one that was there when it was mounted."""
    write_site(site, of({"index.html": b"1"}))
    served = tmp_path / "container"
    served.mkdir()
    if subprocess.run(["mount", "--bind", site, served], capture_output=True, check=False).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        write_site(site, of({"index.html": b"2"}))
        assert (served / "index.html").read_bytes() == b"2"
    finally:
        subprocess.run(["umount", served], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_site_can_be_a_mount_point(report: Report, site: Path) -> None:
    """A site that is a disk of its own is brought up to date as any other."""
    site.mkdir(parents=True)
    if subprocess.run(["mount", "-t", "tmpfs", "tmpfs", site], capture_output=True, check=False).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        publish(report, site)
        publish(replace(report, remotes=report.remotes[1:], generated_at=NOW + timedelta(minutes=10)), site)
        found = tree(site)
        assert "index.html" in found
        assert f"remotes/{report.remotes[0].slug}.html" not in found
    finally:
        subprocess.run(["umount", site], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_full_disk_leaves_the_old_site_and_says_so(report: Report, tmp_path: Path) -> None:
    """When the disk is full, the old site stays whole and the error says to make room."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=120k", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        site = disk / "site"
        write_site(site, of({"index.html": b"old"}))
        with pytest.raises(RoundError, match=r"No space left.*make room"):
            publish(report, site)
        assert (site / "index.html").read_bytes() == b"old"
        assert tree(disk) == {"site/index.html", f"site/{site_module.MARKER}"}
    finally:
        subprocess.run(["umount", disk], check=True)


def test_templates_of_ones_own_stand_in(report: Report, site: Path, tmp_path: Path) -> None:
    """A folder with one template and one style sheet replaces just these two."""
    mine = tmp_path / "mine"
    (mine / "assets").mkdir(parents=True)
    (mine / "incidents.html.j2").write_text("<p>{{ report.title }}: {{ '<b>' }}</p>")
    (mine / "assets" / "page.css").write_text("body { color: teal }")
    publish(report, site, page_templates(mine))
    assert (site / "incidents.html").read_text() == "<p>Harbour boxes: &lt;b&gt;</p>"
    assert (site / "assets" / "page.css").read_text() == "body { color: teal }"
    assert "What is wrong" in (site / "index.html").read_text()


def test_long_names_of_files_fit(report: Report, site: Path, tmp_path: Path) -> None:
    """A file of a theme is published under the longest name that a file can have."""
    name = "ü" * 125 + ".woff"
    (tmp_path / "mine" / "assets").mkdir(parents=True)
    (tmp_path / "mine" / "assets" / name).write_text("a font")
    publish(report, site, page_templates(tmp_path / "mine"))
    assert (site / "assets" / name).read_text() == "a font"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("one\n{% if %}", r"incidents\.html\.j2, line 2"),
        ("one\n\n{{ report.no_such_thing }}", r"incidents\.html\.j2, line 3.*no_such_thing"),
        ("{% extends 'nowhere.j2' %}", "nowhere.j2"),
        ("{{ 1 / 0 }}", r"incidents\.html\.j2, line 1.*division"),
    ],
)
def test_broken_template_is_named(report: Report, site: Path, tmp_path: Path, text: str, said: str) -> None:
    """A broken template leaves the old site, and the error names the file and the line."""
    publish(report, site)
    old = (site / "index.html").read_bytes()
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "incidents.html.j2").write_text(text)
    with pytest.raises(RoundError, match=said):
        publish(replace(report, generated_at=NOW + timedelta(minutes=10)), site, page_templates(mine))
    assert (site / "index.html").read_bytes() == old


def test_logo_is_shown_and_a_missing_one_left_out(report: Report, site: Path, tmp_path: Path) -> None:
    """A logo is copied beside the page; without it, the page is made all the same, and the reason is returned."""
    logo = tmp_path / "logo.svg"
    logo.write_text('<svg xmlns="http://www.w3.org/2000/svg"/>')
    assert publish(report, site, logo=logo) == ()
    assert 'src="assets/logo.svg"' in (site / "index.html").read_text()
    (note,) = publish(report, site, logo=tmp_path / "gone.png")
    assert "gone.png was left out" in note
    assert "logo" not in (site / "index.html").read_text()


def test_shipped_folders_are_found() -> None:
    """The playbook and the templates are where the code looks for them."""
    assert (report_templates() / "index.html.j2").is_file()
    assert playbooks().is_dir()
