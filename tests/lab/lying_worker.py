"""
A worker that lies: runs a real `ansible-runner worker`, and puts answers for other remotes into what it sends.

    python tests/lab/lying_worker.py PROGRAM REMOTE...
"""

import base64
import io
import json
import subprocess
import sys
import zipfile


def main(program: str, *others: str) -> None:
    """Pass its stream on, with the archive changed: `others` answer as its first remote did, and a name leads away."""
    done = subprocess.run([program, "worker"], stdin=sys.stdin.buffer, stdout=subprocess.PIPE, check=True)
    stream = io.BytesIO(done.stdout)
    while line := stream.readline():
        head = json.loads(line)
        if "zipfile" in head:
            encoded = stream.read((head["zipfile"] + 2) // 3 * 4)
            archive = _with_lies(base64.b64decode(encoded), others)
            line = json.dumps({"zipfile": len(archive)}).encode() + b"\n" + base64.b64encode(archive)
        sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()


def _with_lies(archive: bytes, others: tuple[str, ...]) -> bytes:
    changed = io.BytesIO(archive)
    with zipfile.ZipFile(changed, "a") as opened:
        answers = [name for name in opened.namelist() if name.startswith("remotestatus/remotes/") and name[-1] != "/"]
        for other in others if answers else ():
            opened.writestr(f"remotestatus/remotes/{other}.json", opened.read(answers[0]))
        opened.writestr("../../../../tmp/remotestatus-lie", "unpacked")
    return changed.getvalue()


if __name__ == "__main__":
    main(*sys.argv[1:])
