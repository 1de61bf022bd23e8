"""The machine formats of a round: each module declares as FORMAT which files it writes, and how."""

from remotestatus.report.formats.status_json import status_schema, status_table, write_status
