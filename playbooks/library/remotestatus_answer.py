#!/usr/bin/python
"""The documentation of the action plugin remotestatus_answer; the code is in action_plugins/."""

DOCUMENTATION = r"""
module: remotestatus_answer
short_description: Return the answer of one remote
description:
  - Reads the answer that M(remotestatus.checks.remotestatus_check) or M(remotestatus.checks.remotestatus_probe)
    left for this remote.
  - The result is unreachable if the remote could not be reached, and failed for errors on this side.
options:
  workdir:
    description: The private directory that M(remotestatus.checks.remotestatus_check) returned.
    type: path
    required: true
  proxies:
    description:
      - How each proxy answered, as M(remotestatus.checks.remotestatus_check) returned it.
      - With it, a remote that was not checked says what is wrong with its proxy.
    type: dict
    default: {}
  argv:
    description: Whether to return the arguments of processes; without, only their programs.
    type: bool
    default: true
author:
  - The remotestatus maintainers (!UNKNOWN)
attributes:
  action:
    description: It runs on the controller.
    support: full
"""

EXAMPLES = r"""
- name: Say what each remote answered
  remotestatus_answer:
    workdir: "{{ remotestatus_round.workdir }}"
    proxies: "{{ remotestatus_round.proxies }}"
    argv: false
  ignore_unreachable: true
"""

RETURN = r"""
ansible_facts:
  description: The answer, as the fact C(remotestatus).
  returned: always
  type: dict
  contains:
    remotestatus:
      description: The C(outcome), C(facts), C(processes), C(checks), and the output of C(ssh) (C(stderr)).
      type: dict
remotestatus:
  description: The same answer.
  returned: always
  type: dict
"""
