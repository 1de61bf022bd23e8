"""`remotestatus import-django`: the old Django app's files become an inventory, and nothing of them is run."""

import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import apprise
import pytest

from remotestatus.model.errors import ConfigurationError
from remotestatus.setup.django_settings import Module, OldFleet, Unknown, plan_fleet, read_module, rename_known_hosts
from remotestatus.setup.inventory_writer import CLEAR_FILE, REMOTES_FILE, VAULT_FILE
from tests.lab import Command
from tests.test_init import list_inventory

SETTINGS = """\
import os
RS_USERS_TO_NOTIFY = ['one@example.com', 'two@example.com']
RS_KEY_FILE = '/srv/keys/proxy'
RS_KNOWN_HOSTS_FILE = 'hosts'
RS_PROXY_HOSTNAME = 'proxy.example.com'
RS_PROXY_USERNAME = 'tunnels'
RS_PROXY_PORT = 22
REMOTE_CHECK_FREQUENCY = 5
SSH_TUNNELING = True
"""

FIRST = """\
REMOTES = [
    {
        'nickname': 'North Camera',
        'description': 'Films the north entrance.',
        'remote_username': 'camera',
        'remote_password': 'correct horse',
        'remote_port': 8001,          # the tunnel's port on the proxy
        'forwarded_port': 1001,       # the "virtual port"
        'processes': ['python manage.py capture_videos.py', 'ssh'],
    },
]
"""

SECOND = """\
REMOTES = [
    {
        "proxy_hostname": "gate.example.com",
        "proxy_username": "gate",
        "remote_username": "box2",
        "remote_password": "battery staple",
        "port": 8002,
        "local_port": 1002,
    },
]
"""

# On Python 3.11 and 3.12 Apprise loads a module that Python 3.13 has no more.
APPRISE_WARNS = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")


def _value(source: str, name: str = "X") -> object:
    """What a name stands for, with lists and dictionaries unpacked."""
    return _plain(read_module(source, "f.py").names[name].value)


def _plain(value: object) -> object:
    if isinstance(value, list):
        return [_plain(item.value) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item.value) for key, item in value.items()}
    return "?" if isinstance(value, Unknown) else value


def _plan(settings: str, *remotes: str) -> OldFleet:
    old = read_module(settings, "settings.py")
    return plan_fleet(old, [read_module(text, "remotes.py", old.names) for text in remotes], "/srv/project")


def _one(entry: str, settings: str = SETTINGS) -> Any:
    return _plan(settings, f"REMOTES = [{entry}]").answers.remotes[0]


# -- reading without running


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("X = 10 * 60 * 60", 36000),
        ("A = 60\nX = 10 * A - 1", 599),
        ("A = 'a'\nX = A + '-' + 'b'", "a-b"),
        ("A = 'a'\nX = f'{A}-{1}'", "a-1"),
        ("X = ('a'\n     'b')", "ab"),
        ("X: int = -5", -5),
        ("A, B = 1, 2\nX = B", 2),
        ("A = {'host': 'h'}\nX = A['host']", "h"),
        ("A = {'a': 1}\nX = {**A, 'b': 2}", {"a": 1, "b": 2}),
        ("X = dict(a=1)", {"a": 1}),
        ("X = [1]\nX += [2]\nX.append(3)\nX.extend([4])", [1, 2, 3, 4]),
        ("A = [1]\nX = [*A, 2] + (3,)", [1, 2, 3]),
        ("from local import B\nX = [1] + B", [1, "?"]),
        ("import os\nX = os.path.join('/srv', 'keys')", "/srv/keys"),
        ("import os\nX = os.path.expanduser('~/.ssh/k')", "~/.ssh/k"),
        ("import os\nX = os.path.join(os.getcwd(), 'keys')", "?"),
        ("import os\nX = os.environ['A']", "?"),
        ("X = open('/etc/passwd').read()", "?"),
        ("X = 1\nif DEBUG:\n    X = 2", "?"),
        ("X = 1\ndef X(): pass", "?"),
        ("X = 'a' * 10**9", "?"),
        ("X = 9**9**9", "?"),
        ("X = 1 / 0", "?"),
        ("X = 1e308 * 10", "?"),
        ("X = Y", "?"),
        ("X = lambda: 1", "?"),
        ("X = '\\d'", "\\d"),
        ("X = True + True", "?"),
    ],
)
def test_what_needs_no_execution_is_worked_out(source: str, value: object) -> None:
    """Literals, names given one before, concatenations and sums; all else is a gap, never a guess."""
    assert _value(source) == value


