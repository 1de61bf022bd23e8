"""All attempts of a round: probes the fleet, makes check results, and probes again what failed."""

from remotestatus.probe.attempts.batches import places_of
from remotestatus.probe.attempts.check_fleet import check_fleet
from remotestatus.probe.attempts.orders import Earlier
