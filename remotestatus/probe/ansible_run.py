"""
Runs one `ansible-playbook` through ansible-runner, in a thread.

It keeps the output and the exit code. The caller goes on meanwhile, and exchanges files with the playbook.
"""

import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import ansible_runner

_ANSI = re.compile(r"\x1b\[[0-9;]*m")


class AnsibleRun:
    """One run, from its start. The caller has to make it end."""

    def __init__(self, **arguments: object) -> None:
        self._printed: list[str] = []
        self.in_task = False
        """Whether all output from before the first task is there."""
        # Not a daemon thread, which could be cut off: this one ends with Ansible.
        pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ansible-runner")
        self._runner = pool.submit(
            ansible_runner.run,
            **arguments,
            # No file holds Ansible's output, because it may quote secrets.
            settings={"suppress_output_file": True},
            # No fact cache: its files are named by hosts, whose names may be too long.
            fact_cache_type="",
            quiet=True,
            event_handler=self._note,
            status_handler=_forget_environment,
            rotate_artifacts=0,
        )
        pool.shutdown(wait=False)

    def has_ended(self, within: float) -> bool:
        wait([self._runner], within)
        return self._runner.done()

    @property
    def output(self) -> str:
        """What was printed so far, without colours."""
        return _ANSI.sub("", "\n".join(self._printed))

    @property
    def code(self) -> int:
        """The exit code, once it has ended. Raises what ansible-runner raised."""
        code = self._runner.result().rc
        return code if code is not None else -1

    def _note(self, event: Mapping[str, object]) -> bool:
        kind, printed = str(event.get("event")), str(event.get("stdout") or "")
        self.in_task = self.in_task or kind == "playbook_on_task_start"
        if printed or kind == "verbose":  # a verbose event is a line outside of any other, and may be empty
            self._printed.append(printed)
        return False


def _forget_environment(status: Mapping[str, object], runner_config: object) -> None:
    """Remove the file in which ansible-runner notes the whole environment, as soon as it is there."""
    del status
    Path(str(getattr(runner_config, "artifact_dir", "")), "command").unlink(missing_ok=True)
