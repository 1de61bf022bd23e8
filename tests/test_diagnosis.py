"""
What OpenSSH printed, and the cause that it means: recorded texts, and anything at all.
"""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import TypeAdapter
from remotestatus_playbook.checker_faults import local_fault, without_warnings
from remotestatus_playbook.host_keys import owners_of_offered_key
from remotestatus_playbook.protocol import PROXY_LOST, HostAnswer, Outcome, ProxyAnswer, RemoteAnswer
from remotestatus_playbook.proxy_connections import find_refusals, is_refusal

from remotestatus.evaluate.check_results import read_proxy, read_remote
from remotestatus.evaluate.diagnosis import diagnose
from remotestatus.evaluate.make_trouble import explain
from remotestatus.evaluate.ssh_error_texts import cause_of_text, evidence
from remotestatus.model.causes import Cause, causes_table
from remotestatus.model.check_result import Trouble
from remotestatus.model.fleet import Proxy, Remote
from remotestatus.model.inventory_variables import RemoteSettings
from remotestatus.model.status_words import Status
from remotestatus.model.untrusted_text import one_line
from remotestatus.probe.read_answers import AnswerFiles
from tests.lab.keys import make_key
from tests.record_transcripts import Transcript, read_transcripts

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
SETTINGS = RemoteSettings.model_validate(
    {
        "processes": ["python manage.py capture_videos.py"],
        "limits": {"disk": "90%", "memory": 90, "swap": 90, "load": 2, "clock": "1m"},
        "checks": [{"name": "raid", "command": "true"}],
    }
)
TUNNELLED = Remote(
    "capture-1", (), SETTINGS, address="127.0.0.1", port=8001, user="remote_user", path=("tunnel-proxy",)
)
DIRECT = Remote("web-1", (), SETTINGS, address="web.example.com", port=22, user="remote_user")
PROXY = Proxy("tunnel-proxy", "tunnel-proxy", "proxy.example.com", 22, "proxy-user")
CHAINED = Proxy("inner", "inner", "10.0.0.1", None, None, path=("tunnel-proxy",))
UNLISTED = Proxy(
    "me@proxy.example.com:22", "me@proxy.example.com:22", "proxy.example.com", 22, "me", in_inventory=False
)
SUBJECTS: dict[str, Remote | Proxy] = {"tunnelled": TUNNELLED, "direct": DIRECT, "proxy": PROXY}


# -- recorded texts ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("transcript", list(read_transcripts()), ids=lambda transcript: transcript.name)
def test_nobody_is_asked_again_who_refused(transcript: Transcript) -> None:
    """The playbook, which opens the connections to proxies, and the table of causes agree on what is a refusal."""
    cause = cause_of_text(transcript.text, tunnelled=False)
    assert is_refusal(transcript.text) is (cause is not None and cause.declaration.about_trust)


@pytest.mark.parametrize("transcript", list(read_transcripts()), ids=lambda transcript: transcript.name)
def test_a_recorded_text_means_its_cause(transcript: Transcript) -> None:
    """Each text that OpenSSH printed for a real failure is read as that failure, with one telling line of it."""
    answer = HostAnswer(Outcome.SSH_FAILED, stderr=transcript.text, logged_in=transcript.logged_in)
    trouble = diagnose(SUBJECTS[transcript.path], answer)
    assert trouble.cause == transcript.cause
    assert trouble.detail
    assert trouble.detail in one_line(transcript.text, 100_000)


def test_recorded_texts_cover_every_way_and_cause_of_a_failed_connection() -> None:
    """No cause that is read from a text goes without a recording, on each way where it can happen."""
    recorded = {(transcript.path, transcript.cause) for transcript in read_transcripts()}
    both = {"host-key-changed", "host-key-unknown", "authentication-failed", "connection-lost"}
    direct = {"name-unresolved", "connection-refused", "connection-timeout", "no-route"}
    tunnel = {"tunnel-down", "tunnel-stale", "sshd-down"}
    assert recorded >= {("tunnelled", cause) for cause in both | tunnel}
    assert recorded >= {(path, cause) for path in ("direct", "proxy") for cause in both | direct}


