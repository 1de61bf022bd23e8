"""
How much a remote, a proxy or a connection plugin may print before it is cut or ended; all in bytes.
"""

PROBE_BYTES = 16 * 1024 * 1024
"""What a probe may print: real ones print a hundredth of that, and garbage in front of one is allowed for."""

PROXY_BYTES = 16 * 1024 * 1024
"""What a proxy may have ssh print or log; a connection that logs more ends. A remote's log-in takes 1 KB of it."""

TOGETHER_BYTES = 256 * 1024 * 1024
"""What all running probes may have printed together; at most half of what is free on the disk."""

PLUGIN_MEMORY_BYTES = 256 * 1024 * 1024
"""How much memory a connection plugin may take on top for what the other end prints."""
