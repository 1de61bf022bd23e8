"""
Pure: how long a worker may take for each step, and when it counts as dead; all in seconds.
"""

KEEPALIVE_SECONDS = 5
"""How often a worker says that it is there while it has nothing to say."""

SILENCE_SECONDS = 15.0
"""A worker that says nothing for so long is dead."""

FIRST_LINE_SECONDS = 30.0
"""The same before its first line, while it is connected to and ansible-runner starts."""

START_SECONDS = 60
"""For the connection, the transfer both ways, and Ansible's start."""

PROXY_SECONDS = 70
"""For opening the connection to a proxy, twice."""

END_SECONDS = 10.0
"""How long a command may take to end once its stream has, while it tidies up on the worker."""

INTERRUPT_SECONDS = 8.0
"""How long a command that was interrupted may go on ending what it began elsewhere: ansible-runner takes up to 5."""

LAST_WORDS_SECONDS = 2.0
"""How long a command that failed may go on saying why."""
