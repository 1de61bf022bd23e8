"""
Writes the summary sentence of the fleet, for the page, the terminal and the Nagios plugin.

It also returns an addition (`aside`), such as the number in maintenance.
"""

from remotestatus.model.status_words import Status
from remotestatus.model.text import count, join_names, write_number
from remotestatus.report.remote_view import RemoteView
from remotestatus.report.root_causes import RootCause


def say_first_sentence(remotes: tuple[RemoteView, ...], root_causes: tuple[RootCause, ...]) -> tuple[str, str]:
    """Write the sentence, and an addition to it."""
    total = len(remotes)
    if not total:
        return "No remotes to check", "The inventory names none yet."
    wrong = sum(remote.needs_attention for remote in remotes)
    resting = sum(remote.maintenance is not None for remote in remotes)
    aside = f"{write_number(resting)} in maintenance" if resting else ""
    # A proxy that was not checked is not dead: that is the checker's trouble.
    dead = [one for one in root_causes if one.kind in ("proxy", "worker") and one.status is Status.DOWN]
    poor = [one.name for one in root_causes if one.kind == "proxy" and one.status is Status.DEGRADED]
    if poor:
        attention = f"{'the proxy' if len(poor) == 1 else 'the proxies'} {join_names(poor, 3)} "
        aside = ", ".join(filter(None, (attention + ("needs" if len(poor) == 1 else "need") + " attention", aside)))
    if dead:
        hidden = sum(len(one.affected) for one in dead)
        verdict = _say_silent(dead)
        verdict += f": {write_number(hidden)} of {count(total, 'remote')} cannot be checked" if hidden else ""
        rest = wrong - hidden
        more = f"{count(rest, 'remote')} besides {'needs' if rest == 1 else 'need'} attention" if rest else ""
        return verdict, ", ".join(filter(None, (more, aside)))
    if wrong:
        return f"{write_number(wrong)} of {count(total, 'remote')} {'needs' if wrong == 1 else 'need'} attention", aside
    if resting == total:
        resting_words = "The remote is" if total == 1 else f"All {count(total, 'remote')} are"
        return f"{resting_words} in maintenance", aside if poor else ""
    fine = total - resting
    return (
        "The remote is up" if total == 1 else f"All {count(fine, 'remote')} {'is' if fine == 1 else 'are'} up"
    ), aside


def _say_silent(dead: list[RootCause]) -> str:
    """Say which proxies do not answer, and which workers are down (they may answer, but wrongly)."""
    kinds = {one.kind for one in dead}
    if len(dead) == 1:
        return f"{dead[0].subject} {'does not answer' if kinds == {'proxy'} else 'is down'}"
    several = "proxies" if kinds == {"proxy"} else "workers" if kinds == {"worker"} else "proxies and workers"
    return f"{write_number(len(dead))} {several} {'do not answer' if kinds == {'proxy'} else 'are down'}"
