"""Workers: machines that probe for the checker, by ansible-runner's `transmit | worker | process`."""

from remotestatus.probe.workers.worker_archive import WorkerAnswers
from remotestatus.probe.workers.worker_caller import WorkerCaller, clock_error
from remotestatus.probe.workers.worker_stream import WorkerFault
