"""
Takes the pictures of the page: `python -m tests.take_pictures FOLDER [SITE]`.

With SITE, pictures of that published site (the demo's) for the README; without, of made-up fleets, a thousand remotes
behind a dead proxy among them, to look at by eye. Each page is taken light, dark and as a phone shows it.
"""

import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from remotestatus.report.build import build_report
from remotestatus.report.publish import publish
from tests.browser import open_browser
from tests.made_fleet import Made, make_report_input

STYLES = {"light": (1280, 1200), "dark": (1280, 1200), "phone": (375, 812)}


def take(site: Path, folder: Path, name: str) -> None:
    """Take every kind of page of a site, each in every style."""
    # Of the remotes, the one with most to show.
    remotes = sorted((site / "remotes").glob("*.html"), key=lambda page: page.stat().st_size)[-1:]
    pages = [site / "index.html", site / "incidents.html", *remotes]
    with open_browser() as browser:
        for style, (width, height) in STYLES.items():
            context = browser.new_context(
                viewport={"width": width, "height": height},
                color_scheme="dark" if style == "dark" else "light",
                device_scale_factor=2 if style == "phone" else 1,
            )
            for path in pages:
                page = context.new_page()
                page.goto(path.absolute().as_uri())
                kind = "remote" if path.parent.name == "remotes" else path.stem
                page.screenshot(path=folder / f"{name}-{kind}-{style}.png")
            context.close()


def main(arguments: list[str]) -> None:
    """Take the pictures that the command line asks for."""
    folder = Path(arguments[0])
    folder.mkdir(parents=True, exist_ok=True)
    if len(arguments) > 1:
        take(Path(arguments[1]), folder, "demo")
        return
    now = datetime.now(UTC).replace(microsecond=0)
    fleets = {"some": Made(41, now), "thousand": Made(1000, now, dead_proxy=True), "public": Made(41, now, public=True)}
    for name, made in fleets.items():
        with tempfile.TemporaryDirectory() as place:
            site = Path(place) / "site"
            publish(build_report(make_report_input(made, Path(place) / "history.sqlite3"), now), site)
            take(site, folder, name)


if __name__ == "__main__":
    main(sys.argv[1:])
