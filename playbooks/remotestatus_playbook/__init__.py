"""What the playbooks' action plugins share. Standard library only; Ansible itself is imported by the plugins alone."""
