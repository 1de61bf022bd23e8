"""
Runs one `ansible-playbook` through ansible-runner, in a thread.

Takes what ansible-runner takes; tells what was printed, and how it ended. Whoever started it goes on meanwhile, and
exchanges files with the playbook.
"""

import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import ansible_runner

_ANSI = re.compile(r"\x1b\[[0-9;]*m")


class AnsibleRun:
    """One run, from its start on. Whoever starts it sees to it that it ends."""

    def __init__(self, **arguments: object) -> None:
        self._printed: list[str] = []
        self.in_task = False
        """Whether all is known that Ansible printed before its first task."""
        # A daemon's thread would be cut off in the middle; this one ends with Ansible.
        pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ansible-runner")
        self._runner = pool.submit(
            ansible_runner.run,
            **arguments,
            # What Ansible prints of a mistake quotes the lines around it: it is in no file.
            settings={"suppress_output_file": True},
            # Facts are kept by nobody; the cache's files are named by hosts, whose names may be too long for that.
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