def test_the_same_words_mean_another_thing_behind_a_proxy() -> None:
    """A refusal is a tunnel that is down, silence a stale one; for a proxy behind a proxy they are its own."""
    refused, silent = "channel 3: open failed: connect failed: Connection refused", "timed out during banner exchange"
    assert cause_of_text(refused, tunnelled=True) is Cause.TUNNEL_DOWN
    assert cause_of_text(silent, tunnelled=True) is Cause.TUNNEL_STALE
    assert diagnose(CHAINED, HostAnswer(Outcome.SSH_FAILED, stderr=refused)).cause is Cause.CONNECTION_REFUSED
    assert diagnose(CHAINED, HostAnswer(Outcome.SSH_FAILED, stderr=silent)).cause is Cause.CONNECTION_TIMEOUT
    assert diagnose(CHAINED, HostAnswer(Outcome.TIMED_OUT)).cause is Cause.CONNECTION_TIMEOUT


def test_what_accepts_and_says_nothing_is_not_called_off() -> None:
    """A frozen machine still accepts connections; behind a proxy nobody knows who did."""
    silent = HostAnswer(Outcome.SSH_FAILED, stderr="Connection timed out during banner exchange")
    assert "accepts connections" in diagnose(DIRECT, silent).message
    assert "accepts connections" not in diagnose(CHAINED, silent).message


# -- outcomes without a telling text ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        (HostAnswer(Outcome.PROXY_DOWN, proxy="tunnel-proxy"), Cause.PROXY_UNREACHABLE),
        (HostAnswer(Outcome.TIMED_OUT, logged_in=True), Cause.PROBE_TIMEOUT),
        (HostAnswer(Outcome.TIMED_OUT, logged_in=True, stderr="Connection refused"), Cause.PROBE_TIMEOUT),
        (HostAnswer(Outcome.TIMED_OUT), Cause.TUNNEL_STALE),
        (HostAnswer(Outcome.TIMED_OUT, proxy_lost=True), Cause.NOT_CHECKED),
        (HostAnswer(Outcome.TOO_MUCH, logged_in=True), Cause.PROBE_TIMEOUT),
        (
            HostAnswer(Outcome.NO_PROBE_OUTPUT, logged_in=True, noise="This account is not available."),
            Cause.PROBE_FAILED,
        ),
        (HostAnswer(Outcome.SSH_FAILED, logged_in=True), Cause.PROBE_FAILED),
        (HostAnswer(Outcome.SSH_FAILED, logged_in=True, frame=True), Cause.CONNECTION_LOST),
        (HostAnswer(Outcome.SSH_FAILED, proxy_lost=True), Cause.NOT_CHECKED),
        (HostAnswer(Outcome.SSH_FAILED, proxy_lost=True, logged_in=True, frame=True), Cause.NOT_CHECKED),
        (HostAnswer(Outcome.SSH_FAILED, proxy_lost=True, stderr="Permission denied (publickey)."), None),
        (HostAnswer(Outcome.SSH_FAILED), Cause.CONNECTION_LOST),
        (HostAnswer(Outcome.ERROR, stderr="no ssh"), Cause.CHECKER_ERROR),
    ],
)
def test_an_outcome_says_what_no_text_says(answer: HostAnswer, cause: Cause | None) -> None:
    """A silent failure is placed by how far it came; a refusal stays one, even when the proxy was lost later."""
    assert diagnose(TUNNELLED, answer).cause is (cause or Cause.AUTHENTICATION_FAILED)


def test_no_answer_is_a_check_result_too() -> None:
    """What was not checked is unknown, and its processes are unknown and not missing."""
    result = read_remote(TUNNELLED, None, NOW)
    assert result.status is Status.UNKNOWN
    assert result.trouble
    assert result.trouble.cause is Cause.NOT_CHECKED
    assert [process.running for process in result.processes] == [None]
    assert read_proxy(PROXY, None, NOW).status is Status.UNKNOWN


@pytest.mark.parametrize("cause", [cause for cause in Cause if cause.status is Status.DOWN])
def test_the_processes_of_an_unreachable_remote_are_unknown(cause: Cause) -> None:
    """Whatever keeps the checker out, a process is never called missing for it."""
    texts = {transcript.cause: transcript.text for transcript in read_transcripts()}
    result = read_remote(TUNNELLED, RemoteAnswer(Outcome.SSH_FAILED, stderr=texts.get(cause, "")), NOW)
    assert [process.running for process in result.processes] == [None]


