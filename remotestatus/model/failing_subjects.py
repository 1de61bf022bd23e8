"""
Finds the remotes and proxies that keep a stage of the round from being done, so that it can be done for all others.

The subjects of a stage and a test of some of them come in, the subjects that fail go out. Costs nothing unless
something has failed already.
"""

from collections.abc import Callable, Sequence

from remotestatus.model.states import Subject


def find_failing(subjects: Sequence[Subject], works: Callable[[Sequence[Subject]], bool]) -> tuple[Subject, ...]:
    """
    The subjects for which a stage fails; `works` tries the stage for some of them, and tells whether it succeeds.

    Empty when it fails even without any: then it is nobody's fault.
    """
    return tuple(_search(subjects, works)) if works(()) else ()


def _search(subjects: Sequence[Subject], works: Callable[[Sequence[Subject]], bool]) -> list[Subject]:
    if not subjects or works(subjects):
        return []
    if len(subjects) == 1:
        return list(subjects)
    half = len(subjects) // 2
    return [*_search(subjects[:half], works), *_search(subjects[half:], works)]
