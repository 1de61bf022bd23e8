"""`remotestatus import-django`: the old Django app's files become an inventory, and nothing of them is run."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from datetime import timedelta
from pathlib import Path

import apprise
import pytest

from remotestatus.model.durations import write_duration
from remotestatus.setup.django import OldFleet, read_project, rename_host_keys
from remotestatus.setup.django.expressions import Unknown
from remotestatus.setup.django.old_host_keys import list_old_names
from remotestatus.setup.django.project import Gap, Project
from remotestatus.setup.inventory_writer import REMOTES_FILE, VAULT_FILE
from remotestatus.setup.new_fleet import NewHost
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


CLEAR_FILE = "inventory/group_vars/all/passwords-in-clear.yml"


def _value(folder: Path, source: str | bytes, name: str = "X") -> object:
    """What a name stands for, with lists and dictionaries unpacked."""
    file = folder / "f.py"
    file.write_bytes(source if isinstance(source, bytes) else source.encode())
    return _plain(Project(folder).read(file)[name].value)


def _plain(value: object) -> object:
    if isinstance(value, list):
        return [_plain(item.value) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item.value) for key, item in value.items()}
    return "?" if isinstance(value, Unknown) else value


def _write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def _plan(folder: Path, settings: str, *remotes: str) -> OldFleet:
    apps = {f"app{number}/remotes.py": text for number, text in enumerate(remotes)}
    _write(folder, {"settings.py": settings, **apps})
    return read_project(folder, [])


def _one(folder: Path, entry: str) -> tuple[NewHost, tuple[Gap, ...]]:
    found = _plan(folder, SETTINGS, f"REMOTES = [\n{entry}\n]")
    return found.answers.remotes[0], found.gaps


# -- reading without running


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("X = 10 * 60 * 60", 36000),
        ("A = 60\nX = 10 * A - 1", 599),
        ("A = 'a'\nX = A + '-' + 'b'", "a-b"),
        ("A = 'a'\nX = f'{A}-{1}'", "a-1"),
        ("X = '%s-%02d' % ('a', 1)", "a-01"),
        ("X = '{}-{b}'.format('a', b=1)", "a-1"),
        ("X = ('a'\n     'b')", "ab"),
        ("X: int = -5", -5),
        ("X = u'a'", "a"),
        ("A = {'host': 'h'}\nX = A['host']", "h"),
        ("A = {'a': 1}\nX = {**A, 'b': 2}", {"a": 1, "b": 2}),
        ("A = {'a': 1}\nX = dict(A, b=2)", {"a": 1, "b": 2}),
        ("X = [1]\nX += [2]\nX.append(3)\nX.extend([4])", [1, 2, 3, 4]),
        ("A = [1]\nX = [*A, 2] + (3,)", [1, 2, 3]),
        ("from local import B\nX = [1] + B", [1, "?"]),
        ("import os\nX = os.path.join('/srv', 'keys')", "/srv/keys"),
        ("from os.path import join as j\nX = j('/srv', 'keys')", "/srv/keys"),
        ("def join(*parts): pass\nX = join('/srv', 'keys')", "?"),
        ("import os\nX = os.path.expanduser('~/.ssh/k')", "~/.ssh/k"),
        ("import os\nX = os.path.join(os.getcwd(), 'keys')", "?"),
        ("import os\nX = os.environ['A']", "?"),
        ("import os\nX = os.environ.get('A')", "?"),
        ("import os\nX = os.environ.get('A', 'b')", "b"),
        ("from os import getenv\nX = int(getenv('A', '22')) + 1", 23),
        ("X = open('/etc/passwd').read()", "?"),
        ("X = 1\nif DEBUG:\n    X = 2", "?"),
        ("X = [1]\nfor i in range(3):\n    X.append(i)", [1, "?"]),
        ("X = {'a': 1}\nX.update(b=2)", {"a": 1, "**code": "?"}),
        ("A = {'a': 1}\nX = [A]\nA['b'] = 2", [{"a": 1, "**code": "?"}]),
        ("from %s import A\nX = A" % ("." * 99), "?"),
        ("X = 1\ndef X(): pass", "?"),
        ("X = 'a' * 10**9", "?"),
        ("X = '%999999999d' % 1", "?"),
        ("X = '{:999999999}'.format(1)", "?"),
        ("X = 9**9**9", "?"),
        ("X = 1 / 0", "?"),
        ("X = 1e308 * 10", "?"),
        ("X = Y", "?"),
        ("X = lambda: 1", "?"),
        ("X = '\\d'", "\\d"),
        ("X = True + True", "?"),
        ("X = " + " + ".join(["'a'"] * 200), "a" * 200),
        ("X = " + "-" * 100_000 + "1", "?"),
    ],
)
def test_what_needs_no_execution_is_worked_out(source: str, value: object, tmp_path: Path) -> None:
    """Literals, names given one before, texts and sums put together; all else is a gap, never a guess."""
    assert _value(tmp_path, source) == value


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("from pathlib import Path\nX = Path(__file__).resolve().parent / 'keys' / 'proxy'", "keys/proxy"),
        ("import pathlib\nX = pathlib.Path(__file__).resolve().parents[0] / 'keys'", "keys"),
        ("import os\nX = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'keys')", "keys"),
        ("from pathlib import Path\nBASE_DIR = Path(__file__).parent\nX = str(BASE_DIR / 'keys')", "keys"),
    ],
)
def test_paths_start_at_the_file(source: str, value: str, tmp_path: Path) -> None:
    """BASE_DIR in its usual forms."""
    assert _value(tmp_path, source) == str(tmp_path / value)


def test_a_text_that_doubles_itself_takes_no_memory(tmp_path: Path) -> None:
    """A hostile file can't make the import large: what grows beyond reason is a gap."""
    assert _value(tmp_path, "X = 'aaaaaaaaaa'\n" + "X = X + X\n" * 60) == "?"
    assert _value(tmp_path, "X = [1]\n" + "X = X + X\n" * 60) is not None


