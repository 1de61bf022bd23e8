#!/usr/bin/python
"""The documentation of the action plugin remotestatus_probe; the code is in action_plugins/."""

DOCUMENTATION = r"""
module: remotestatus_probe
short_description: Probe one remote by Ansible's own connection to it
description:
  - Runs the probe of one remote through its connection plugin,
    as M(remotestatus.checks.remotestatus_check) asked for.
  - Errors of the remote or plugin are an answer, not a task error.
options:
  workdir:
    description: The private directory that M(remotestatus.checks.remotestatus_check) returned.
    type: path
    required: true
author:
  - The remotestatus maintainers (!UNKNOWN)
attributes:
  action:
    description: It runs on the controller.
    support: full
"""

EXAMPLES = r"""
- name: Run the probe
  remotestatus_probe:
    workdir: "{{ remotestatus_round.workdir }}"
"""

RETURN = r"""
msg:
  description: How the probe ended.
  returned: always
  type: str
"""
