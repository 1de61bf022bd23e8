"""Says which remotes behind a reverse-SSH proxy can be reached, whether they run their processes, and why not."""

__version__ = "0.1.0"

from remotestatus import shipped as shipped  # makes `remotestatus_playbook` importable