@pytest.mark.parametrize(
    ("source", "value"),
    [
        (b"print 'two'\nX = 1\nprint X\n", 1),
        (b"import os\nos.umask(0077)\nX = [\n{'a': u'b'},\n# ]\n{'a': ')'},\n]\nexec 'x'\n", [{"a": "b"}, {"a": ")"}]),
        (b"try:\n    f()\nexcept E, e:\n    pass\nX = '''\nprint 1\n'''\n", "\nprint 1\n"),
        (b"# -*- coding: latin-1 -*-\nprint 1\nX = '\xfc'\n", "\xfc"),
        (b"print 1\nX = '\xfc'\r\n", "\xfc"),
        (b"X = [1]\nX += [`2`]\n", [1, "?"]),
        (b"X = [1]\nfor x in X: print x\n", [1, "?"]),
        (b"X = [\n`2`,\n]\n", "?"),
        (b"X = 0777", "?"),
        (b"None = `1`\nimport += 2\nX = 1if 1else`2`\n", "?"),
        (b"X = " + b"(" * 5000, "?"),
    ],
)
def test_a_file_of_python_2_is_read_statement_by_statement(source: bytes, value: object, tmp_path: Path) -> None:
    """What is Python 3 as well is known; what is not costs itself, and is never taken for something else."""
    assert _value(tmp_path, source) == value


@pytest.mark.parametrize(
    ("source", "line"), [("A = 1\nprint 'two'", 2), ("A = [", 1), ("a\x00b", 1), ("A = 1\n\nB = `A`", 3)]
)
def test_a_file_that_is_no_python_3_is_a_gap_with_its_line(source: str, line: int, tmp_path: Path) -> None:
    """And the other files are read all the same."""
    found = _plan(tmp_path, SETTINGS, FIRST, source)
    assert [remote.name for remote in found.answers.remotes] == ["north-camera"]
    assert [gap.where for gap in found.gaps if "is not Python 3" in gap.what] == [f"app1/remotes.py:{line}"]


def test_a_file_that_cannot_be_opened_is_a_gap(tmp_path: Path) -> None:
    """And the other files are read all the same."""
    (tmp_path / "app1").mkdir()
    (tmp_path / "app1" / "remotes.py").symlink_to("nowhere")
    found = _plan(tmp_path, SETTINGS, FIRST)
    assert found.counts == {"app0/remotes.py": 1, "app1/remotes.py": 0}
    assert ("app1/remotes.py", "can't be read (No such file or directory)") in [(g.where, g.what) for g in found.gaps]