# -- words for people -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cause", Cause)
def test_every_cause_has_a_sentence_and_a_hint(cause: Cause) -> None:
    """Each cause tells what happened and what to try, with the subject's own name, address and port filled in."""
    for subject in (TUNNELLED, DIRECT, PROXY, CHAINED, UNLISTED):
        trouble = explain(cause, subject, names=["a", "b"])
        words = f"{trouble.message} {trouble.hint}"
        assert trouble.message.endswith(".")
        assert trouble.hint
        assert not {"{", "}", "None"} & set(words.replace("{", " { ").replace("}", " } ").split()), words
        assert "@me@" not in words
        assert "me@me@" not in words
    commands = explain(cause, replace(DIRECT, name="x;id"), names=["a", "b"]).hint.split("`")[1::2]
    assert not [one for one in commands if "x;id" in one.replace("'x;id'", "")], "a shell would run the name"


def test_the_owner_of_the_offered_key_is_named() -> None:
    """Behind a proxy the hint leads to the port, elsewhere to the address; one's own name is no other remote."""
    text = "Host key for capture-1 has changed and you have requested strict checking."
    answer = HostAnswer(Outcome.SSH_FAILED, stderr=text, answered_by=("capture-1", "capture-2"))
    trouble = diagnose(TUNNELLED, answer)
    assert trouble.cause is Cause.HOST_KEY_CHANGED
    assert trouble.message.startswith("capture-2 answers in the place of capture-1")
    assert "sport = :8001" in trouble.hint
    assert "web.example.com" in diagnose(DIRECT, answer).hint
    nobody = diagnose(TUNNELLED, replace(answer, answered_by=("capture-1",)))
    assert "remotestatus trust capture-1" in nobody.hint


@pytest.mark.parametrize(
    ("subject", "text", "words"),
    [
        (TUNNELLED, "channel 3: open failed: administratively prohibited: open failed", "forwarding to port 8001"),
        (CHAINED, "channel 3: open failed: administratively prohibited: open failed", "The proxy tunnel-proxy does"),
        (DIRECT, "Unable to negotiate with h port 22: no matching cipher found.", "no common SSH algorithm"),
        (PROXY, "Unable to negotiate with h port 22: no matching cipher found.", "no common SSH algorithm"),
        (PROXY, 'Load key "/k": bad permissions\nPermission denied (publickey).', "(bad permissions)"),
        (PROXY, "me@h: Permission denied (publickey).", "refuses the log-in of"),
        (DIRECT, "me@prohibited: Permission denied (publickey).", "refuses the log-in of"),
    ],
)  # fmt: skip
def test_a_refused_log_in_says_what_was_refused(subject: Remote | Proxy, text: str, words: str) -> None:
    """A proxy's rule, a missing algorithm and an unusable key are told apart, for remotes and proxies alike."""
    trouble = diagnose(subject, HostAnswer(Outcome.SSH_FAILED, stderr=text))
    assert trouble.cause is Cause.AUTHENTICATION_FAILED
    assert words in trouble.message


def test_a_trouble_names_the_proxy_that_did_not_answer() -> None:
    """The proxy is a field of its own, and what an older version stored without it can be read."""
    assert diagnose(TUNNELLED, HostAnswer(Outcome.PROXY_DOWN, proxy="inner")).proxy == "inner"
    assert explain(Cause.TUNNEL_DOWN, TUNNELLED).proxy == ""
    stored = b'{"cause": "proxy-unreachable", "message": "Not checked.", "hint": "", "detail": ""}'
    assert TypeAdapter(Trouble).validate_json(stored) == Trouble(Cause.PROXY_UNREACHABLE, "Not checked.")


def test_the_documents_table_has_a_row_for_each_cause() -> None:
    """Each row has its code, status, what was seen and what to do, with no placeholder left."""
    head, rule, *rows = causes_table().splitlines()
    assert head.count("|") == rule.count("|") == 5
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    assert [(code, status) for code, status, _, _ in cells] == [(f"`{cause}`", cause.status) for cause in Cause]
    assert all(seen and hint and not {"{", "}"} & set(seen + hint) for _, _, seen, hint in cells)


def test_a_rule_is_for_who_logs_in_and_says_so_where_nobody_knows() -> None:
    """The line for doas.conf names the user; a connection without one has the word that has to be replaced."""
    refused = HostAnswer(Outcome.BECOME_FAILED, logged_in=True)
    known, unknown = (
        diagnose(replace(TUNNELLED, become_method="doas", user=user), refused) for user in ("remote_user", None)
    )
    assert known.message.startswith("Logged in to capture-1 as remote_user, but doas")
    assert "`permit nopass remote_user as root cmd /bin/sh`" in known.hint
    assert unknown.message.startswith("Logged in to capture-1, but doas")
    assert "`permit nopass USER as root cmd /bin/sh`" in unknown.hint


