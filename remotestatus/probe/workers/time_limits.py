"""Pure: the time limits of a worker's steps, in seconds."""

KEEPALIVE_SECONDS = 5
"""Seconds between a worker's keepalive lines."""

SILENCE_SECONDS = 15.0
"""Seconds of silence after which a worker counts as dead."""

FIRST_LINE_SECONDS = 30.0
"""The same before its first line, while ssh connects and ansible-runner starts."""

START_SECONDS = 60
"""For the connection, the transfer both ways, and Ansible's start."""

PROXY_SECONDS = 70
"""For opening the connection to a proxy, twice."""

END_SECONDS = 10.0
"""Seconds that a command may run after its stream has ended, to clean up."""

INTERRUPT_SECONDS = 8.0
"""Seconds that an interrupted command may take to end its remote side: ansible-runner takes up to 5."""

LAST_WORDS_SECONDS = 2.0
"""Seconds that a failed command may go on printing its error."""
