"""What the playbooks' action plugins share. Standard library and ansible imports only."""