def test_the_rule_is_of_the_program_that_refused_and_is_none_where_that_is_missing() -> None:
    """polkit's for run0, with its braces; no rule helps where the shell finds no such program."""
    remote = replace(TUNNELLED, become_method="community.general.run0", user="box")
    said = "Failed to start transient service unit: Interactive authentication required."
    refused = diagnose(remote, HostAnswer(Outcome.BECOME_FAILED, stderr=said, logged_in=True))
    assert "subject.user == 'box') return polkit.Result.YES; });`" in refused.hint
    for shell in ("bash: line 1: run0: command not found", "sh: 1: run0: not found", "fish: Unknown command: run0"):
        missing = diagnose(remote, HostAnswer(Outcome.BECOME_FAILED, stderr=shell, logged_in=True))
        assert "ansible_become_exe" in missing.hint
    sudo = HostAnswer(Outcome.BECOME_FAILED, stderr="sudo: /bin/sh: command not found", logged_in=True)
    assert "visudo" in diagnose(replace(remote, become_method="sudo"), sudo).hint


def test_evidence_is_the_telling_line() -> None:
    """Of all that ssh prints the line that the cause was read from is shown, not the frame around it."""
    texts = {transcript.name: transcript.text for transcript in read_transcripts()}
    changed = evidence(next(text for name, text in texts.items() if name.endswith("tunnelled-key-changed")))
    assert changed.endswith("has changed and you have requested strict checking.")
    assert evidence("Authenticated to h.\nKilled by signal 15.\n") == ""
    assert evidence("something new\nand its last line\n") == "and its last line"
    cut = HostAnswer(Outcome.NO_PROBE_OUTPUT, stderr="Authenticated to h.\nTransferred: sent 2 bytes", frame=True)
    assert diagnose(TUNNELLED, cut).detail == ""


# -- what the playbook adds -------------------------------------------------------------------------------------------


def test_a_jump_without_a_connection_is_the_proxys_fault() -> None:
    """The text that a jump prints without a connection is known to the diagnosis."""
    assert diagnose(TUNNELLED, HostAnswer(Outcome.SSH_FAILED, stderr=PROXY_LOST)).cause is Cause.NOT_CHECKED


def test_a_key_has_owners(tmp_path: Path) -> None:
    """Plain lines with that key name their hosts; hashed names, markers, comments and broken lines name nobody."""
    key = make_key(tmp_path / "key", "any")
    kind, one = key.public.split()
    known_hosts = tmp_path / "known_hosts"
    known_hosts.write_text(
        f"capture-1,capture-2 {kind} {one} a comment\n|1|abc=|def= {kind} {one}\n# {one} {one} {one}\n"
        f"@revoked capture-3 {kind} {one}\nweb-1 {kind} AAAA%\nweb-2 {kind} AAAA\n\nhalf\n"
    )
    offered = f"The fingerprint for the ED25519 key sent by the remote host is\n{key.fingerprint}.\nPlease contact"
    assert owners_of_offered_key(offered, known_hosts) == ("capture-1", "capture-2")
    assert owners_of_offered_key(offered, tmp_path / "none") == ()
    assert owners_of_offered_key("no key was offered", known_hosts) == ()


def test_a_proxys_refusal_is_found_in_the_log_of_its_connection(tmp_path: Path) -> None:
    """The last word on one address and port counts, and a later success takes an earlier refusal back."""
    log = tmp_path / "abc.log"
    lines = [
        "debug1: channel_connect_stdio_fwd: 127.0.0.1:8001",
        "debug1: channel 2: new stdio-forward [stdio-forward] (inactive timeout: 0)",
        "debug1: channel_connect_stdio_fwd 127.0.0.1:8002",  # OpenSSH 8.4
        "debug1: channel 3: new stdio-forward [stdio-forward] (inactive timeout: 0)",
        "channel 3: open failed: administratively prohibited: open failed",
        "channel 2: open failed: connect failed: Connection refused",
    ]
    log.write_text("\r\n".join(lines))
    assert find_refusals(log).get("127.0.0.1:8001", "") == "channel 2: open failed: connect failed: Connection refused"
    assert find_refusals(log).get("127.0.0.1:8002", "").endswith("administratively prohibited: open failed")
    assert find_refusals(log).get("127.0.0.1:800", "") == ""
    log.write_text("\r\n".join([*lines, *lines[:2]]))
    assert find_refusals(log).get("127.0.0.1:8001", "") == ""
    reused = [*lines[:2], lines[2], lines[1], "channel 2: open failed: connect failed: No route to host"]
    log.write_text("\r\n".join(reused))
    assert find_refusals(log).get("127.0.0.1:8001", "") == ""
    assert find_refusals(log).get("127.0.0.1:8002", "").endswith("No route to host")
    assert find_refusals(tmp_path / "none").get("127.0.0.1:8001", "") == ""


