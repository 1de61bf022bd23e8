"""
A server can lie about itself only: what it says is never taken for what ssh itself says.
"""

import subprocess
from pathlib import Path

import pytest
from remotestatus_playbook.ssh_log import own_words, printed_words, read_own

from remotestatus.evaluate.ssh_error_texts import cause_of_text
from remotestatus.model.causes import Cause
from tests.lab import Command, Lab
from tests.lab.liar import Liar, Lies
from tests.rounds import run_round

KEY_CHANGED = (
    "WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!\n"
    "The fingerprint for the ED25519 key sent by the remote host is\nSHA256:{fingerprint}.\n"
    "Host key for x has changed and you have requested strict checking.\n"
)
LIES = (
    KEY_CHANGED.format(fingerprint="A" * 43),
    "command-line: line 0: Bad configuration option: x\n",
    "remotestatus: the shared connection to the proxy is gone\n",
    "kex_exchange_identification: Connection closed by remote host\n",
    "ssh: Could not resolve hostname x: Name or service not known\n",
)


@pytest.mark.parametrize("lie", LIES, ids=lambda lie: lie[:20])
@pytest.mark.parametrize("where", ["banner", "question", "farewell"])
def test_what_a_server_says_is_no_cause(tmp_path: Path, where: str, lie: str) -> None:
    """In its banner, its questions or its farewell: ssh's own words stay what they are, and the lie is only quoted."""
    with Liar(Lies(**{where: f"\n{lie}\n"})) as liar:
        (tmp_path / "known_hosts").write_text(liar.known_hosts("liar"))
        log, stderr = tmp_path / "log", tmp_path / "err"
        level = "DEBUG" if where == "question" else "VERBOSE"
        options = (f"UserKnownHostsFile={tmp_path}/known_hosts", "HostKeyAlias=liar", f"LogLevel={level}")
        command = [
            "ssh",
            "-F",
            "none",
            "-E",
            str(log),
            "-p",
            str(liar.port),
            "-i",
            "/dev/null",
            "-o",
            "IdentitiesOnly=yes",
        ]
        command += [word for one in (*options, "StrictHostKeyChecking=yes") for word in ("-o", one)]
        with stderr.open("wb") as errors:
            done = subprocess.run([*command, "127.0.0.1", "true"], stderr=errors, stdin=subprocess.DEVNULL, timeout=30)
    assert done.returncode == 255
    words = own_words(log, stderr)
    expected = Cause.CONNECTION_LOST if where == "farewell" else Cause.AUTHENTICATION_FAILED
    assert cause_of_text(words, tunnelled=False) in (expected, None), words
    assert "SHA256" not in words
    if where == "banner":
        assert lie.strip().splitlines()[0] in printed_words(log, stderr)


@pytest.mark.parametrize(
    ("log", "own"),
    [
        (
            "debug1: x\nuser@h: Permission denied (publickey,password).\r\n",
            "user@h: Permission denied (publickey,password).",
        ),
        ("u@h: Permission denied (host key for x has changed).\n", "u@h: Permission denied"),
        (
            "u@h: Permission denied (a,b).\nHost key for x has changed",
            "u@h: Permission denied (a,b).\nHost key for x has changed",
        ),
        (
            "u@h: Permission denied (a\nHost key for x has changed).",
            "u@h: Permission denied",
        ),
        (
            "Received disconnect from 127.0.0.1 port 1:2: a\nHost key for x has changed",
            "Received disconnect from 127.0.0.1 port 1:2:",
        ),
        (
            "Received disconnect from 127.0.0.1 port 1:2: Too many authentication failures",
            "Received disconnect from 127.0.0.1 port 1:2: Too many authentication failures",
        ),
        (
            "Unable to negotiate with 127.0.0.1 port 1: no matching cipher found. Their offer: host key has changed",
            "Unable to negotiate with 127.0.0.1 port 1: no matching cipher found. Their offer:",
        ),
        (
            "no matching cipher found. Their offer: aes128-cbc,a@b.c\nHost key for x has changed",
            "no matching cipher found. Their offer: aes128-cbc,a@b.c",
        ),
        (
            "debug1: Next authentication method: password\nHost key for x has changed\nu@h: Permission denied (a).",
            "u@h: Permission denied (a).",
        ),
        (
            "debug1: Remote: x\nHost key for x has changed\nConnection closed by h port 1",
            "Connection closed by h port 1",
        ),
        ("Host key for x has changed and you\r\ndebug1: Remote: x", "Host key for x has changed and you"),
        ("", ""),
    ],
)
def test_where_ssh_quotes_a_server_its_own_words_end(log: str, own: str) -> None:
    """Methods, offers and farewells are the server's to choose, with line breaks in them."""
    assert read_own(log).strip() == own


def test_banners_forge_no_cause(lab: Lab, remotestatus: Command) -> None:
    """The banners of a remote and of a proxy: neither another key, nor another remote's, nor our own fault."""
    lab.direct("honest")
    lab.proxy()
    listed = subprocess.run(
        ["ssh-keygen", "-lf", str(lab.known_hosts)], capture_output=True, text=True, check=True
    ).stdout
    sha = next(line.split()[1] for line in listed.splitlines() if " honest " in line).removeprefix("SHA256:")
    for number, lie in enumerate((KEY_CHANGED.format(fingerprint=sha), *LIES[1:3])):
        remote = lab.remote(f"liar-{number}")
        remote.show_banner(lie)
        remote.reject_key()

    found = run_round(lab, remotestatus, lab.write_inventory(remotestatus_attempts=1))

    assert found.causes == {"honest": None, **{f"liar-{n}": Cause.AUTHENTICATION_FAILED for n in range(3)}}
    assert "honest" not in found.words("liar-0")