def test_nothing_is_executed(remotestatus: Command, tmp_path: Path) -> None:
    """Files whose execution, import or compilation would leave a trace leave none."""
    trace = tmp_path / "trace"
    bomb = f"import pathlib, os\npathlib.Path({str(trace)!r}).touch()\nos.system('touch {trace}')\n"
    lazy = f"\nRS_X = __import__('os').system('touch {trace}')\n[os.system('touch {trace}') for _ in range(2)]\n"
    late = f"REMOTES[0]['nickname'] = os.popen('touch {trace}')\nclass A:\n    open({str(trace)!r}, 'w')\n"
    files = {"settings.py": bomb + SETTINGS + lazy, "remotes.py": bomb + FIRST + late, "base.py": bomb}
    _write(tmp_path, {**files, "local.py": "from base import *\nprint 1\n" + bomb})
    done = remotestatus(
        "import-django", "settings.py", "remotes.py", "--to", "fleet", "--no-passwords", folder=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert not trace.exists()
    assert not list(tmp_path.rglob("*.pyc"))
    assert "REMOTES may be changed by code here" in done.stdout


# -- what it means


def test_both_spellings_mean_the_same(tmp_path: Path) -> None:
    """`remote_port` and `forwarded_port`, or `port` and `local_port`; ports may be texts."""
    remotes = _plan(tmp_path, SETTINGS, FIRST, SECOND).answers.remotes
    assert [(r.name, r.port, r.variables["remotestatus_forwarded_port"], r.user, r.via) for r in remotes] == [
        ("north-camera", 8001, 1001, "camera", ("proxy.example.com",)),
        ("box2", 8002, 1002, "box2", ("gate.example.com",)),
    ]
    assert _one(tmp_path, "{'nickname': 'a', 'remote_port': ' 8001 '}")[0].port == 8001


def test_a_proxy_of_its_own_becomes_a_further_proxy(tmp_path: Path) -> None:
    """What the remote does not say of its proxy is as in the settings, except another host's port."""
    proxies = {proxy.name: proxy for proxy in _plan(tmp_path, SETTINGS, FIRST, SECOND).answers.proxies}
    gate = proxies["gate.example.com"]
    assert (gate.address, gate.port, gate.user, gate.key_file) == ("gate.example.com", None, "gate", "/srv/keys/proxy")
    proxy = proxies["proxy.example.com"]
    assert (proxy.port, proxy.user, proxy.key_file) == (22, "tunnels", "/srv/keys/proxy")


def test_a_proxy_that_cannot_be_read_is_not_guessed(tmp_path: Path) -> None:
    """The remote is not put behind the settings' proxy, which would be offered its password."""
    remote, gaps = _one(tmp_path, "{'nickname': 'a', 'port': 1, 'proxy_hostname': find_proxy()}")
    assert remote.via == ()
    assert any("nothing says which proxy it is reached through" in gap.what for gap in gaps)


def test_without_tunnelling_remotes_are_direct(tmp_path: Path) -> None:
    """SSH_TUNNELING = False: no proxy, the given address, and a gap where there is none."""
    direct = "[{'nickname': 'a', 'hostname': 'a.example.com', 'port': 22}, {'nickname': 'b'}]"
    found = _plan(tmp_path, SETTINGS.replace("True", "False"), f"REMOTES = {direct}")
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
        ("REMOTE_CHECK_FREQUENCY = 10**9", "10m", "has no fixed value"),
        ("REMOTE_CHECK_FREQUENCY = 1e12", "10m", "no usable frequency"),
        ("REMOTE_CHECK_FREQUENCY = int(os.environ['F'])", "10m", "has no fixed value"),
    ],
)
def test_the_frequency_is_in_minutes_and_doubt_is_said(line: str, every: str, said: str, tmp_path: Path) -> None:
    """Minutes, as the old app took them; a value that was surely something else is written with an explanation."""
    found = _plan(tmp_path, SETTINGS.replace("REMOTE_CHECK_FREQUENCY = 5", line), FIRST)
    assert write_duration(found.answers.every) == every
    frequency = [f"{gap.what}; {gap.cure}" for gap in found.gaps if "FREQUENCY" in gap.what]
    assert (said in " ".join(frequency)) if said else frequency == []