# -- anything at all --------------------------------------------------------------------------------------------------

REMOTE_ANSWERS = AnswerFiles(Path("nowhere"), "remotes", RemoteAnswer)
PROXY_ANSWERS = AnswerFiles(Path("nowhere"), "proxies", ProxyAnswer)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
OUTCOMES = st.sampled_from(
    ["answered", "proxy-down", "error", "timed-out", "too-much", "no-probe-output", "ssh-failed", "other"]
)
PIECES = st.sampled_from(
    [
        "Permission denied",
        "Connection refused",
        "kex_exchange_identification",
        "\x00",
        "\x1b[31m",
        "\r\n",
        "\u202e",
        "\ud800",
    ]
)
TEXTS = st.lists(PIECES | st.text(), max_size=6).map("".join)
PROCESSES = st.fixed_dictionaries(
    {"pid": ANYTHING}, optional=dict.fromkeys(["ppid", "argv", "user", "rss_kb"], ANYTHING)
)
FACTS = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(["load", "memory_total_kb", "disks", "notes", "cpus", "uptime_seconds"], ANYTHING)
)
ANSWERS = st.fixed_dictionaries(
    {},
    optional={
        "outcome": OUTCOMES | ANYTHING,
        "stderr": TEXTS | ANYTHING,
        "noise": TEXTS | ANYTHING,
        "facts": FACTS | ANYTHING,
        "processes": st.lists(PROCESSES, max_size=3) | ANYTHING,
        **dict.fromkeys(
            ["logged_in", "frame", "attempts", "connect_ms", "answered_by", "proxy_lost", "checks"], ANYTHING
        ),
    },
)


@given(answer=ANSWERS)
@example(answer={"outcome": "answered", "facts": {}, "processes": [{"pid": "x"}]})
@example(answer={"outcome": "answered", "facts": {"memory_total_kb": 10**400}})
@example(answer={"outcome": "answered", "facts": {"load": [float("nan"), 1, 1]}})
@example(answer={"attempts": float("nan"), "connect_ms": float("inf"), "outcome": "answered", "facts": {}})
def test_any_answer_is_a_check_result(answer: dict[str, Any]) -> None:
    """Whatever JSON an answer is, a check result comes of it; if it is not up, with a cause and short evidence."""
    text = json.dumps(answer).encode()
    read = REMOTE_ANSWERS.read(text)
    for remote in (TUNNELLED, DIRECT):
        result = read_remote(remote, read, NOW)
        assert (result.status is Status.UP) == (not result.troubles)
        if answer.get("outcome") != "answered":
            assert result.troubles
        for trouble in result.troubles:
            assert trouble.message
            assert len(trouble.detail) <= 300
            assert not any(character in trouble.detail for character in "\x00\x1b\r\n\u202e")
    for proxy in (PROXY, CHAINED, UNLISTED):
        assert read_proxy(proxy, PROXY_ANSWERS.read(text), NOW).name == proxy.name


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no JSON",
        "[]",
        "[" * 100_000,
        '{"outcome": "of another version"}',
        '{"outcome": "answered", "facts": {"uptime_seconds": 1e300}}',
        '{"outcome": "answered", "facts": {"cpus": "4"}}',
        '{"outcome": "answered", "facts": {"load": [NaN, 1, 1]}}',
        '{"outcome": "answered", "facts": {"memory_total_kb": 9' + "0" * 400 + "}}",
        '{"outcome": "answered", "facts": {}, "processes": [{"pid": 1}]}',
    ],
)
def test_an_answer_that_cannot_be_read_costs_one_remote(text: str) -> None:
    """What another version or a forger sends is our own fault, of that one remote, and says what was wrong."""
    trouble = read_remote(TUNNELLED, REMOTE_ANSWERS.read(text.encode()), NOW).trouble
    assert trouble is not None
    assert trouble.cause is Cause.CHECKER_ERROR
    assert "its answer cannot be read" in trouble.detail


@given(text=st.text() | TEXTS, limit=st.integers(1, 400))
def test_any_text_becomes_one_short_line(text: str, limit: int) -> None:
    """Folding leaves nothing that could move a terminal's cursor, turn the text round or start a new line."""
    line = one_line(text, limit)
    assert len(line) <= limit
    assert len(line.splitlines()) <= 1
    assert not any(ord(character) < 32 or 0x7F <= ord(character) < 0xA0 for character in line)
    assert one_line(line, limit) == line


