"""
One whole round against real SSH servers: inventory, proxy, probe, history, page, one message.
"""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml

from tests.lab import Command, Lab, SmtpSink, require_root

CAPTURE = f"python manage.py capture_{uuid4().hex}.py"
"""Its own name in each test process: the remotes of all labs share one process table."""


def status_json(lab: Lab) -> dict[str, Any]:
    """What the round wrote for machines."""
    document: dict[str, Any] = json.loads((lab.directory / "site" / "status.json").read_text())
    return document


def by_name(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The document's remotes by name."""
    return {remote["name"]: remote for remote in document["remotes"]}


def run(remotestatus: Command, inventory: Path, *more: str | Path) -> subprocess.CompletedProcess[str]:
    """Run one round that has to be done and recorded."""
    done = remotestatus("run", "-i", inventory, *more)
    assert done.returncode == 0, done.stderr + done.stdout
    return done


def test_one_round_tells_the_truth_about_every_kind_of_remote(lab: Lab, remotestatus: Command) -> None:
    """Proxied, chained, differently proxied, direct and local remotes each get their own true reading."""
    lab.proxy("outer")
    lab.proxy("inner")
    lab.remote("capture-1", proxy="outer", processes=[CAPTURE, "ssh-is-not-sshd"])
    lab.remote("upload-1", proxy="inner").cut_tunnel()
    lab.remote("chained-1", proxy=["outer", "inner"], processes=["python manage.py chained.py"])
    lab.direct("web-1", processes=["python manage.py serve.py"]).stop_process("python manage.py serve.py")
    lab.local("here", processes=["python manage.py local.py"])
    inventory = lab.write_inventory()

    run(remotestatus, inventory)

    document = status_json(lab)
    remotes = by_name(document)
    assert {name: remote["status"] for name, remote in remotes.items()} == {
        "capture-1": "up",
        "upload-1": "down",
        "chained-1": "up",
        "web-1": "degraded",
        "here": "up",
    }
    assert remotes["upload-1"]["cause"]["code"] == "tunnel-down"
    assert remotes["web-1"]["cause"]["code"] == "process-missing"
    assert remotes["upload-1"]["proxy"] == "inner"
    assert {proxy["name"]: proxy["status"] for proxy in document["proxies"]} == {
        "outer": "up",
        "inner": "up",
        "inner (through outer)": "up",
    }
    assert document["summary"] == {"up": 3, "degraded": 1, "down": 1, "unknown": 0, "maintenance": 0}
    assert lab.proxies["outer"].logins() == 1
    assert lab.proxies["inner"].logins() == 2  # on two ways: directly, and through the outer proxy
    assert all(process["running"] is None for process in remotes["upload-1"]["processes"])


def test_a_proxy_tells_of_itself_and_makes_unknown_what_is_behind_it_when_it_is_dead(
    lab: Lab, remotestatus: Command, smtp_sink: SmtpSink
) -> None:
    """
    A full disk of a proxy that is looked at is its own problem, told once; an account without a shell is none at all.
    Behind a proxy that refuses connections nothing is tried, nothing is called down, and one mail says so.
    """
    lab.proxy("tunnel-proxy", variables={"remotestatus_limits": {"disk": {"/": "0.1%"}}})
    lab.proxy("tunnels-only", sshd_config={"ForceCommand": "/usr/sbin/nologin"})
    for number in range(4):
        lab.remote(f"capture-{number}", processes=[CAPTURE])
    inventory = lab.write_inventory(remotestatus_apprise=[smtp_sink.url], remotestatus_look_at_proxies=True)
    run(remotestatus, inventory)
    document = status_json(lab)
    assert document["summary"]["up"] == 4
    full, silent = document["proxies"]
    assert (full["status"], [one["what"] for one in full["troubles"]]) == ("degraded", ["disk /"])
    assert full["facts"]["cpus"] == os.cpu_count()
    assert (silent["status"], silent["facts"], silent["advice"]) == ("up", {}, [])
    assert "its account has no shell that runs the probe" in silent["notes"][0]
    [told] = smtp_sink.wait_for(1)
    assert "1 degraded (warning): tunnel-proxy" in str(told["Subject"])
    words = told.get_body(("plain",))
    assert words is not None
    assert "The proxy tunnel-proxy is degraded (warning): over its limits: disk / " in words.get_content()
    assert "capture" not in words.get_content()
    assert "behind it" not in words.get_content()
    matched = remotestatus("match", "tunnel-proxy", CAPTURE, "-i", inventory)
    assert (matched.returncode, f"{CAPTURE}: 4 running" in matched.stdout) == (0, True), matched.stdout + matched.stderr

    lab.proxies["tunnel-proxy"].stop()
    run(remotestatus, inventory)

    document = status_json(lab)
    assert document["summary"]["unknown"] == 4
    assert {remote["cause"]["code"] for remote in document["remotes"]} == {"proxy-unreachable"}
    assert {process["running"] for remote in document["remotes"] for process in remote["processes"]} == {None}
    proxy = document["proxies"][0]
    assert proxy["status"] == "down"
    assert proxy["cause"]["code"] == "connection-refused"
    mail = smtp_sink.wait_for(2)[1]
    assert "tunnel-proxy" in str(mail["Subject"])
    body = mail.get_body(("plain",))
    assert body is not None
    text = body.get_content()
    assert "4 remotes behind it" in text
    assert text.count("is down") == 1
    assert "limits" not in text


def test_one_mail_a_round_and_none_when_nothing_changed(lab: Lab, remotestatus: Command, smtp_sink: SmtpSink) -> None:
    """A real mail server gets one message for what went wrong, none while it stays so, and one when it is over."""
    capture = lab.remote("capture-1", processes=[CAPTURE])
    lab.remote("capture-2").cut_tunnel()
    inventory = lab.write_inventory(remotestatus_apprise=[smtp_sink.url])
    capture.stop_process(CAPTURE)

    run(remotestatus, inventory)
    [first] = smtp_sink.wait_for(1)
    assert "capture-1" in str(first["Subject"])
    assert "capture-2" in str(first["Subject"])
    run(remotestatus, inventory)
    assert len(smtp_sink.messages) == 1
    capture.start_process(CAPTURE)
    run(remotestatus, inventory)
    second = smtp_sink.wait_for(2)[1]
    assert "1 recovered" in str(second["Subject"])


def test_a_mail_goes_to_the_tags_that_the_remote_names(lab: Lab, remotestatus: Command, smtp_sink: SmtpSink) -> None:
    """A remote with `notify` tags is told to destinations of these tags only."""
    lab.remote("capture-1", variables={"remotestatus_notify": ["video"]}).cut_tunnel()
    with SmtpSink() as others:
        inventory = lab.write_inventory(
            remotestatus_apprise=[
                {"url": smtp_sink.url, "tags": ["video"], "name": "video people"},
                {"url": others.url, "name": "others"},
            ]
        )
        run(remotestatus, inventory)
        assert len(smtp_sink.wait_for(1)) == 1
        assert others.messages == []


def test_passwords_work_without_sshpass_and_stay_out_of_everything_written(
    lab: Lab, remotestatus: Command, smtp_sink: SmtpSink, tmp_path: Path
) -> None:
    """A remote that only takes passwords is reached, and neither files, output nor messages hold the password."""
    require_root("a temporary account with a password")
    secret = "correct-horse-battery-staple"
    wrong = "this-one-is-not-right-4711"
    lab.remote("right", password=secret, processes=[CAPTURE])
    refused = lab.remote("wrong", password="whatever-it-was")
    refused.change_password("another-one-now")
    inventory = lab.write_inventory(remotestatus_apprise=[f"{smtp_sink.url}&pass=mail-secret-0815&user=someone"])
    inventory_files = [path for path in inventory.rglob("*") if path.is_file()]

    done = remotestatus("run", "-i", inventory, environment={"TMPDIR": str(lab.scratch)})

    remotes = by_name(status_json(lab))
    assert remotes["right"]["status"] == "up"
    assert remotes["wrong"]["cause"]["code"] == "authentication-failed"
    written = [
        path
        for folder in (lab.directory / "site", remotestatus.home)
        for path in folder.rglob("*")
        if path.is_file() and path not in inventory_files
    ]
    written.append(lab.directory / "history.sqlite3")
    everything = done.stdout + done.stderr + "".join(path.read_bytes().decode("latin-1") for path in written)
    everything += "".join(message.as_string() for message in smtp_sink.messages)
    for password in (secret, wrong, "whatever-it-was", "another-one-now", "mail-secret-0815"):
        assert password not in everything
    assert list(lab.scratch.glob("rs-*")) == []


def test_vault_templates_and_several_files_mean_what_they_mean_in_a_play(
    lab: Lab, remotestatus: Command, tmp_path: Path
) -> None:
    """A directory of YAML, INI and executable inventories, with group_vars, host_vars, Vault and templates, is read."""
    capture = lab.remote("capture-1", processes=[])
    inventory = lab.write_inventory()
    host = yaml.safe_load((inventory / "remotes.yml").read_text())
    assert "capture-1" in json.dumps(host)
    (inventory / "more.ini").write_text("[extra]\nfrom-ini ansible_connection=local\n[extra:vars]\nplace=Attic\n")
    dynamic = inventory / "dynamic.sh"
    dynamic.write_text(
        "#!/bin/sh\n"
        'echo \'{"scripted": {"hosts": ["from-script"], "vars": {"ansible_connection": "local"}}, '
        '"_meta": {"hostvars": {}}}\'\n'
    )
    dynamic.chmod(0o755)
    (inventory / "host_vars").mkdir()
    (inventory / "host_vars" / "from-ini.yml").write_text('remotestatus_location: "{{ place }} {{ vault_floor }}"\n')
    (inventory / "group_vars" / "extra").mkdir(parents=True)
    vault_password = tmp_path / "vault-password"
    vault_password.write_text("open sesame\n")
    vaulted = inventory / "group_vars" / "extra" / "vault.yml"
    vaulted.write_text("vault_floor: vaulted-floor-3\n")
    subprocess.run(
        [
            str(Path(sys.executable).with_name("ansible-vault")),
            "encrypt",
            "--vault-password-file",
            str(vault_password),
            str(vaulted),
        ],
        check=True,
        capture_output=True,
    )

    without = remotestatus("run", "-i", inventory)
    assert without.returncode == 2
    assert "--vault-password-file" in without.stderr
    run(remotestatus, inventory, "--vault-password-file", vault_password)

    remotes = by_name(status_json(lab))
    assert set(remotes) == {"capture-1", "from-ini", "from-script"}
    assert remotes["from-ini"]["location"] == "Attic vaulted-floor-3"
    assert remotes["from-script"]["groups"] == ["scripted"]
    assert capture.logins() == 1


def test_an_ansible_cfg_speaks_for_every_connection(lab: Lab, remotestatus: Command) -> None:
    """User, key file and SSH arguments that only ansible.cfg names hold for the proxy, the remotes and ssh-config."""
    capture = lab.remote("capture-1", processes=[])
    inventory = lab.write_inventory()
    path = inventory / "remotes.yml"
    hosts = yaml.safe_load(path.read_text())
    bare = [host for group in hosts["all"]["children"].values() for host in group["hosts"].values()]
    user, key = bare[0]["ansible_user"], bare[0]["ansible_ssh_private_key_file"]
    for host in bare:
        for name in ("ansible_user", "ansible_ssh_private_key_file"):
            host.pop(name)
    path.write_text(yaml.safe_dump(hosts))
    # Shared connections of Ansible's own, which many an ansible.cfg has, are not ours to use.
    shared = "-o ControlMaster=auto -o ControlPersist=60s -o ControlPath=/nowhere/at/all -o Compression=yes"
    (inventory.parent / "ansible.cfg").write_text(
        f"[defaults]\nremote_user = {user}\nprivate_key_file = {key}\n[ssh_connection]\nssh_args = {shared}\n"
    )

    run(remotestatus, inventory)
    written = remotestatus("ssh-config", "-i", inventory)

    assert by_name(status_json(lab))["capture-1"]["status"] == "up"
    assert capture.logins() == 1
    assert lab.proxies["tunnel-proxy"].logins() == 1
    assert written.stdout.count(f"User {user}") == 2, written.stdout + written.stderr
    assert written.stdout.count(f"IdentityFile {key}") == 2


def test_the_playbook_runs_alone(lab: Lab, remotestatus: Command) -> None:
    """`ansible-playbook -i inventory playbooks/check.yml` reaches every remote through one connection to the proxy."""
    lab.remote("capture-1")
    lab.remote("capture-2").cut_tunnel()
    inventory = lab.write_inventory()
    playbook = Path(__file__).parent.parent / "playbooks" / "check.yml"

    done = subprocess.run(
        [str(Path(sys.executable).with_name("ansible-playbook")), "-i", str(inventory), str(playbook)],
        env=remotestatus.environment | {"TMPDIR": str(lab.scratch)},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )

    assert "ok: [capture-1]" in done.stdout, done.stdout + done.stderr
    assert "[capture-2]: UNREACHABLE" in done.stdout
    assert lab.proxies["tunnel-proxy"].logins() == 1
    assert list(lab.scratch.glob("rs-*")) == []


def test_history_is_one_transaction_a_round(lab: Lab, remotestatus: Command) -> None:
    """After a round the history holds the round, a state for each subject and its transitions, all of one number."""
    lab.local("here")
    run(remotestatus, lab.write_inventory())
    with sqlite3.connect(lab.directory / "history.sqlite3") as db:
        assert db.execute("SELECT count(*) FROM rounds").fetchone() == (1,)
        assert db.execute("SELECT DISTINCT round_id FROM transitions").fetchall() == [(1,)]
        assert db.execute("SELECT name FROM subjects").fetchall() == [("here",)]
    db.close()


INVENTORIES: dict[str, tuple[str, str]] = {
    "broken YAML": ("all:\n  hosts: [unclosed\n", "inventory.yml:3:1: YAML parsing failed"),
    "no hosts": ("all:\n  hosts:\n", "no hosts"),
    "only proxies": ("all:\n  children:\n    proxies:\n      hosts:\n        p: {}\n", "no remotes"),
    "unknown variable": (
        "all:\n  hosts:\n    a: {ansible_connection: local, remotestatus_proceses: [x]}\n",
        "did you mean remotestatus_processes?",
    ),
    "wrong duration": (
        "all:\n  vars: {remotestatus_every: ten}\n  hosts:\n    a: {ansible_connection: local}\n",
        '"ten" is not a duration; write for example 10m or 1h30m',
    ),
    "misspelt hosts key": ("all:\n  host:\n    a: {}\n", "host"),
    "duplicate key": ("all:\n  hosts:\n    a: {}\n    a: {}\n", "a"),
    "undefined template for all": (
        "all:\n  vars: {remotestatus_title: '{{ nobody }}'}\n  hosts:\n    a: {ansible_connection: local}\n",
        "all: remotestatus_title: 'nobody' is undefined",
    ),
    "one vaulted value without the password": (
        "all:\n  hosts:\n    a:\n      ansible_password: !vault |\n        $ANSIBLE_VAULT;1.1;AES256\n        3030\n",
        "(give the Vault password: --vault-password-file FILE, or ANSIBLE_VAULT_PASSWORD_FILE)",
    ),
    "wrong key of a mapping": (
        "all:\n  hosts:\n    a: {ansible_connection: local, remotestatus_maintenance: [{untill: 2026-01-01 00:00}]}\n",
        "remotestatus_maintenance[0].untill: no such key; did you mean until?",
    ),
    "unknown key of a mapping": (
        "all:\n  hosts:\n    a: {ansible_connection: local, remotestatus_processes: [{command: x, zzz: 1}]}\n",
        "zzz: no such key; there are name, words, command, regex, contains, user, min, max",
    ),
    "bad regex": (
        "all:\n  hosts:\n    a: {ansible_connection: local, remotestatus_processes: [{regex: '('}]}\n",
        "is not a regular expression",
    ),
}


@pytest.mark.parametrize("name", INVENTORIES)
def test_a_wrong_inventory_is_a_sentence_with_its_cure(name: str, remotestatus: Command, tmp_path: Path) -> None:
    """Whatever is wrong with the inventory: exit code 2, no traceback, what and where, and nothing was made."""
    text, expected = INVENTORIES[name]
    inventory = tmp_path / "fleet" / "inventory.yml"
    inventory.parent.mkdir()
    inventory.write_text(text)

    done = remotestatus("run", "-i", inventory)

    assert done.returncode == 2, done.stdout + done.stderr
    assert expected in done.stderr
    assert "Traceback" not in done.stderr
    assert list(inventory.parent.iterdir()) == [inventory]


def test_all_problems_of_an_inventory_are_said_at_once(remotestatus: Command, tmp_path: Path) -> None:
    """Several mistakes are listed together, those of a whole group once, each with its group and host."""
    inventory = tmp_path / "inventory.yml"
    inventory.write_text(
        yaml.safe_dump(
            {
                "recorders": {
                    "vars": {"remotestatus_timeout": "soon"},
                    "hosts": {"capture-1": {"remotestatus_proceses": ["x"]}, "capture-2": {}},
                },
                "all": {"vars": {"remotestatus_every": "ten"}},
            }
        )
    )
    done = remotestatus("run", "-i", inventory)
    assert done.returncode == 2
    assert "has 3 problems" in done.stderr
    assert "recorders/capture-1: remotestatus_proceses: no such variable" in done.stderr
    assert "all: remotestatus_every:" in done.stderr


def test_a_password_beside_a_mistake_is_not_quoted(remotestatus: Command, tmp_path: Path) -> None:
    """Ansible quotes the lines around a YAML mistake; a password that stands there does not reach the error."""
    inventory = tmp_path / "inventory.yml"
    inventory.write_text("all:\n  hosts:\n    a:\n      ansible_password: hunter2-secret\n      b: [unclosed\n")
    done = remotestatus("run", "-i", inventory)
    assert done.returncode == 2
    assert "hunter2-secret" not in done.stderr + done.stdout


def test_no_inventory_is_a_sentence(remotestatus: Command, tmp_path: Path) -> None:
    """Without an inventory the error says where it was looked for and how to make one, or where there is one."""
    done = remotestatus("run")
    assert done.returncode == 2
    assert "there is no inventory at inventory" in done.stderr
    assert "remotestatus init" in done.stderr
    (tmp_path / "inventory").mkdir()
    (tmp_path / "inventory" / "remotes.yml").write_text("all: {hosts: {a: {ansible_connection: local}}}")
    (tmp_path / "known_hosts").touch()
    done = remotestatus("run", "-i", tmp_path)
    assert (done.returncode, f"name {tmp_path / 'inventory'} with -i" in done.stderr) == (2, True), done.stderr


def test_a_second_round_waits_its_turn(lab: Lab, remotestatus: Command) -> None:
    """While a round holds the lock another one ends at once with a sentence, exit code 3, and the first is unharmed."""
    lab.remote("slow-1", variables={"remotestatus_timeout": 12}).hang_shell()
    inventory = lab.write_inventory()
    with subprocess.Popen(
        [sys.executable, "-m", "remotestatus", "run", "-i", str(inventory)],
        env=remotestatus.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as first:
        lock = lab.directory / "history.sqlite3.lock"
        while first.poll() is None and not (lock.exists() and lock.read_text().strip()):
            pass
        second = remotestatus("run", "-i", inventory)
        assert second.returncode == 3
        assert f"another round is running (process {first.pid})" in second.stderr
        first.communicate(timeout=60)
        assert first.returncode == 0
    assert by_name(status_json(lab))["slow-1"]["cause"]["code"] == "probe-timeout"


def test_an_unwritable_database_is_a_sentence(lab: Lab, remotestatus: Command) -> None:
    """A history that can't be made stops the round before anything is connected to, with exit code 3."""
    capture = lab.remote("capture-1")
    inventory = lab.write_inventory(remotestatus_database="/proc/nowhere/history.sqlite3")
    done = remotestatus("run", "-i", inventory)
    assert done.returncode == 3
    assert "remotestatus_database" in done.stderr
    assert "Traceback" not in done.stderr
    assert capture.logins() == 0


def test_an_unwritable_site_does_not_cost_the_readings(lab: Lab, remotestatus: Command, smtp_sink: SmtpSink) -> None:
    """When the page can't be written, the round says so (exit code 3); history and messages are there all the same."""
    lab.remote("capture-1").cut_tunnel()
    inventory = lab.write_inventory(remotestatus_site="/proc/site", remotestatus_apprise=[smtp_sink.url])
    done = remotestatus("run", "-i", inventory)
    assert done.returncode == 3
    assert "remotestatus_site" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(smtp_sink.wait_for(1)) == 1
    with sqlite3.connect(lab.directory / "history.sqlite3") as db:
        assert db.execute("SELECT count(*) FROM rounds").fetchone() == (1,)
    db.close()


def test_a_mail_server_that_is_away_costs_nothing_but_time(
    lab: Lab, remotestatus: Command, smtp_sink: SmtpSink
) -> None:
    """A message that could not be sent is kept and sent by a later round."""
    lab.remote("capture-1").cut_tunnel()
    inventory = lab.write_inventory(remotestatus_apprise=[smtp_sink.url])
    smtp_sink.stop()
    done = remotestatus("run", "-i", inventory)
    assert done.returncode == 0
    assert "is tried again" in done.stderr
    assert by_name(status_json(lab))["capture-1"]["status"] == "down"
    with sqlite3.connect(lab.directory / "history.sqlite3") as db:
        db.execute("UPDATE destinations SET next_attempt = '2020-01-01T00:00:00Z'")
    db.close()
    smtp_sink.start()
    run(remotestatus, inventory)
    assert len(smtp_sink.wait_for(1)) == 1


def test_a_limited_round_leaves_the_others_as_they_were(lab: Lab, remotestatus: Command) -> None:
    """With --limit only these remotes are looked at and printed; the page still shows all. No match is an error."""
    lab.remote("capture-1", variables={"remotestatus_processes": ["nothing-of-that-name"]})
    other = lab.remote("capture-2")
    inventory = lab.write_inventory()
    run(remotestatus, inventory)
    other.cut_tunnel()
    limited = run(remotestatus, inventory, "--limit", "capture-1").stdout
    assert "capture-2" not in limited
    assert f"`remotestatus match -i {inventory} capture-1`" in limited
    assert {name: remote["status"] for name, remote in by_name(status_json(lab)).items()} == {
        "capture-1": "degraded",
        "capture-2": "up",
    }
    done = remotestatus("run", "-i", inventory, "--limit", "nobody")
    assert done.returncode == 2
    assert "nobody" in done.stderr


def test_relative_paths_start_at_the_folder_that_holds_the_inventory(
    lab: Lab, remotestatus: Command, tmp_path: Path
) -> None:
    """The working directory does not matter: site, history and key files lie beside the inventory."""
    lab.local("here")
    (lab.directory / "my keys").mkdir()
    shutil.copy(lab.directory / "checker_key", lab.directory / "my keys" / "key")
    lab.direct("keyed-1", variables={"ansible_ssh_private_key_file": "my keys/key"})
    inventory = lab.write_inventory()
    done = remotestatus("run", "-i", "lab/inventory", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert by_name(status_json(lab))["keyed-1"]["status"] == "up"
    assert (lab.directory / "site" / "index.html").is_file()
    assert inventory == lab.directory / "inventory"
