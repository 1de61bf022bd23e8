"""Output limits of remotes, proxies and connection plugins, in bytes."""

PROBE_BYTES = 16 * 1024 * 1024
"""Most bytes that a probe may print: a hundred times what real ones do, with room for garbage before it."""

PROXY_BYTES = 16 * 1024 * 1024
"""Most bytes that a proxy's ssh may print and log; beyond it the connection ends. A remote's log-in takes 1 KB."""

TOGETHER_BYTES = 256 * 1024 * 1024
"""Most bytes that all running probes may have printed together; at most half of the free disk space."""

PLUGIN_MEMORY_BYTES = 256 * 1024 * 1024
"""Most bytes of memory that a connection plugin may take for the other end's output."""
