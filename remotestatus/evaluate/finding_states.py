"""
Follows the findings of one remote or proxy over rounds: which are confirmed, which are over, which come and go.

A round decides only about findings that it could check. If it found the remote down, or could not list the processes,
it decides nothing about them. A finding that many rounds could not check, or that was removed from the inventory, is
dropped, and not reported as over.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum

from remotestatus.evaluate.limits import LIMITS
from remotestatus.model.causes import Cause
from remotestatus.model.check_result import MORE, PROCESSES, CheckResult, Key, Trouble
from remotestatus.model.fleet import Remote
from remotestatus.model.inventory_variables import Limits
from remotestatus.model.states import FindingState, Policy, State
from remotestatus.model.status_words import Status

REMEMBERED = 20
"""Rounds for which a finding is kept: after it is over, to notice its return; and while it cannot be checked."""


class Look(Enum):
    """Why a round does not list a finding."""

    GONE = "it looked, and it is not there"
    NOT_SEEN = "it could not look, or there were too many to list"
    NOT_ASKED = "nobody asks for it any more"


@dataclass(frozen=True, slots=True)
class SeenFindings:
    """What one round found: status, troubles and time; and what it could not check."""

    status: Status
    troubles: Sequence[Trouble]
    now: datetime
    unseen: Mapping[Key, Look] = field(default_factory=dict)

    def hides(self, cause: Cause) -> bool:
        """Whether the round could not check findings of this cause, as it did not reach the remote."""
        return self.status is Status.UNKNOWN or (self.status is Status.DOWN and cause.status is Status.DEGRADED)

    def holds(self, known: FindingState) -> bool:
        """Whether a finding stays as it is, because this round and not too many before could not check it."""
        return self.unseen.get(known.key) is Look.NOT_SEEN and known.unseen < REMEMBERED and not known.is_over


def unseen_findings(remote: Remote, result: CheckResult, base: State | None) -> dict[Key, Look]:
    """Find the findings of a state that one round of a remote could not check, and why."""
    found = {trouble.key for trouble in result.troubles}
    known = [one.key for one in (base.findings if base else ()) if one.key not in found]
    if any(trouble.cause is Cause.BECOME_FAILED for trouble in result.troubles):
        return dict.fromkeys(known, Look.NOT_SEEN)
    looks = {key: _look_for(key, remote, result) for key in known}
    return {key: look for key, look in looks.items() if look is not Look.GONE}


def _look_for(key: Key, remote: Remote, result: CheckResult) -> Look:
    cause, what = key
    match cause:
        case Cause.PROCESS_MISSING:
            return _of([one.running is not None and not one.missing for one in result.processes if one.name == what])
        case Cause.PROCESS_EXCESS:
            return _of([one.running is not None and not one.excess for one in result.processes if one.name == what])
        case Cause.FILE_STALE:
            return _of([one.ok for one in result.files if one.name == what])
        case Cause.UNIT_FAILED:
            return _look_for_unit(what, remote, result)
        case Cause.DEVICE_UNREACHABLE:
            return _of([one.ok for one in result.devices if one.name == what])
        case Cause.LIMIT_EXCEEDED:
            return _look_for_limit(key, remote.settings.limits, result)
        case Cause.CHECK_FAILED if what not in _looked_at(remote):
            return _of([one.ok for one in result.findings if one.key == key])
        case Cause.STORAGE_FAULT if (
            result.facts.mounts if what.startswith("/") else result.facts.filesystem_errors
        ) is None:
            return Look.NOT_SEEN
    cut = any(trouble.key == MORE for trouble in result.troubles)
    return Look.NOT_SEEN if cut else Look.GONE


def _looked_at(remote: Remote) -> set[str]:
    """Names in `check-failed` findings that mean "could not be examined", unless a check has that name."""
    files, units = remote.settings.files, remote.settings.units
    asked = {one.title for one in files} | {one.title for one in units} | {PROCESSES, MORE[1]}
    return asked - {spec.name for spec in remote.settings.checks}


def _of(good: Sequence[bool | None]) -> Look:
    """Combine the results of one name; each is True if good, False if not, None if unknown."""
    if not good:
        return Look.NOT_ASKED
    return Look.GONE if all(good) else Look.NOT_SEEN


def _look_for_unit(unit: str, remote: Remote, result: CheckResult) -> Look:
    looked = [one.ok for one in result.units if one.unit == unit]
    if looked:
        return _of(looked)
    # A unit that is not listed by name was found by `failed: none`.
    every = [spec.title for spec in remote.settings.units if spec.failed is not None]
    return _of([not any(one.ok is None for one in result.units if one.unit == title) for title in every])


def _look_for_limit(key: Key, limits: Limits, result: CheckResult) -> Look:
    """Look for a limit's finding, named `memory` or `disk /srv`: by its setting, and its mount point if it has one."""
    measured = [one.ok for one in result.findings if one.key == key]
    if measured:
        return _of(measured)
    setting, _, mount = key[1].partition(" ")
    if not getattr(limits, setting, None):
        return Look.NOT_ASKED
    facts = result.facts
    match setting:
        case "disk" | "inodes" | "disk_full_within":
            if facts.disks is None:
                return Look.NOT_SEEN
            if not mount:
                return Look.GONE  # it said that nothing of any disk was known
            if mount not in {disk.mount for disk in facts.disks}:
                return Look.NOT_ASKED
            return Look.GONE if setting == "disk_full_within" else Look.NOT_SEEN
        case _:
            return Look.NOT_ASKED if LIMITS[setting].none_there(facts) else Look.NOT_SEEN