# -- the checker's own faults -----------------------------------------------------------------------------------------

OWN_FAULTS = {
    "timeout: failed to run command 'ssh': No such file or directory": "the program ssh could not be started",
    "the program timeout could not be started: No such file or directory": "there is no program timeout",
    "/bin/sh: 1: exec: timeout: not found": "there is no program timeout",
    "/bin/sh: line 1: exec: timeout: not found": "there is no program timeout",
    "the askpass may not be executed: /x/askpass": "hands ssh the password",
    "Bad owner or permissions on /home/me/.ssh/config": "refuses a configuration file",
    "Can't open user config file /x: No such file or directory": "refuses a configuration file",
    "/home/me/.ssh/config: line 2: Bad configuration option: nosuch": "does not take an option",
    "/x: terminating, 1 bad configuration options": "does not take an option",
    "command-line line 0: Bad port 'abc'.": "does not take an option",
    "unknown option -- 9\nusage: ssh [-46AaCfGgKkMNnqsTtVvXxYy]": "does not take an option",
    "vdollar_percent_expand: unknown key %z\npercent_expand: failed": "does not take an option",
    "ssh_askpass: exec(/x/askpass): Permission denied\nPermission denied (password).": "hands ssh the password",
    "/bin/sh: 1: exec: cloudflared: not found\nkex_exchange_identification: Connection closed": "its ProxyCommand",
    "/bin/bash: line 1: /opt/dial: No such file or directory": "its ProxyCommand",
    "/bin/bash: line 1: exec: /opt/dial: cannot execute: Permission denied": "its ProxyCommand",
    "zsh:1: command not found: cloudflared": "its ProxyCommand",
    'unix_listener: path "/long" too long for Unix domain socket': "no room for the socket",
}


@pytest.mark.parametrize("text", OWN_FAULTS)
def test_a_fault_of_the_checkers_own_is_held_against_nobody_else(text: str) -> None:
    """Remote and proxy are unknown, with what is wrong on the checker and its cure; the line that says it is shown."""
    for outcome in (Outcome.ERROR, Outcome.SSH_FAILED):
        for subject in (TUNNELLED, DIRECT, PROXY):
            trouble = diagnose(subject, HostAnswer(outcome, stderr=f"{text}\n"))
            assert trouble.cause is Cause.CHECKER_ERROR
            assert OWN_FAULTS[text] in trouble.message
            assert trouble.detail == text.splitlines()[0]
            assert trouble.hint
    after = HostAnswer(Outcome.SSH_FAILED, stderr=f"Authenticated to h.\n{text}", logged_in=True)
    assert diagnose(TUNNELLED, after).cause is not Cause.CHECKER_ERROR


def test_what_no_text_tells_is_no_fault_of_the_checkers() -> None:
    """Texts of real failures that lie elsewhere are never taken for the checker's own fault."""
    for transcript in read_transcripts():
        assert local_fault(transcript.text) is None, transcript.name


KEY_EXCHANGE = (
    "** WARNING: connection is not using a post-quantum key exchange algorithm.\n"
    '** This session may be vulnerable to "store now, decrypt later" attacks.\n'
    "** The server may need to be upgraded. See https://openssh.com/pq.html\n"
    '/etc/ssh/ssh_config line 53: Unsupported option "gssapiauthentication"\r\n'
    '/home/me/.ssh/config line 2: Deprecated option "useroaming"\n'
)


def test_a_warning_about_key_exchange_is_no_evidence() -> None:
    """
    What OpenSSH 10.1 and later print of each connection that is not post-quantum is left out wherever it stands, and so
    is what it warns of its configuration before it goes on.
    """
    assert without_warnings(KEY_EXCHANGE) == ""
    assert without_warnings(f"before\n{KEY_EXCHANGE}after") == "before\nafter"
    assert evidence(KEY_EXCHANGE) == ""
    for transcript in read_transcripts():
        subject, outcome = SUBJECTS[transcript.path], Outcome.SSH_FAILED
        text = f"{KEY_EXCHANGE}{transcript.text}{KEY_EXCHANGE}"
        found = diagnose(subject, HostAnswer(outcome, stderr=text, logged_in=transcript.logged_in))
        assert found == diagnose(subject, HostAnswer(outcome, stderr=transcript.text, logged_in=transcript.logged_in))