@APPRISE_WARNS
def test_mail_needs_a_server(tmp_path: Path) -> None:
    """Without one in the settings the people are named in a gap, with an example that Apprise takes."""
    found = _plan(tmp_path, SETTINGS, FIRST)
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
def test_djangos_mail_server_is_taken_along(mail: str, tmp_path: Path) -> None:
    """Its address becomes a mailto destination that Apprise understands; with a password in it, it is a secret."""
    answers = _plan(tmp_path, SETTINGS + mail, FIRST).answers
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
        ("{'nickname': NAME}", "'nickname' has no fixed value (NAME)"),
        ("{'nickname': 'a', 'remote_port': 'http'}", "'remote_port' is no port"),
        ("{'nickname': 'a', 'remote_port': 1, 'port': 2}", "'port' is left out"),
        ("{'nickname': 'a', 'colour': 'red'}", "'colour' is no key"),
        ("{'nickname': 'a', **COMMON}", "'**COMMON' is code"),
        ("{'nickname': 'a', 'processes': run()}", "'processes' has no fixed value (run(...))"),
        ("{'nickname': 'a', 'processes': ['x', 5]}", "an entry of 'processes' has no fixed text"),
        ("{'nickname': 'a', 'processes': ['[f]oo']}", "was a grep pattern"),
        ("{'nickname': 'a'}", "it has no remote port"),
        ("{'remote_port': 1}", "it has no nickname"),
        ("make('a')", "may be changed by code here (make(...))"),
        ("5", "an entry of REMOTES is no dictionary"),
    ],
)
def test_what_cannot_be_carried_over_is_said_with_its_line(entry: str, what: str, tmp_path: Path) -> None:
    """File and line, what it is, and what to do."""
    found = _plan(tmp_path, SETTINGS, f"REMOTES = [\n{entry}\n]")
    assert [gap.where for gap in found.gaps if what in gap.what] == ["app0/remotes.py:2"]


def test_what_the_environment_says_is_never_guessed(tmp_path: Path) -> None:
    """A gap shows the lookup that is Ansible's equal; a default is taken, and said; that of a password is neither."""
    remote, gaps = _one(tmp_path, "{'nickname': 'a', 'remote_password': os.environ['PW'], 'port': 1}")
    assert (remote.password, any("lookup('env', 'PW')" in gap.cure for gap in gaps)) == (None, True)
    remote, gaps = _one(tmp_path, "{'nickname': 'a', 'port': os.environ.get('PORT', '8001')}")
    assert (remote.port, any("environment variable PORT" in gap.what for gap in gaps)) == (8001, True)
    for code in (
        "'secret' + X",
        "os.environ.get('PW', 'secret')",
        "decrypt('secret')",
        "'%s' % os.getenv('PW', 'secret')",
    ):
        remote, gaps = _one(tmp_path, f"{{'nickname': 'a', 'remote_password': {code}, 'port': 1}}")
        assert (remote.password, remote.wants_password) == (None, True)
        assert any("'remote_password' has no fixed value" in gap.what for gap in gaps)
        assert "secret" not in f"{gaps}{remote}"


def test_twins_get_names_of_their_own(tmp_path: Path) -> None:
    """The second of two equal nicknames is told apart by its port; the first keeps its name."""
    text = "REMOTES = [{'nickname': 'Cam', 'port': 1}, {'nickname': 'Cam', 'port': 2}, {'nickname': 'cam', 'port': 2}]"
    found = _plan(tmp_path, SETTINGS, text)
    names = [remote.name for remote in found.answers.remotes]
    assert names[:2] == ["Cam", "Cam-2"]
    assert len(set(names)) == 3


