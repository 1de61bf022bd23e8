"""
The processes of a remote, and what was found of those that have to run there.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Process:
    """
    One process of a remote.

    `state` is the letter that ps shows (Z is a zombie), `started` is in epoch seconds, `exact` says whether the
    boundaries between arguments are known, `own` whether the checker itself caused it.
    """

    pid: int
    ppid: int
    user: str
    state: str
    started: int | None
    rss_kb: int | None
    argv: tuple[str, ...]
    exact: bool
    kernel: bool
    own: bool

    @property
    def zombie(self) -> bool:
        """Whether it has ended and only waits for its parent to notice."""
        return self.state.startswith("Z")


@dataclass(frozen=True, slots=True)
class NearMiss:
    """A process that does not count, and why: one short phrase for people."""

    process: Process
    reason: str


@dataclass(frozen=True, slots=True)
class ProcessResult:
    """
    What one rule found. `running` is None when nobody could tell, and otherwise whether `min` of them run, but at least
    one; `count` is None when the processes are unknown altogether.
    """

    name: str
    running: bool | None
    count: int | None
    min: int
    max: int | None
    matched: tuple[Process, ...] = ()
    near: tuple[NearMiss, ...] = ()
    complete: bool = True
    """Whether all processes could be seen; if not, `count` is a lower bound."""

    @property
    def missing(self) -> bool:
        """Whether fewer than `min` certainly run."""
        return self.complete and self.count is not None and self.count < self.min

    @property
    def excess(self) -> bool:
        """Whether more than `max` certainly run."""
        return self.max is not None and self.count is not None and self.count > self.max
