"""
Workers: other machines that look for the checker, through ansible-runner's `transmit | worker | process`.
"""

from remotestatus.probe.workers.batch_queue import BatchQueue
from remotestatus.probe.workers.batches import Batch, pack_for, places_of, share_out_remotes
from remotestatus.probe.workers.worker_archive import WorkerAnswers
from remotestatus.probe.workers.worker_caller import WorkerCaller, clock_error
from remotestatus.probe.workers.worker_stream import WorkerFault