def test_a_list_that_is_imported_is_taken_once(tmp_path: Path) -> None:
    """Each remote counts for the file that it is written in."""
    both = "from app0.remotes import REMOTES as NORTH\nREMOTES = NORTH + [{'nickname': 'b', 'port': 2}]\n"
    found = _plan(tmp_path, SETTINGS, FIRST, both)
    assert [remote.name for remote in found.answers.remotes] == ["north-camera", "b"]
    assert found.counts == {"app0/remotes.py": 1, "app1/remotes.py": 1}


def test_files_that_import_each_other_end(tmp_path: Path) -> None:
    """What is not known yet, as in Python itself, is a gap."""
    first = "from app1.remotes import *\nREMOTES = [{'nickname': 'a', 'port': 1}]\n"
    found = _plan(tmp_path, SETTINGS, first, first.replace("app1", "app0"))
    assert len(found.answers.remotes) == 2


@pytest.mark.parametrize(
    "imported",
    ["from django.conf import settings", "import os\nfrom project import settings", "from . import settings"],
)
def test_settings_of_django_are_known_in_remotes(imported: str, tmp_path: Path) -> None:
    """`settings.X` is the X of the settings file, whichever way it was imported."""
    remotes = f"{imported}\nREMOTES = [{{'nickname': settings.RS_PROXY_USERNAME, 'port': 1}}]"
    _write(tmp_path, {"project/settings.py": SETTINGS, "project/remotes.py": remotes})
    assert read_project(tmp_path, []).answers.remotes[0].variables["remotestatus_nickname"] == "tunnels"


def test_a_value_of_code_is_never_taken_for_a_setting(tmp_path: Path) -> None:
    """Every setting that has no fixed value leaves a gap and nothing else."""
    found = _plan(tmp_path, SETTINGS.replace("'/srv/keys/proxy'", "find_key()"), FIRST)
    assert found.answers.proxies[0].key_file is None
    assert any("RS_KEY_FILE has no fixed value (find_key(...))" in gap.what for gap in found.gaps)
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
        f"[127.0.0.1]:1002 {keys[2]}\n@revoked [127.0.0.1]:1002 {keys[0]}\n"
        f"* {keys[0]}\n@cert-authority [127.0.0.1]:1002 {keys[1]}\nbroken\n|1|x|y {keys[0]}\n",
        encoding="utf-8",
    )
    answers = _plan(tmp_path, SETTINGS, FIRST, SECOND).answers
    expected = f"proxy.example.com {keys[0]}\nnorth-camera {keys[1]}\nbox2 {keys[2]}\n@revoked box2 {keys[0]}\n"
    plain, missing = rename_host_keys(old, answers)
    assert sorted(plain.splitlines()) == sorted(expected.splitlines())
    assert missing == ("gate.example.com",)
    old.write_text("\n".join(line for line in old.read_text(encoding="utf-8").splitlines() if line[0] in "p["), "utf-8")
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", old], check=True, capture_output=True)
    assert "localhost" not in old.read_text(encoding="utf-8")
    plain = "".join(line for line in plain.splitlines(keepends=True) if not line.startswith("@"))
    assert rename_host_keys(old, answers) == (plain, missing)


def test_a_remote_port_that_is_anothers_virtual_port_gives_no_key(tmp_path: Path) -> None:
    """The key under [localhost]:1002 belongs to the remote whose virtual port that is."""
    text = "REMOTES = [{'nickname': 'a', 'port': 1002}, {'nickname': 'b', 'port': 5, 'local_port': 1002}]"
    found = _plan(tmp_path, SETTINGS, text)
    assert list_old_names(found.answers)["a"] == ()
    assert list_old_names(found.answers)["b"][0] == "[localhost]:1002"


# -- the command


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """An old project with two apps, a virtual environment beside them, and host keys."""
    project = tmp_path / "project"
    files = {
        "settings.py": SETTINGS.replace("/srv/keys/proxy", "key"),
        "key": "",
        "hosts": "[localhost]:1001 ssh-ed25519 AAAA\n",
        "north/remotes.py": FIRST,
        "south/remotes.py": SECOND,
        "venv/pyvenv.cfg": "",
        "venv/lib/remotes.py": "raise SystemExit",
    }
    _write(project, files)
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


