"""
The text of known_hosts files: read as OpenSSH reads them, and changed without losing what somebody else wrote there.
"""

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from remotestatus.setup import known_hosts
from remotestatus.setup.known_hosts import HostKey
from tests.lab.keys import make_key

ONE = HostKey("ssh-ed25519", "AAAAC3NzaC1lZDI1NTE5AAAAIOelUi15bcsmNLr3L4RskUjaJHXA7hn4oV1C5lLJQM0G")
OTHER = HostKey("ssh-ed25519", "AAAAC3NzaC1lZDI1NTE5AAAAIPP7AKQ9DsOe4bFRoqhXLGbmE/dqWR0x2sMCv7ncJ67o")


@pytest.mark.parametrize("key_type", ["ed25519", "ecdsa", "rsa"])
def test_a_fingerprint_is_the_one_that_ssh_keygen_shows(tmp_path: Path, key_type: str) -> None:
    """For every type of host key, fingerprint and type read as in `ssh-keygen -l`."""
    subprocess.run(["ssh-keygen", "-q", "-t", key_type, "-N", "", "-f", tmp_path / "key"], check=True)
    text = f"box {(tmp_path / 'key.pub').read_text()}"
    shown = subprocess.run(["ssh-keygen", "-lf", tmp_path / "key"], check=True, capture_output=True, text=True).stdout
    (key,) = known_hosts.keys_of(text, "box")
    assert [key.fingerprint, f"({key.kind})"] == [shown.split()[1], shown.split()[-1]]
    assert list(known_hosts.list_keys(text)) == [(key, ("box",))]


def test_a_hashed_name_is_found(tmp_path: Path) -> None:
    """What `ssh-keygen -H` made of the names still speaks of them, of no others, and can't be named."""
    key = make_key(tmp_path / "key", "")
    path = tmp_path / "known_hosts"
    path.write_text(f"capture-1 {key.public}\n")
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", path], check=True, capture_output=True)
    text = path.read_text()
    assert "capture-1" not in text
    assert known_hosts.keys_of(text, "capture-1")
    assert not known_hosts.keys_of(text, "capture-2")
    assert [names for _, names in known_hosts.list_keys(text)] == [()]
    assert known_hosts.keys_of(known_hosts.replace(text, "capture-1", OTHER), "capture-1") == (OTHER,)


NAMES = {
    # names of a line: (found, not found)
    "box": (["box", "Box"], ["box2", "abox", "[box]:22"]),
    "box,10.0.0.5": (["box", "10.0.0.5"], ["10.0.0.50"]),
    "[gate]:2222": (["[gate]:2222"], ["gate", "g:2222"]),
    "*.example.com,!bad.example.com": (["a.example.com"], ["bad.example.com", "example.com"]),
    "cam-?": (["cam-1"], ["cam-", "cam-10"]),
    "|1|not base64|x": ([], ["|1|not base64|x", "box"]),
}


@pytest.mark.parametrize("names", NAMES)
def test_names_are_patterns_as_in_openssh(names: str) -> None:
    """Lists, ports, wildcards and exceptions mean what sshd(8) says."""
    found, not_found = NAMES[names]
    text = f"{names} {ONE} a comment\n"
    assert [name for name in found if known_hosts.keys_of(text, name) != (ONE,)] == []
    assert [name for name in not_found if known_hosts.keys_of(text, name)] == []


@pytest.mark.parametrize(
    "line",
    ["", "# box", "box", "box ssh-ed25519", "box ssh-ed25519 ???", f"box ssh-rsa {ONE.blob}", f"@revoked box {ONE}"],
)
def test_what_trusts_no_key_is_no_key(line: str) -> None:
    """Comments, half lines, keys that are not of their type and revoked ones trust nobody, and are kept."""
    assert known_hosts.keys_of(line, "box") == ()
    assert list(known_hosts.list_keys(line)) == []
    assert known_hosts.add(line, "box", ONE).startswith(line)
    assert known_hosts.replace(line, "box", ONE).startswith(line)


