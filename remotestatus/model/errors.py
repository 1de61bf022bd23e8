"""
The errors that are shown to people.

Each says what is wrong, where, and the fix, as plain text; the CLI prints it and exits with `exit_code`. No error
contains a secret: code that raises one leaves out passwords and URLs.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from remotestatus.model.untrusted_text import one_line


@dataclass(frozen=True, slots=True)
class ConfigurationProblem:
    """One thing that is wrong: where (`all`, `recorders/capture-1`, a file), and what, with its cure."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


def with_vault_cure(sentence: str) -> str:
    """Add the fix to Ansible's message if a Vault password is missing or wrong."""
    lowered = sentence.lower()
    if "decryption failed" in lowered or "could decrypt" in lowered:
        return f"{sentence} (the Vault password is wrong: it opens nothing here; give the right one)"
    if "vault" in lowered and any(word in lowered for word in ("secret", "decrypt", "password")):
        return f"{sentence} (give the Vault password: --vault-password-file FILE, or ANSIBLE_VAULT_PASSWORD_FILE)"
    return sentence


def say_os_error(error: OSError) -> str:
    """An unexpected OSError for people, with its file."""
    return f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror or error)


def say_error(error: Exception) -> str:
    """An unexpected error for people."""
    return one_line(f"{type(error).__name__}: {error}")


class RemotestatusError(Exception):
    """Anything that ends a command with a sentence instead of a traceback."""

    exit_code = 3


class ConfigurationError(RemotestatusError):
    """The inventory or the usage is wrong: nothing was connected to. Exit code 2."""

    exit_code = 2

    def __init__(self, summary: str, problems: Sequence[ConfigurationProblem] = ()) -> None:
        self.summary = summary
        self.problems = tuple(problems)
        super().__init__("\n".join([summary, *(f"  {problem}" for problem in self.problems)]))


class RoundError(RemotestatusError):
    """The round could not be done or not be recorded. Exit code 3."""


class RoundRunning(RoundError):
    """Another round holds the lock."""


class RoundGivenUp(RoundError):
    """The round was cancelled: nothing of it was recorded."""

    def __init__(self) -> None:
        super().__init__("the round was given up; nothing of it was recorded")