# Settings in a package, two apps, both spellings, and one file of Python 2: eight remotes.
REALISTIC = {
    "manage.py": "import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'project.settings.production')\n",
    "project/settings/__init__.py": "",
    "project/settings/base.py": """\
        import os
        from pathlib import Path

        BASE_DIR = Path(__file__).resolve().parent.parent.parent
        SECRET_KEY = os.environ["SECRET_KEY"]
        INSTALLED_APPS = ["north", "south", "remotestatus"]
        RS_KEY_FILE = os.path.join(BASE_DIR, "keys", "proxy")
        RS_KNOWN_HOSTS_FILE = str(BASE_DIR / "keys" / "hosts")
        RS_PROXY_USERNAME = "tunnels"
        RS_PROXY_PORT = int(os.environ.get("RS_PROXY_PORT", "2222"))
        RS_USERS_TO_NOTIFY = ["admin@example.com"]
        REMOTE_CHECK_FREQUENCY = 10 * 60 * 60
        SSH_TUNNELING = True
        """,
    "project/settings/production.py": """\
        import os

        from .base import *

        try:
            from .local import *
        except ImportError:
            pass

        RS_PROXY_HOSTNAME = os.environ.get("RS_PROXY_HOSTNAME", "proxy.example.com")
        RS_USERS_TO_NOTIFY += ["night@example.com"]
        EMAIL_HOST = "mail.example.com"
        """,
    "project/settings/development.py": "from .base import *\n\nRS_PROXY_HOSTNAME = 'localhost'\n",
    "keys/proxy": "",
    "keys/hosts": "[localhost]:1001 ssh-ed25519 AAAA\n",
    "north/remotes.py": """\
        import os

        from django.conf import settings

        BASE = {"remote_username": "camera", "remote_password": os.environ["CAMERA_PASSWORD"]}

        REMOTES = [
            {
                "nickname": "North Camera",
                "remote_username": "camera",
                "remote_password": "correct horse",
                "remote_port": 8001,
                "forwarded_port": 1001,
                "processes": ["python %s/manage.py capture_videos.py" % "/srv/capture", "ssh"],
            },
            {**BASE, "nickname": f"North {1 + 1}", "remote_port": 8000 + 2, "forwarded_port": 1002},
            dict(BASE, nickname="North {}".format("Gate"), remote_port=8003, forwarded_port=1003),
        ]
        REMOTES.append({"nickname": "By " + settings.RS_PROXY_USERNAME, "remote_port": 8004, "forwarded_port": 1004})
        """,
    "south/remotes.py": """\
        # -*- coding: utf-8 -*-
        import os

        print "loading the southern remotes"
        os.umask(0077)

        GATE = 'gate.example.com'

        REMOTES = [
            {
                'proxy_hostname': GATE,
                'proxy_username': u'gate',
                'remote_username': 'box2',
                'remote_password': 'battery staple',
                'port': 8002,
                'local_port': 1012,
            },
            {'nickname': u'S\u00fcden', 'proxy_hostname': GATE, 'port': 8003, 'processes': read_processes()},
        ]
        REMOTES += [
            {'nickname': 'South %02d' % number, 'port': 8010, 'local_port': 1010},
            {'nickname': 'South %02d' % 2, 'port': 8011, 'local_port': 1011},
        ]

        for remote in REMOTES:
            print remote['port']
        """,
}


