"""
A mesh as receptorctl shows it: what comes in is read to its end, goes through a socket to `ansible-runner worker`, and
what comes back through it is printed.

    python tests/lab/mesh.py PROGRAM
"""

import socket
import subprocess
import sys


def main(program: str) -> None:
    """Submit one unit of work, and follow it."""
    sent = sys.stdin.buffer.read()
    ours, theirs = socket.socketpair()
    words = [program, "worker", "--keepalive-seconds", "5"]
    with ours, subprocess.Popen(words, stdin=theirs.fileno(), stdout=theirs.fileno()):
        theirs.close()
        ours.sendall(sent)
        ours.shutdown(socket.SHUT_WR)
        while part := ours.recv(65536):
            sys.stdout.buffer.write(part)
            sys.stdout.buffer.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
