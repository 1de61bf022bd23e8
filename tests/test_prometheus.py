"""
The alert rules and the dashboard that come with the guide: they ask for metrics that are written.
"""

import json
import re
import subprocess
from pathlib import Path

import yaml

from remotestatus.report.formats.metrics import FAMILIES
from tests.lab import require_program

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "prometheus"
METRICS = {name for name, *_ in FAMILIES}


def expressions() -> list[str]:
    """All expressions of the rules and of the dashboard."""
    rules = yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"]
    dashboard = json.loads((FOLDER / "dashboard.json").read_text())
    found = [rule["expr"] for group in rules for rule in group["rules"]]
    return found + [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]


def test_only_metrics_that_are_written_are_asked_for() -> None:
    """Each name in an expression is a metric of metrics.prom."""
    asked = {name for text in expressions() for name in re.findall(r"\bremotestatus_\w+", text)}
    assert len(asked) > 15
    assert asked - METRICS == set()


def test_each_alert_says_how_bad_it_is_and_what_to_do() -> None:
    """A rule has a severity, a summary and a description."""
    for group in yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"]:
        for rule in group["rules"]:
            assert rule["labels"]["severity"] in ("warning", "critical")
            assert rule["annotations"].keys() == {"summary", "description"}


def test_promtool_takes_the_rules(tmp_path: Path) -> None:
    """Prometheus's own check finds nothing wrong with the rules, nor with the dashboard's expressions."""
    promtool = require_program("promtool", "this test")
    subprocess.run([promtool, "check", "rules", str(FOLDER / "alerts.yml")], check=True, capture_output=True)
    rules = [{"record": f"x:{at}", "expr": text.replace("$remote", ".*")} for at, text in enumerate(expressions())]
    path = tmp_path / "rules.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "x", "rules": rules}]}))
    subprocess.run([promtool, "check", "rules", str(path)], check=True, capture_output=True)