def follow_findings(base: State, seen: SeenFindings, policy: Policy, *, newly_bad: bool) -> tuple[FindingState, ...]:
    """
    Make the findings after a round. `newly_bad`: the round confirms a status that is not up.

    If no finding alone lasted long enough, all are confirmed, because bad rounds of any kind confirm the status.
    """
    if seen.status is Status.UNKNOWN:
        return base.findings
    known = {one.key: one for one in base.findings or _carried_over(base, seen)}
    found = {trouble.key: trouble for trouble in seen.troubles}
    after = [_found(known.get(key), trouble, seen, policy) for key, trouble in found.items()]
    if newly_bad and not any(one.confirmed for one in after):
        after = [replace(one, confirmed=one.trouble.severity) for one in after]
    after += [
        left for key, one in known.items() if key not in found and (left := _not_found(one, seen, policy)) is not None
    ]
    return tuple(after)


def came_again(before: Iterable[FindingState], after: Iterable[FindingState]) -> bool:
    """Whether a finding came back in this round, or one that had come back before went again."""
    earlier: Mapping[Key, FindingState] = {one.key: one for one in before}
    for one in after:
        last = earlier.get(one.key)
        if last is None:
            continue
        if one.returns > last.returns or (one.returns and one.good == 1 and last.bad):
            return True
    return False


def _found(known: FindingState | None, trouble: Trouble, seen: SeenFindings, policy: Policy) -> FindingState:
    if known is None:
        after = FindingState(trouble, seen.now, bad=1)
    else:
        # A finding that was gone only briefly is still the same problem.
        again = known.confirmed is None and known.bad == 0
        after = replace(
            known,
            trouble=trouble,
            since=seen.now if again else known.since,
            bad=known.bad + 1,
            good=0,
            unseen=0,
            returns=known.returns + (known.bad == 0),
        )
    return replace(after, confirmed=trouble.severity) if after.bad >= policy.fail_after else after


def _not_found(known: FindingState, seen: SeenFindings, policy: Policy) -> FindingState | None:
    """Make the state of a finding after a round without it; None when it may be forgotten."""
    if seen.hides(known.trouble.cause):
        return known
    looked = known.key not in seen.unseen
    after = known if known.is_over else replace(known, unseen=0 if looked else known.unseen + 1)
    if seen.holds(known):
        return after
    after = replace(after, bad=0, good=known.good + 1)
    # A remote is down for one reason at a time.
    replaced = seen.status is known.trouble.cause.status is Status.DOWN
    if after.good >= policy.recover_after or replaced:
        after = replace(after, confirmed=None)
    return after if after.confirmed or after.good < REMEMBERED else None


def _carried_over(base: State, seen: SeenFindings) -> tuple[FindingState, ...]:
    """
    Read the findings of a state that an older version recorded, which knew only one trouble for each cause.

    Its message named the objects. A finding that was not named there is new.
    """
    if base.confirmed is Status.UP:
        return ()
    told = base.troubles if base.status in (Status.DEGRADED, Status.DOWN) else None
    return tuple(
        FindingState(trouble, base.problem_since or base.since, base.bad, confirmed=trouble.severity)
        for trouble in seen.troubles
        if told is None or any(_names(earlier, trouble) for earlier in told)
    )


def _names(earlier: Trouble, trouble: Trouble) -> bool:
    """Whether a trouble of an older version is about the same object as this one; a cut message may be."""
    cut = earlier.message.rstrip(".").endswith("…")
    return earlier.cause is trouble.cause and (not trouble.what or trouble.what in earlier.message or cut)
