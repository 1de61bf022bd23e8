"""The types that all stages share: plain, without files, network, clock, Ansible or SQLite."""