def test_a_realistic_project_is_found_whole(remotestatus: Command, tmp_path: Path) -> None:
    """All eight remotes, counted by file; what has no fixed value is a gap; the inventory is valid."""
    _write(tmp_path / "project", {name: textwrap.dedent(text) for name, text in REALISTIC.items()})
    vault, fleet = tmp_path / "vault", tmp_path / "fleet"
    vault.write_text("long\n", encoding="utf-8")
    done = remotestatus("import-django", tmp_path / "project", "--to", fleet, "--vault-password-file", vault)
    assert done.returncode == 0, done.stderr
    for said in (
        "with the settings of project/settings/production.py",
        "4 remotes in north/remotes.py",
        "4 remotes in south/remotes.py",
        "8 in all",
        "It is a valid inventory with 8 remotes.",
        "project/settings/production.py: was taken for the settings, and not project/settings/development.py",
        "production.py:6: `from .local import *` was not followed",
        "production.py:10: RS_PROXY_HOSTNAME is read from the environment variable RS_PROXY_HOSTNAME",
        "base.py:12: REMOTE_CHECK_FREQUENCY is 36000",
        "north/remotes.py:5: 'remote_password' has no fixed value (environment variable CAMERA_PASSWORD)",
        "south/remotes.py:5: is not Python 3",
        "south/remotes.py:18: 'processes' has no fixed value",
        "south/remotes.py:21: 'nickname' has no fixed value",
        "south/remotes.py:25: REMOTES may be changed by code here",
    ):
        assert said in done.stdout
    hosts = list_inventory(fleet)
    ports = {name: host["ansible_port"] for name, host in hosts.items() if "remotestatus_forwarded_port" in host}
    assert sorted(ports.values()) == [8001, 8002, 8002, 8003, 8004, 8010, 8011]
    assert (hosts["suden"]["remotestatus_nickname"], hosts["suden"]["ansible_port"]) == ("S\u00fcden", 8003)
    assert hosts["north-camera"]["remotestatus_processes"] == ["python /srv/capture/manage.py capture_videos.py", "ssh"]
    assert hosts["north-gate"]["ansible_user"] == "camera"
    assert hosts["box2"]["vault_box2"] == "battery staple"
    assert hosts["by-tunnels"]["remotestatus_apprise"][0]["url"].endswith(
        "to=admin@example.com,night@example.com&mode=insecure"
    )
    proxy = hosts["proxy.example.com"]
    assert (proxy["ansible_port"], proxy["ansible_user"]) == (2222, "tunnels")
    assert proxy["ansible_ssh_private_key_file"] == str(tmp_path / "project/keys/proxy")
    assert (fleet / "known_hosts").read_text(encoding="utf-8") == "north-camera ssh-ed25519 AAAA\n"


def _holding(folder: Path) -> list[Path]:
    """The files that hold a password in clear text, but for the old project's own."""
    files = (path for path in folder.rglob("*") if path.is_file() and "project" not in path.parts)
    return [path for path in files if b"horse" in path.read_bytes()]


def test_no_password_is_written_in_clear(remotestatus: Command, project: Path, tmp_path: Path) -> None:
    """Without a word on where passwords go nothing is written, and the answer names both ways."""
    done = remotestatus("import-django", project, "--to", tmp_path / "fleet")
    assert done.returncode == 2
    assert "2 passwords" in done.stderr
    assert "--vault-password-file" in done.stderr
    assert "--no-passwords" in done.stderr
    assert "horse" not in done.stdout + done.stderr
    assert not (tmp_path / "fleet").exists()


def test_a_destination_that_is_taken_along_is_told_of_everything(remotestatus: Command, tmp_path: Path) -> None:
    """It has no tag, which nothing would name: the doctor would call the new inventory wrong."""
    (tmp_path / "settings.py").write_text(f"{SETTINGS}EMAIL_HOST = 'mail.example.com'\n")
    (tmp_path / "remotes.py").write_text(FIRST)
    done = remotestatus(
        "import-django", tmp_path / "settings.py", tmp_path, "--to", tmp_path / "fleet", "--no-passwords"
    )
    assert done.returncode == 0, done.stderr
    (destination,) = list_inventory(tmp_path / "fleet")["north-camera"]["remotestatus_apprise"]
    assert destination.keys() == {"url"}


