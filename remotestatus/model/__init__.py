"""
The words that every stage speaks: plain types without files, network, clock, Ansible or SQLite.
"""