def test_a_text_that_doubles_itself_takes_no_memory() -> None:
    """A hostile file can't make the import large: what grows beyond reason is a gap."""
    doubling = "X = 'aaaaaaaaaa'\n" + "X = X + X\n" * 60
    assert _value(doubling) == "?"
    assert _value("X = [1]\n" + "X = X + X\n" * 60) is not None


@pytest.mark.parametrize(
    "source", ["REMOTES = [", "print 'two'", "X = 0777", "a\x00b", "X = " + "(" * 5000, "X = " + "-" * 100_000 + "1"]
)
def test_a_file_that_is_no_python_is_refused_with_its_line(source: str) -> None:
    """One sentence with the file's name, whatever is wrong with the text."""
    with pytest.raises(ConfigurationError, match=r"f\.py"):
        read_module(source, "f.py")


def test_nothing_is_executed(remotestatus: Command, tmp_path: Path) -> None:
    """Files whose execution, import or compilation would leave a trace leave none."""
    trace = tmp_path / "trace"
    bomb = f"import pathlib, os\npathlib.Path({str(trace)!r}).touch()\nos.system('touch {trace}')\n"
    lazy = f"\nRS_X = __import__('os').system('touch {trace}')\n[os.system('touch {trace}') for _ in range(2)]\n"
    (tmp_path / "settings.py").write_text(bomb + SETTINGS + lazy, encoding="utf-8")
    (tmp_path / "remotes.py").write_text(
        bomb + FIRST + f"REMOTES[0]['nickname'] = os.popen('touch {trace}')\nclass A:\n    open({str(trace)!r}, 'w')\n",
        encoding="utf-8",
    )
    done = remotestatus("import-django", "settings.py", "remotes.py", "--to", "fleet", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert not trace.exists()
    assert not list(tmp_path.rglob("*.pyc"))
    assert "REMOTES is changed by code here" in done.stdout


# -- what it means


def test_both_spellings_mean_the_same() -> None:
    """`remote_port` and `forwarded_port`, or `port` and `local_port`; ports may be texts."""
    remotes = _plan(SETTINGS, FIRST, SECOND).answers.remotes
    assert [(r.name, r.port, r.forwarded_port, r.user, r.via) for r in remotes] == [
        ("north-camera", 8001, 1001, "camera", ("proxy.example.com",)),
        ("box2", 8002, 1002, "box2", ("gate.example.com",)),
    ]
    assert _one("{'nickname': 'a', 'remote_port': ' 8001 '}").port == 8001


def test_a_proxy_of_its_own_becomes_a_further_proxy() -> None:
    """What the remote does not say of its proxy is as in the settings, except another host's port."""
    proxies = {proxy.name: proxy for proxy in _plan(SETTINGS, FIRST, SECOND).answers.proxies}
    gate = proxies["gate.example.com"]
    assert (gate.address, gate.port, gate.user, gate.key_file) == ("gate.example.com", None, "gate", "/srv/keys/proxy")
    proxy = proxies["proxy.example.com"]
    assert (proxy.port, proxy.user, proxy.key_file) == (22, "tunnels", "/srv/keys/proxy")


def test_without_tunnelling_remotes_are_direct() -> None:
    """SSH_TUNNELING = False: no proxy, the given address, and a gap where there is none."""
    direct = SETTINGS.replace("True", "False")
    found = _plan(direct, "REMOTES = [{'nickname': 'a', 'hostname': 'a.example.com', 'port': 22}, {'nickname': 'b'}]")
    assert found.answers.proxies == ()
    assert [(r.address, r.via) for r in found.answers.remotes] == [("a.example.com", ()), (None, ())]
    assert any("no address is given" in gap.what for gap in found.gaps)


@pytest.mark.parametrize(
    ("line", "every", "said"),
    [
        ("", "10m", ""),
        ("REMOTE_CHECK_FREQUENCY = 5", "5m", ""),
        ("RS_REMOTE_CHECK_FREQUENCY = 20", "20m", ""),
        ("CHECK_FREQUENCY = 0.5", "30s", ""),
        ("REMOTE_CHECK_FREQUENCY = 10 * 60 * 60", "10h", "it was taken for seconds"),
        ("REMOTE_CHECK_FREQUENCY = 10 * 60", "10h", "if seconds were meant, write remotestatus_every: 10m"),
        ("REMOTE_CHECK_FREQUENCY = 0", "10m", "no usable frequency"),
        ("REMOTE_CHECK_FREQUENCY = -5", "10m", "no usable frequency"),
        ("REMOTE_CHECK_FREQUENCY = True", "10m", "is no number"),
        ("REMOTE_CHECK_FREQUENCY = 10**9", "10m", "is no literal"),
        ("REMOTE_CHECK_FREQUENCY = 1e12", "10m", "no usable frequency"),
        ("REMOTE_CHECK_FREQUENCY = int(os.environ['F'])", "10m", "is no literal"),
    ],
)
def test_the_frequency_is_in_minutes_and_doubt_is_said(line: str, every: str, said: str) -> None:
    """Minutes, as the old app took them; a value that was surely something else is written with an explanation."""
    from remotestatus.model.durations import write_duration

    found = _plan(SETTINGS.replace("REMOTE_CHECK_FREQUENCY = 5", line), FIRST)
    assert write_duration(found.answers.every) == every
    frequency = [str(gap) for gap in found.gaps if "FREQUENCY" in gap.what]
    assert (said in " ".join(frequency)) if said else frequency == []


@APPRISE_WARNS
def test_mail_needs_a_server() -> None:
    """Without one in the settings the people are named in a gap, with an example that Apprise takes."""
    found = _plan(SETTINGS, FIRST)
    assert found.answers.apprise == ()
    gap = next(gap for gap in found.gaps if "one@example.com" in gap.what)
    assert gap.where == "settings.py:2"
    assert apprise.Apprise().add(gap.cure.rpartition(" ")[2])


@APPRISE_WARNS
@pytest.mark.parametrize(
    "mail",
    [
        "EMAIL_HOST = 'mail.example.com'\nDEFAULT_FROM_EMAIL = 'Boxes <boxes@example.com>'",
        "EMAIL_HOST = 'mail.example.com'\nEMAIL_PORT = 587\nEMAIL_USE_TLS = True\nEMAIL_HOST_USER = 'u@example.com'\n"
        "EMAIL_HOST_PASSWORD = 'p@ss/w:rd ?&#'\n",
    ],
)
def test_djangos_mail_server_is_taken_along(mail: str) -> None:
    """Its address becomes a mailto destination that Apprise understands; with a password in it, it is a secret."""
    answers = _plan(SETTINGS + mail, FIRST).answers
    url = dict(answers.secrets).get("vault_mail") or answers.apprise[0]
    assert ("PASSWORD" in mail) == (answers.apprise == ("{{ vault_mail }}",))
    plugin = apprise.Apprise.instantiate(url)
    assert plugin is not None
    assert plugin.smtp_host == "mail.example.com"
    assert {address for _, address in plugin.targets} == {"one@example.com", "two@example.com"}
    if "PASSWORD" in mail:
        assert (plugin.user, plugin.password, plugin.port) == ("u@example.com", "p@ss/w:rd ?&#", 587)


@pytest.mark.parametrize(
    ("entry", "what"),
    [
        ("{'nickname': NAME}", "'nickname' is NAME, no literal"),
        ("{'nickname': 'a', 'remote_port': 'http'}", "'remote_port' is no port"),
        ("{'nickname': 'a', 'remote_port': 1, 'port': 2}", "'port' is left out"),
        ("{'nickname': 'a', 'colour': 'red'}", "'colour' is no key"),
        ("{'nickname': 'a', **COMMON}", "'**COMMON' is code"),
        ("{'nickname': 'a', 'processes': run()}", "'processes' is run(), no literal"),
        ("{'nickname': 'a', 'processes': ['x', 5]}", "an entry of 'processes' is no text"),
        ("{'nickname': 'a', 'processes': ['[f]oo']}", "was a grep pattern"),
        ("{'nickname': 'a', 'processes': ['x', 'x']}", "is there twice"),
        ("{'nickname': 'a'}", "it has no remote port"),
        ("{'remote_port': 1}", "it has no nickname"),
        ("make('a')", "make('a') can't be read"),
        ("5", "an entry that is no dictionary"),
    ],
)
def test_what_cannot_be_carried_over_is_said_with_its_line(entry: str, what: str) -> None:
    """File and line, what it is, and what to do."""
    found = _plan(SETTINGS, f"REMOTES = [\n{entry}\n]")
    assert [gap.where for gap in found.gaps if what in gap.what] == ["remotes.py:2"]


def test_an_environment_variable_is_offered_as_a_lookup() -> None:
    """`os.environ[...]` has an equal in Ansible, which the gap shows; the expression of a password is never shown."""
    found = _plan(SETTINGS, "REMOTES = [{'nickname': 'a', 'remote_password': os.environ['PW'], 'port': 1}]")
    assert any("lookup('env', 'PW')" in gap.cure for gap in found.gaps)
    found = _plan(SETTINGS, "REMOTES = [{'nickname': 'a', 'remote_password': 'secret' + X, 'port': 1}]")
    assert not any("secret" in str(gap) for gap in found.gaps)


def test_twins_get_names_of_their_own() -> None:
    """The second of two equal nicknames is told apart by its port; the first keeps its name."""
    text = "REMOTES = [{'nickname': 'Cam', 'port': 1}, {'nickname': 'Cam', 'port': 2}, {'nickname': 'cam', 'port': 2}]"
    found = _plan(SETTINGS, text)
    names = [remote.name for remote in found.answers.remotes]
    assert names[:2] == ["Cam", "Cam-2"]
    assert len(set(names)) == 3
    assert any("has the address and port of" in gap.what for gap in found.gaps)


def test_settings_of_django_are_known_in_remotes() -> None:
    """`from django.conf import settings; settings.X` is the X of the settings file."""
    text = "from django.conf import settings\nREMOTES = [{'nickname': settings.RS_PROXY_USERNAME, 'port': 1}]"
    assert _plan(SETTINGS, text).answers.remotes[0].nickname == "tunnels"


def test_a_value_of_code_is_never_taken_for_a_setting() -> None:
    """Every setting that is not a literal leaves a gap and nothing else."""
    module = read_module(SETTINGS.replace("'/srv/keys/proxy'", "find_key()"), "settings.py")
    assert isinstance(module, Module)
    found = plan_fleet(module, [read_module(FIRST, "remotes.py")], "/srv")
    assert found.answers.proxies[0].key_file is None
    assert any("RS_KEY_FILE = find_key() is no literal" in gap.what for gap in found.gaps)
    assert found.answers.every == timedelta(minutes=5)


# -- host keys


def test_host_keys_are_found_under_their_old_names(tmp_path: Path) -> None:
    """Plain and hashed by OpenSSH itself; each new name gets its own keys and no other's."""
    keys = []
    for number in range(3):
        key = tmp_path / f"k{number}"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
        keys.append(" ".join(key.with_suffix(".pub").read_text(encoding="utf-8").split()[:2]))
    old = tmp_path / "hosts"
    old.write_text(
        f"# mine\nproxy.example.com,198.51.100.1 {keys[0]} a comment\n[localhost]:1001 {keys[1]}\n"
        f"[127.0.0.1]:1002 {keys[2]}\n* {keys[0]}\nbroken\n|1|x|y {keys[0]}\n",
        encoding="utf-8",
    )
    lookups = _plan(SETTINGS, FIRST, SECOND).lookups
    expected = f"proxy.example.com {keys[0]}\nnorth-camera {keys[1]}\nbox2 {keys[2]}\n"
    plain, missing = rename_known_hosts(old.read_text(encoding="utf-8"), lookups)
    assert sorted(plain.splitlines()) == sorted(expected.splitlines())
    assert missing == ("gate.example.com",)
    old.write_text("\n".join(line for line in old.read_text(encoding="utf-8").splitlines() if line[0] in "p["), "utf-8")
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", old], check=True, capture_output=True)
    hashed = old.read_text(encoding="utf-8")
    assert "localhost" not in hashed
    assert rename_known_hosts(hashed, lookups) == (plain, missing)


def test_a_remote_port_that_is_anothers_virtual_port_gives_no_key() -> None:
    """The key under [localhost]:1002 belongs to the remote whose virtual port that is."""
    text = "REMOTES = [{'nickname': 'a', 'port': 1002}, {'nickname': 'b', 'port': 5, 'local_port': 1002}]"
    found = _plan(SETTINGS, text)
    assert found.lookups["a"] == ()
    assert found.lookups["b"][0] == "[localhost]:1002"


# -- the command


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """An old project with two apps, a virtual environment beside them, and host keys."""
    project = tmp_path / "project"
    for name, text in {
        "settings.py": SETTINGS.replace("/srv/keys/proxy", "key"),
        "key": "",
        "hosts": "[localhost]:1001 ssh-ed25519 AAAA\n",
        "north/remotes.py": FIRST,
        "south/remotes.py": SECOND,
        "venv/pyvenv.cfg": "",
        "venv/lib/remotes.py": "raise SystemExit",
    }.items():
        path = project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return project


def test_a_project_becomes_a_valid_inventory(remotestatus: Command, project: Path, tmp_path: Path) -> None:
    """All apps' files are found, both remotes stand behind their proxies, and the written inventory is read back."""
    vault = tmp_path / "vault"
    vault.write_text("long\n", encoding="utf-8")
    fleet = tmp_path / "fleet"
    done = remotestatus(
        "import-django", project / "settings.py", project, "--to", fleet, "--vault-password-file", vault
    )
    assert done.returncode == 0, done.stderr
    assert "It is a valid inventory with 2 remotes." in done.stdout
    hosts = list_inventory(fleet)
    assert set(hosts) == {"proxy.example.com", "gate.example.com", "north-camera", "box2"}
    north = hosts["north-camera"]
    assert north["remotestatus_nickname"] == "North Camera"
    assert north["remotestatus_description"] == "Films the north entrance."
    assert north["remotestatus_processes"] == ["python manage.py capture_videos.py", "ssh"]
    assert (north["ansible_host"], north["ansible_port"], north["ansible_user"]) == ("127.0.0.1", 8001, "camera")
    assert north["remotestatus_forwarded_port"] == 1001
    assert (north["remotestatus_every"], north["vault_north_camera"]) == ("5m", "correct horse")
    assert hosts["box2"]["ansible_ssh_common_args"] == "-o ProxyJump=gate.example.com"
    assert hosts["proxy.example.com"]["ansible_ssh_private_key_file"] == str(project / "key")
    assert (fleet / "known_hosts").read_text(encoding="utf-8") == "north-camera ssh-ed25519 AAAA\n"
    assert (fleet / VAULT_FILE).read_text(encoding="utf-8").startswith("$ANSIBLE_VAULT")
    assert not (fleet / CLEAR_FILE).exists()
    for said in ("one@example.com, two@example.com", "holds no key for", "status history", "it has no nickname"):
        assert said in done.stdout


def test_passwords_in_clear_are_said_in_plain_words(remotestatus: Command, project: Path, tmp_path: Path) -> None:
    """Without a vault password they go to a file named for what it is, readable by its owner alone."""
    fleet = tmp_path / "fleet"
    done = remotestatus("import-django", project / "settings.py", project, "--to", fleet)
    assert done.returncode == 0, done.stderr
    assert "PASSWORDS WERE WRITTEN IN CLEAR TEXT" in done.stdout
    assert "correct horse" not in done.stdout + done.stderr
    assert (fleet / CLEAR_FILE).stat().st_mode & 0o777 == 0o600
    holding = [path for path in fleet.rglob("*") if path.is_file() and "horse" in path.read_text(encoding="utf-8")]
    assert holding == [fleet / CLEAR_FILE]


def test_passwords_can_be_left_out(remotestatus: Command, project: Path, tmp_path: Path) -> None:
    """With --no-passwords no file holds one, and each place for one is marked."""
    fleet = tmp_path / "fleet"
    done = remotestatus("import-django", project / "settings.py", project, "--to", fleet, "--no-passwords")
    assert done.returncode == 0, done.stderr
    assert not any("horse" in path.read_text(encoding="utf-8") for path in fleet.rglob("*") if path.is_file())
    assert (fleet / REMOTES_FILE).read_text(encoding="utf-8").count("# GAP: its password.") == 2


@pytest.mark.parametrize(
    ("arguments", "cure"),
    [
        (("missing.py", "project"), "name the right file"),
        (("project/settings.py", "missing.py"), "name the right file"),
        (("project/settings.py", "project/venv/lib"), "no remote was found"),
        (("project/settings.py", "project/settings.py"), "there is no REMOTES in it"),
        (("project/settings.py", "empty"), "there is no remotes.py below"),
        (("broken.py", "project"), "broken.py:2"),
    ],
)
def test_wrong_files_answer_with_their_cure(
    arguments: tuple[str, ...], cure: str, remotestatus: Command, project: Path, tmp_path: Path
) -> None:
    """Exit code 2, the file, the cure, no traceback, and nothing written."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken.py").write_text("A = 1\nprint 'two'\n", encoding="utf-8")
    done = remotestatus("import-django", *arguments, "--to", "fleet", folder=tmp_path)
    assert done.returncode == 2
    assert cure in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "fleet").exists()


def test_nothing_that_exists_is_overwritten(remotestatus: Command, project: Path, tmp_path: Path) -> None:
    """A second import into the same folder is refused as a whole, known_hosts included."""
    arguments = ("import-django", project / "settings.py", project, "--to", tmp_path / "fleet")
    assert remotestatus(*arguments).returncode == 0
    before = {path: path.read_bytes() for path in (tmp_path / "fleet").rglob("*") if path.is_file()}
    done = remotestatus(*arguments)
    assert (done.returncode, "--force overwrites it" in done.stderr) == (2, True)
    assert before == {path: path.read_bytes() for path in (tmp_path / "fleet").rglob("*") if path.is_file()}
    assert remotestatus(*arguments, "--force").returncode == 0
