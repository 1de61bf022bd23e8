"""
Follows the findings of one remote or proxy over rounds: which are confirmed, which are over, which come and go.

The findings known so far and the troubles of one round come in, the new ones go out. The rule: a round says something
only of what it could see. One that found the remote down says nothing of its processes, and one that could not list the
processes neither.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from remotestatus.model.causes import Cause
from remotestatus.model.check_result import CheckResult, Key, Trouble
from remotestatus.model.fleet import Remote
from remotestatus.model.states import FindingState, Policy, State
from remotestatus.model.statuses import Status

REMEMBERED = 20
"""So many rounds a finding that is over is remembered, to notice that it comes back."""


@dataclass(frozen=True, slots=True)
class SeenFindings:
    """
    What one round saw: the status and its troubles, and when.

    `unseen` are the keys of findings that the round could not look for. One that ends with a `*` stands for all that
    begin so.
    """

    status: Status
    troubles: Sequence[Trouble]
    now: datetime
    unseen: Collection[Key] = ()

    def could_see(self, key: Key) -> bool:
        """Whether a finding of this key would have been found, were it there."""
        cause, what = key
        if self.status is Status.UNKNOWN or (self.status is Status.DOWN and cause.status is Status.DEGRADED):
            return False
        return not any(
            cause is other and (what == name or (name.endswith("*") and what.startswith(name[:-1])))
            for other, name in self.unseen
        )


def unseen_keys(remote: Remote, result: CheckResult) -> tuple[Key, ...]:
    """The findings that one round could not look for on a remote: processes, values, files, units and devices."""
    processes = [process.name for process in result.processes if process.running is None]
    keys = [(cause, name) for name in processes for cause in (Cause.PROCESS_MISSING, Cause.PROCESS_EXCESS)]
    limits = remote.settings.limits
    # A limit is called `memory`, or `disk /srv`: the setting's name, and what it was measured of.
    measured = {finding.name.partition(" ")[0] for finding in result.findings if finding.kind == "limit"}
    unread = {name for name in type(limits).model_fields if getattr(limits, name) and name not in measured}
    if result.facts.disks is None:
        unread.add("disk")
    keys += [(Cause.LIMIT_EXCEEDED, name) for limit in sorted(unread) for name in (limit, f"{limit} *")]
    keys += [(Cause.FILE_STALE, one.name) for one in result.files if one.ok is None]
    keys += [(Cause.UNIT_FAILED, one.unit) for one in result.units if one.ok is None]
    keys += [(Cause.DEVICE_UNREACHABLE, one.name) for one in result.devices if one.ok is None]
    return tuple(key for key in keys if key not in {trouble.key for trouble in result.troubles})


def follow_findings(base: State, seen: SeenFindings, policy: Policy, *, newly_bad: bool) -> tuple[FindingState, ...]:
    """
    The findings after a round. `newly_bad` means that the round confirms a status that is not up.

    When none of what explains that status was found long enough alone, all of it is confirmed: bad rounds of any kind
    confirm that something is wrong.
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
        # A remote that was not seen to be without it for long has still the same problem.
        again = known.confirmed is None and known.bad == 0
        after = replace(
            known,
            trouble=trouble,
            since=seen.now if again else known.since,
            bad=known.bad + 1,
            good=0,
            returns=known.returns + (known.bad == 0),
        )
    return replace(after, confirmed=trouble.severity) if after.bad >= policy.fail_after else after


def _not_found(known: FindingState, seen: SeenFindings, policy: Policy) -> FindingState | None:
    """The same finding after a round without it; None when it may be forgotten."""
    if not seen.could_see(known.key):
        return known
    after = replace(known, bad=0, good=known.good + 1)
    # A remote is down for one reason at a time.
    replaced = seen.status is known.trouble.cause.status is Status.DOWN
    if after.good >= policy.recover_after or replaced:
        after = replace(after, confirmed=None)
    return after if after.confirmed or after.good < REMEMBERED else None


def _carried_over(base: State, seen: SeenFindings) -> tuple[FindingState, ...]:
    """
    The findings of a state that an older version recorded, which knew only one trouble for each cause.

    It named in its message what it was about. What is found now and was not named then is new.
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
    """Whether a trouble of an older version is about the same as this one; a message that was cut may be."""
    cut = earlier.message.rstrip(".").endswith("…")
    return earlier.cause is trouble.cause and (not trouble.what or trouble.what in earlier.message or cut)
