"""Makes check results and states. Pure: no files, network, clock, Ansible or SQLite."""

from remotestatus.evaluate.check_results import Past, read_proxy, read_remote, read_unlooked
from remotestatus.evaluate.combine_places import combine, is_worth_another_place, without_proxys_fault
from remotestatus.evaluate.diagnosis import diagnose, diagnose_worker
from remotestatus.evaluate.ended_processes import add_endings, find_ended
from remotestatus.evaluate.fleet_states import current_states, evaluate_fleet, time_in_each_status
from remotestatus.evaluate.log_files import asks_for_log_files
from remotestatus.evaluate.maintenance_windows import (
    EVERYTHING,
    problem_of_window,
    window_of,
)
from remotestatus.evaluate.make_trouble import failed_result, failed_trouble
from remotestatus.evaluate.measurements import find_renewed
from remotestatus.evaluate.process_matching import match
from remotestatus.evaluate.proxy_advice import advise_proxy, dead_tunnels
from remotestatus.evaluate.proxy_look import read_look
from remotestatus.evaluate.read_replies import check_reply, is_meant
from remotestatus.evaluate.regular_report import is_report_due, make_period_report
from remotestatus.evaluate.remembering import is_due
from remotestatus.evaluate.reply_codes import write_code
from remotestatus.evaluate.state_machine import next_state
from remotestatus.evaluate.trends import LONGEST_LOOK, disks_until_full, kept_values
from remotestatus.evaluate.tunnel_advice import advise
from remotestatus.evaluate.upcoming_windows import planned_windows
from remotestatus.evaluate.uptime import DaySums, Uptime, begin_today, no_days, share_out_time, uptimes
