#!/usr/bin/python
"""The documentation of the action plugin remotestatus_check; the code is in action_plugins/."""

DOCUMENTATION = r"""
module: remotestatus_check
short_description: Probe all hosts of the play at once
description:
  - Opens one shared SSH connection to each proxy, and probes every remote behind those that answer with one SSH exec.
  - Runs once for the whole play, on the controller. It is meant for the playbook C(check.yml).
  - Remotes that need another connection plugin are returned, for M(remotestatus.checks.remotestatus_probe).
options:
  proxies_only:
    description: Only connect to the proxies, and probe no remote.
    type: bool
    default: false
  state:
    description:
      - V(checked) probes the hosts of the play.
      - V(finished) leaves an answer for each remote whose own task failed before it could leave one.
      - V(closed) ends the connections and removes the private directory.
    type: str
    choices: [checked, finished, closed]
    default: checked
  workdir:
    description: The private directory that V(checked) returned; needed by the other states.
    type: path
author:
  - The remotestatus maintainers (!UNKNOWN)
attributes:
  action:
    description: It runs on the controller.
    support: full
"""

EXAMPLES = r"""
- name: Open one connection to each proxy, and run the probe on every remote
  remotestatus_check:
  run_once: true
  register: remotestatus_round

- name: Close the connections
  remotestatus_check:
    state: closed
    workdir: "{{ remotestatus_round.workdir }}"
  run_once: true
"""

RETURN = r"""
workdir:
  description: The private directory that holds the answers.
  returned: when state is checked
  type: str
proxies:
  description: How each proxy answered, by its name.
  returned: when state is checked
  type: dict
by_plugin:
  description: The remotes that only a connection plugin of Ansible leads to.
  returned: when state is checked
  type: list
  elements: str
at_once:
  description: How many of them are to be probed at the same time.
  returned: when state is checked
  type: int
"""