def test_a_key_is_added_once_and_on_a_line_of_its_own() -> None:
    """A missing newline at the end does not glue two lines together; what is there already is not written again."""
    text = known_hosts.add("# ours\nother " + str(OTHER), "box", ONE)
    assert text == f"# ours\nother {OTHER}\nbox {ONE}\n"
    assert known_hosts.add(text, "box", ONE) == text


REPLACED = {
    # before: after, when `box` gets another key
    f"box {ONE} old\nnext {ONE}\n": f"next {ONE}\nbox {OTHER}\n",
    f"box,twin {ONE} both\n": f"twin {ONE} both\nbox {OTHER}\n",
    f"* {ONE}\n": f"* {ONE}\nbox {OTHER}\n",
    f"@cert-authority * {ONE}\nbox {ONE}\n": f"@cert-authority * {ONE}\nbox {OTHER}\n",
    f"# about box\nbox {ONE}\nbox {OTHER}\n": f"# about box\nbox {OTHER}\n",
}


@pytest.mark.parametrize("before", REPLACED)
def test_a_replaced_key_leaves_all_others_alone(before: str) -> None:
    """Only what the host had by its own name goes; its neighbours, patterns, authorities and comments stay."""
    assert known_hosts.replace(before, "box", OTHER) == REPLACED[before]


def test_a_certificate_authority_lets_a_host_be_known() -> None:
    """A host may be known by no key of its own."""
    text = f"@cert-authority *.example.com {ONE}\n"
    assert known_hosts.is_known(text, "a.example.com")
    assert not known_hosts.is_known(text, "box")
    assert known_hosts.keys_of(text, "a.example.com") == ()


@settings(deadline=None, max_examples=60)
@given(st.lists(st.one_of(st.text(max_size=60), st.sampled_from([f"box {ONE}", f"a,box {ONE} x", "|1|x|y z z"]))))
def test_any_text_can_be_read_and_changed(lines: list[str]) -> None:
    """Whatever the file holds: nothing fails, the new key is the host's, and every line about others is kept."""
    text = "\n".join(lines)
    changed = known_hosts.replace(text, "box", OTHER)
    assert OTHER in known_hosts.keys_of(changed, "box")
    kept = [line for line in text.split("\n") if line and "box" not in line]
    assert [line for line in changed.split("\n") if line and "box" not in line and "a ssh" not in line] == kept


def test_the_file_keeps_its_owner_and_its_symbolic_link(tmp_path: Path) -> None:
    """A changed file is a new one, which belongs to whom the old one did; a link goes on to lead to it."""
    path, link = tmp_path / "shared", tmp_path / "known_hosts"
    path.write_text(f"box {ONE}\n")
    if os.geteuid() == 0:
        os.chown(path, 1234, 2345)
    before = path.stat()
    link.symlink_to(path)
    known_hosts.change_file(link, lambda text: known_hosts.replace(text, "box", OTHER))
    assert link.is_symlink()
    assert path.read_text() == f"box {OTHER}\n"
    assert (path.stat().st_uid, path.stat().st_gid) == (before.st_uid, before.st_gid)
    assert path.stat().st_mode & 0o777 == 0o644
    assert sorted(tmp_path.iterdir()) == [link, path]


def test_untrusted_names_are_those_without_a_key(tmp_path: Path) -> None:
    """A revoked key trusts nobody, and a file that is not there trusts nobody either."""
    path = tmp_path / "known_hosts"
    assert known_hosts.find_untrusted(path, ["box"]) == ["box"]
    path.write_text(f"box {ONE}\n@revoked gate {ONE}\n@cert-authority cam-* {ONE}\n")
    assert known_hosts.find_untrusted(path, ["box", "gate", "cam-1", "web"]) == ["gate", "web"]
