"""
A bad network: a link that delays and loses packets, in a network namespace of its own.

While the `with` lasts, this thread and whatever it starts live in a new namespace with a loopback, and with one more
device: what is sent to `address` comes back to the servers that listen on `near`, late or never. Whoever answers is
answered through the same device. The rule behind it: an IP packet whose two addresses are exchanged keeps its
checksums, so the device needs to know nothing of TCP.
"""

import ctypes
import fcntl
import heapq
import os
import random
import select
import struct
import subprocess
import threading
import time
from types import TracebackType
from typing import Self

from tests.lab.requirements import program, require_root

_TUNSETIFF, _IFF_TUN, _IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
_CLONE_NEWNET = 0x40000000


class BadLink:
    """A link on which each packet takes `delay` seconds and is lost with the probability `loss`. Needs root."""

    near = "10.99.0.1"
    """Where servers listen."""
    address = "10.99.0.2"
    """Where clients reach them, through the link."""

    def __init__(self, *, delay: float = 0.0, loss: float = 0.0) -> None:
        require_root("a network namespace")
        self.delay, self.loss = delay, loss
        self.lost = self.carried = 0
        self._chance = random.Random(20)
        self._libc = ctypes.CDLL(None, use_errno=True)

    def __enter__(self) -> Self:
        self._outside = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        self._check(self._libc.unshare(_CLONE_NEWNET))
        self._device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(self._device, _TUNSETIFF, struct.pack("16sH", b"bad0", _IFF_TUN | _IFF_NO_PI))
        for words in ("link set lo up", f"addr add {self.near} peer {self.address} dev bad0", "link set bad0 up"):
            subprocess.run([program("ip"), *words.split()], check=True)
        self._stop, self._stopped = os.pipe()
        self._thread = threading.Thread(target=self._carry, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._stopped)
        self._thread.join()
        for number in (self._device, self._stop):
            os.close(number)
        self._check(self._libc.setns(self._outside, _CLONE_NEWNET))
        os.close(self._outside)

    def _carry(self) -> None:
        waiting: list[tuple[float, int, bytes]] = []
        while True:
            patience = max(0.0, waiting[0][0] - time.monotonic()) if waiting else None
            readable = select.select([self._device, self._stop], [], [], patience)[0]
            if self._stop in readable:
                return
            if self._device in readable:
                packet = os.read(self._device, 65536)
                if packet[0] >> 4 == 4:
                    self.carried += 1
                    if self._chance.random() < self.loss:
                        self.lost += 1
                    else:
                        turned = packet[:12] + packet[16:20] + packet[12:16] + packet[20:]
                        heapq.heappush(waiting, (time.monotonic() + self.delay, self.carried, turned))
            while waiting and waiting[0][0] <= time.monotonic():
                os.write(self._device, heapq.heappop(waiting)[2])

    def _check(self, result: int) -> None:
        if result != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