@pytest.mark.parametrize("option", ["--vault-password-file=vault", "--no-passwords"])
def test_the_clear_text_of_an_earlier_version_is_removed(
    option: str, remotestatus: Command, project: Path, tmp_path: Path
) -> None:
    """Earlier versions wrote such a file, which Ansible would go on reading; one that is encrypted by now stays."""
    (tmp_path / "vault").write_text("long\n", encoding="utf-8")
    _write(tmp_path, {f"fleet/{CLEAR_FILE}": "vault_north_camera: correct horse\n"})
    done = remotestatus("import-django", project, "--to", "fleet", option, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"removed fleet/{CLEAR_FILE}" in done.stdout
    assert _holding(tmp_path) == []
    _write(tmp_path, {f"fleet/{CLEAR_FILE}": "$ANSIBLE_VAULT;1.1;AES256\n"})
    remotestatus("import-django", project, "--to", "fleet", option, "--force", folder=tmp_path)
    assert (tmp_path / "fleet" / CLEAR_FILE).exists()


def test_a_kill_while_it_encrypts_leaves_no_password_behind(
    remotestatus: Command, project: Path, tmp_path: Path
) -> None:
    """Passwords reach Ansible Vault through a pipe: while it waits for its own password, no file holds one."""
    vault = tmp_path / "vault"
    vault.write_text(f"#!/bin/sh\ntouch {tmp_path}/asked\nsleep 60\n", encoding="utf-8")
    vault.chmod(0o700)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    command = f"{sys.executable} -m remotestatus import-django {project} --to {tmp_path}/fleet"
    with subprocess.Popen(
        [*command.split(), f"--vault-password-file={vault}"],
        env={**remotestatus.environment, "TMPDIR": str(temporary)},
        start_new_session=True,
    ) as process:
        while not (tmp_path / "asked").exists() and process.poll() is None:
            time.sleep(0.05)
        held = _holding(tmp_path)
        os.killpg(process.pid, signal.SIGKILL)
    assert (held, _holding(tmp_path)) == ([], [])
    assert not (tmp_path / "fleet").exists()


def test_a_vault_that_fails_leaves_nothing(remotestatus: Command, project: Path, tmp_path: Path) -> None:
    """An empty Vault password is refused by Ansible before any file is written."""
    (tmp_path / "vault").write_text("", encoding="utf-8")
    done = remotestatus("import-django", project, "--to", "fleet", "--vault-password-file=vault", folder=tmp_path)
    assert (done.returncode, "could not encrypt" in done.stderr) == (2, True)
    assert not (tmp_path / "fleet").exists()


def test_passwords_can_be_left_out(remotestatus: Command, project: Path, tmp_path: Path) -> None:
    """With --no-passwords no file holds one, and each place for one is marked."""
    fleet = tmp_path / "fleet"
    done = remotestatus("import-django", project / "settings.py", project, "--to", fleet, "--no-passwords")
    assert done.returncode == 0, done.stderr
    assert _holding(tmp_path) == []
    assert (fleet / REMOTES_FILE).read_text(encoding="utf-8").count("# GAP: its password.") == 2


@pytest.mark.parametrize(
    ("arguments", "cure"),
    [
        (("missing.py", "project"), "name the right file"),
        (("project/settings.py", "missing.py"), "name the right file"),
        (("project/settings.py", "project/venv/lib"), "no remote was found"),
        (("project/settings.py", "project/settings.py"), "there is no REMOTES in it"),
        (("project/settings.py", "empty"), "there is no remotes.py below"),
        (("project/venv", "empty"), "no settings file in it"),
        (("project",), "--no-passwords leaves out"),
        (("project/settings.py",), "name the project's folder"),
    ],
)
def test_wrong_files_answer_with_their_cure(
    arguments: tuple[str, ...], cure: str, remotestatus: Command, project: Path, tmp_path: Path
) -> None:
    """Exit code 2, the file, the cure, no traceback, and nothing written."""
    (tmp_path / "empty").mkdir()
    done = remotestatus("import-django", *arguments, "--to", "fleet", folder=tmp_path)
    assert done.returncode == 2
    assert cure in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "fleet").exists()


def test_nothing_that_exists_is_overwritten(remotestatus: Command, project: Path, tmp_path: Path) -> None:
    """A second import into the same folder is refused as a whole, known_hosts included."""
    arguments = ("import-django", project / "settings.py", project, "--to", tmp_path / "fleet", "--no-passwords")
    assert remotestatus(*arguments).returncode == 0
    before = {path: path.read_bytes() for path in (tmp_path / "fleet").rglob("*") if path.is_file()}
    done = remotestatus(*arguments)
    assert (done.returncode, "--force overwrites it" in done.stderr) == (2, True)
    assert before == {path: path.read_bytes() for path in (tmp_path / "fleet").rglob("*") if path.is_file()}
    assert remotestatus(*arguments, "--force").returncode == 0
