"""
What a remote's own ssh was started with to keep its tunnel (ssh(1), -R).
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tunnel:
    """
    One reverse forwarding of one ssh: the port that it asks for on the proxy, and the address there, if it says one.

    `exit_on_failure` and `alive_interval` are its options, None where its command line does not say.
    """

    port: int
    bind: str | None = None
    exit_on_failure: bool | None = None
    alive_interval: int | None = None
