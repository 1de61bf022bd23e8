"""
Finds the remotes and proxies for which a stage of the round fails, so that it can run for all others.

It searches by bisection with a test function, and only after a stage has failed.
"""

from collections.abc import Callable, Sequence

from remotestatus.model.states import Subject


def find_failing(subjects: Sequence[Subject], works: Callable[[Sequence[Subject]], bool]) -> tuple[Subject, ...]:
    """
    The subjects for which a stage fails; `works` tries the stage for some of them, and tells whether it succeeds.

    Empty when it also fails for none: then no subject is at fault.
    """
    return tuple(_search(subjects, works)) if works(()) else ()


def _search(subjects: Sequence[Subject], works: Callable[[Sequence[Subject]], bool]) -> list[Subject]:
    if not subjects or works(subjects):
        return []
    if len(subjects) == 1:
        return list(subjects)
    half = len(subjects) // 2
    return [*_search(subjects[:half], works), *_search(subjects[half:], works)]
