"""
Every way to write a jump, and the proxies that it means: tables of texts, and `ssh -G` where its files say a proxy.
"""

import os
from pathlib import Path

import pytest
from remotestatus_playbook.client_config import ClientConfig, Question
from remotestatus_playbook.jump_steps import program_of, read_proxy_command
from remotestatus_playbook.protocol import Outcome
from remotestatus_playbook.proxy_connections import Opener
from remotestatus_playbook.split_ssh_arguments import Options, PathError, split_options
from remotestatus_playbook.ssh_commands import opening_arguments
from remotestatus_playbook.topology import Hop, Host, Topology, place_of, trace
from remotestatus_playbook.workdir import Workdir

PROXY = "proxy.example.com"


def host(name: str, arguments: str = "", base: Path | None = None, **fields: object) -> Host:
    """A host of the inventory with these SSH arguments."""
    values: dict[str, object] = {"address": name, "port": None, "user": None, "key_file": None, "password": False}
    return Host(name, options=split_options(arguments, base=base), **{**values, **fields})  # type: ignore[arg-type]


def trace_all(*hosts: Host, proxies: tuple[str, ...] = ("tunnel-proxy",)) -> Topology:
    """The topology of these hosts and of one proxy of the inventory."""
    listed = host("tunnel-proxy", address=PROXY, user="proxy-user")
    named = {one.name: one for one in (listed, *hosts)}
    return trace(named, proxies, ClientConfig())


def way_of(topology: Topology, name: str) -> list[str]:
    """The names of the proxies on the way to a host, checker's side first."""
    last = topology.last_hop[name]
    return [hop.name for hop in (*last.path, last)] if last else []


def hop_named(topology: Topology, name: str) -> Hop:
    """The proxy of this name."""
    return next(hop for hop in topology.hops.values() if hop.name == name)


# -- what a way is written as -----------------------------------------------------------------------------------------

WAYS = {
    "-o ProxyJump=tunnel-proxy": ["tunnel-proxy"],
    "-oProxyJump=tunnel-proxy": ["tunnel-proxy"],
    "-o 'ProxyJump tunnel-proxy'": ["tunnel-proxy"],
    "-J tunnel-proxy": ["tunnel-proxy"],
    "-CJ tunnel-proxy": ["tunnel-proxy"],
    "-J me@bastion:2222": ["me@bastion:2222"],
    "-J ssh://me@bastion:2222": ["ssh://me@bastion:2222"],
    "-J outer,me@inner": ["outer", "me@inner"],
    f"-J proxy-user@{PROXY}": ["tunnel-proxy"],
    f"-J {PROXY}": ["tunnel-proxy"],
    f"-J {PROXY}:22": ["tunnel-proxy"],
    f"-J other@{PROXY}": [f"other@{PROXY}"],
    f"-J {PROXY}:2222": [f"{PROXY}:2222"],
    '-o ProxyCommand="ssh -W %h:%p tunnel-proxy"': ["tunnel-proxy"],
    '-o ProxyCommand="ssh -W %h:%p -q me@bastion"': ["me@bastion"],
    '-o ProxyCommand="ssh -W [%h]:%p me@bastion -p 2222"': ["me@bastion:2222"],
    '-o ProxyCommand="exec /usr/bin/ssh -qp2222 -l me bastion -W %h:%p 2>/dev/null"': ["me@bastion:2222"],
    '-o ProxyCommand="ssh -o User=me -oPort=2222 -W %h:%p ignored@bastion"': ["me@bastion:2222"],
    '-o ProxyCommand="ssh -o User=me -l other -p 2222 -o Port=9 -W %h:%p bastion"': ["me@bastion:2222"],
    '-o ProxyCommand="ssh -o ControlMaster=auto -o ControlPath=~/.ssh/%%r -W %h:%p bastion"': ["bastion"],
    f'-o ProxyCommand="ssh -i ~/.ssh/key -W %h:%p proxy-user@{PROXY} -p 22"': ["tunnel-proxy"],
    '-o ProxyCommand="ssh -J outer -W %h:%p inner"': ["outer", "inner"],
    """-o 'ProxyCommand=ssh -o ProxyCommand="ssh -W %%h:%%p outer" -W %h:%p inner'""": ["outer", "inner"],
    '-o ProxyCommand="ssh -W %h:%p %r@bastion"': ["far-user@bastion"],
    "-J tunnel-proxy -o ProxyCommand=none": ["tunnel-proxy"],
    "-o ProxyCommand=none -J tunnel-proxy": [],
    "-o ProxyJump=none": [],
    '-o ProxyCommand="nc -X 5 -x socks:1080 %h %p"': [],
    '-o ProxyCommand="ssh bastion nc %h %p"': [],
    '-o ProxyCommand="ssh -W 10.0.0.1:22 bastion"': [],
    '-o ProxyCommand="ssh -W %h:%p $BASTION"': [],
    '-o ProxyCommand="sshpass -p secret ssh -W %h:%p bastion"': [],
}


@pytest.mark.parametrize("arguments", WAYS)
def test_a_way_leads_through_the_proxies_that_it_names(arguments: str) -> None:
    """Each way to write a jump is the same proxy; one of the inventory is also known by its address."""
    topology = trace_all(host("box", arguments, address="127.0.0.1", port=8001, user="far-user"))
    assert way_of(topology, "box") == WAYS[arguments]
    assert topology.problems == {}
    kept = {"nc", '"ssh bastion', "10.0.0.1", "$BASTION", "sshpass"}
    assert ("box" in topology.commands) == any(word in arguments for word in kept)


def test_the_options_of_a_proxy_command_are_the_proxys() -> None:
    """Key, configuration file and options of the inner ssh belong to the proxy, and not to what is behind it."""
    command = "/opt/bin/ssh -i keys/proxy -F own.conf -o ConnectTimeout=7 -x -W %h:%p me@bastion"
    step = read_proxy_command(command, base=Path("/base"))
    assert step is not None
    assert (step.program, step.config) == ("/opt/bin/ssh", "/base/own.conf")
    assert step.options.as_lines() == ["IdentityFile /base/keys/proxy", "ConnectTimeout 7", "ForwardX11 no"]
    topology = trace_all(host("box", f'-o ProxyCommand="{command}"', address="10.0.0.2"))
    hop = hop_named(topology, "me@bastion")
    assert hop.program == "/opt/bin/ssh"
    assert opening_arguments(hop)[-6:] == ["-i", "keys/proxy", "-o", "ConnectTimeout=7", "-x", "bastion"]
    assert topology.configs == (hop.config,)


def test_proxies_that_differ_in_the_port_alone_are_two() -> None:
    """Two ports, users or keys at one address are two proxies, each with a name for ssh and a socket of its own."""
    ways = [
        "-J me@gw:1",
        "-J me@gw:2",
        "-J you@gw:1",
        *(f'-o ProxyCommand="ssh -i /{key} -W %h:%p me@gw"' for key in "ab"),
    ]
    topology = trace_all(*(host(f"box-{number}", way) for number, way in enumerate(ways)), host("again", ways[0]))
    hops = [hop for hop in topology.hops.values() if hop.host is None]
    for values in ([hop.name for hop in hops], [hop.target for hop in hops], [hop.socket for hop in hops]):
        assert len(set(values)) == 5
    assert topology.last_hop["again"] is topology.last_hop["box-0"]


def test_a_proxys_target_is_no_remotes_address() -> None:
    """What ssh is told about a proxy at an address counts for no remote at the same one."""
    topology = trace_all(host("box", "-J me@127.0.0.1:2222", address="127.0.0.1", port=8001))
    hop = hop_named(topology, "me@127.0.0.1:2222")
    assert hop.renamed
    assert hop.target != "127.0.0.1"
    assert (hop.address, hop.port, hop.user) == ("127.0.0.1", 2222, "me")


def test_a_proxys_own_proxy_command_is_kept() -> None:
    """A proxy of the inventory that a program leads to is reached by that program, and nothing but its name is told."""
    command = "cloudflared access ssh --service-token secret --hostname %h"
    inner = host("inner", f'-o ProxyCommand="{command}"')
    topology = trace_all(host("box", "-J inner"), inner, proxies=("inner",))
    assert way_of(topology, "box") == ["inner"]
    assert topology.commands == {"inner": command}
    assert opening_arguments(hop_named(topology, "inner")) == ["-o", f"ProxyCommand={command}", "inner"]


def test_a_proxys_own_time_to_connect_counts() -> None:
    """`ansible_timeout` of a proxy is what its ssh is given, unless its SSH arguments say another one."""
    slow, slower = (
        host(name, way, connect_seconds=25) for name, way in (("slow", ""), ("slower", "-o ConnectTimeout=40"))
    )
    topology = trace_all(host("box", "-J slow"), host("kiosk", "-J slower"), slow, slower, proxies=("slow", "slower"))
    assert opening_arguments(hop_named(topology, "slow"))[:2] == ["-o", "ConnectTimeout=25"]
    assert opening_arguments(hop_named(topology, "slower"))[:2] == ["-o", "ConnectTimeout=40"]


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("cloudflared access ssh", "cloudflared"),
        ("TOKEN=secret exec /opt/bin/aws ssm", "aws"),
        ("sudo -u x nc %h %p", "-u"),
        ("", ""),
    ],
)
def test_only_the_programs_name_is_told(command: str, name: str) -> None:
    """The arguments of a ProxyCommand may hold secrets."""
    assert program_of(command) == name


# -- mistakes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("ProxyJump=tunnel-proxy", "did you mean -o ProxyJump=tunnel-proxy?"),
        ("Password=secret", "did you mean -o Password=...?"),
        ("-C tunnel-proxy", "'tunnel-proxy' does not begin with - and is no option's value"),
        ("-o ProxyJump='a", "SSH arguments cannot be split into words"),
    ],
)
def test_arguments_that_are_no_options_are_an_error(arguments: str, words: str) -> None:
    """What ssh would take for a host or a command is refused with what was probably meant, and no value is quoted."""
    with pytest.raises(PathError) as caught:
        split_options(arguments)
    assert words in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_misspelt_proxy_is_answered_with_the_right_one(tmp_path: Path) -> None:
    """A name that resembles a host's is refused, unless ssh's files or the name service know it."""
    config = tmp_path / "config"
    config.write_text("Host tunel-proxy\n  HostName 10.0.0.1\n")
    topology = trace_all(
        host("wrong", "-J tunel-proxy"),
        host("wrong, too", '-o ProxyCommand="ssh -W %h:%p tunel-proxy"'),
        host("alias", f"-J tunel-proxy -F {config}"),
        host("localhosts", "-J localhost"),
        host("far", "-J quite-another"),
    )
    sentence = "tunel-proxy: no such host; did you mean tunnel-proxy?"
    assert topology.problems == {"wrong": sentence, "wrong, too": sentence}
    assert way_of(topology, "alias") == ["tunel-proxy"]


def test_a_circle_is_an_error() -> None:
    """Hosts that are reached through each other are named in their order."""
    topology = trace_all(host("a", "-J b"), host("b", "-J a"), host("c", '-o ProxyCommand="ssh -W %h:%p a"'))
    assert topology.problems["a"] == "its ProxyJump goes round in a circle: a -> b -> a"
    assert set(topology.problems) == {"a", "b", "c"}


# -- ssh's own configuration ------------------------------------------------------------------------------------------

CONFIG = """
Host box-* !box-direct
  ProxyJump gate
Host gate
  HostName proxy.example.com
  User proxy-user
Host box-old
  ProxyCommand ssh -F {file} -W %h:%p deep
Host deep
  HostName 10.1.0.1
  Port 2222
  ProxyJump me@outer
Host box-nc
  ProxyCommand nc --token secret %h %p
Host box-far
  HostName 10.9.9.9
  Port 8009
"""


def asked(tmp_path: Path, *names: str) -> Topology:
    """The topology of hosts that only an SSH configuration file says the way to."""
    file = tmp_path / "ssh.conf"
    file.write_text(CONFIG.replace("{file}", str(file)).replace("Host box-* !", "Host box-1 box-far !"))
    return trace_all(*(host(name, f"-F {file}") for name in names))


def test_a_jump_that_only_a_configuration_file_knows_is_found(tmp_path: Path) -> None:
    """Its proxies have the file's names, or that of the inventory's proxy that is meant; a chain in it is followed."""
    topology = asked(tmp_path, "box-1", "box-old", "box-nc", "box-far", "box-direct")
    assert {name: way_of(topology, name) for name in topology.last_hop if name.startswith("box")} == {
        "box-1": ["tunnel-proxy"],
        "box-old": ["me@outer", "deep"],
        "box-nc": [],
        "box-far": ["tunnel-proxy"],
        "box-direct": [],
    }
    assert topology.commands == {"box-nc": "nc --token secret %h %p"}
    far = host("box-far")
    assert place_of(far, topology) == ("10.9.9.9", 8009)


def test_nobody_is_asked_where_no_file_says_a_proxy(tmp_path: Path) -> None:
    """ssh is started for none but the hosts that a line about a proxy may be meant for, also in an included file."""
    included, file = tmp_path / "included", tmp_path / "config"
    included.write_text("# ProxyJump no\nHost a? *.far\n  ProxyJump gate\nHost *\n  User me\n")
    file.write_text(f"Host x\n  ProxyCommand none\n  Include {tmp_path}/incl*\nHost *\n  Compression yes\n")
    client = ClientConfig()
    wanted = {name: client.may_say_proxy(Question(name, config=str(file))) for name in ("a1", "b.far", "x", "b", "a12")}
    assert wanted == {"a1": True, "b.far": True, "x": True, "b": False, "a12": False}
    counter = tmp_path / "ssh"
    counter.write_text(f'#!/bin/sh\necho >> {tmp_path}/asked\nexec ssh "$@"\n')
    counter.chmod(0o755)
    client.look_up_all(Question(name, config=str(file), program=str(counter)) for name in wanted)
    assert (tmp_path / "asked").read_text().count("\n") == 3
    assert client.look_up(Question("b", config=str(file))) is None
    for text in (
        "Match host z\n  ProxyJump gate\n",
        "ProxyJump gate\n",
        "CanonicalizeHostname yes\n",
        "Include %d/x\n",
    ):
        file.write_text(text)
        assert ClientConfig().may_say_proxy(Question("b", config=str(file))), text


def test_a_proxy_under_another_name_keeps_what_the_file_says(tmp_path: Path) -> None:
    """Two files that know different machines by one name are two proxies, each with its own file's settings."""
    files = [tmp_path / "one", tmp_path / "two"]
    for number, file in enumerate(files, start=1):
        file.write_text(f"Host gate\n  HostName 10.0.0.{number}\n  User user-{number}\n  IdentityFile /key-{number}\n")
    topology = trace_all(*(host(f"box-{file.name}", f"-J gate -F {file}") for file in files))
    one, two = (topology.last_hop[f"box-{file.name}"] for file in files)
    assert one
    assert two
    assert (one.target, one.settings, one.config) == ("gate", (), str(files[0]))
    assert two.target != "gate"
    assert two.settings == ("user user-2", "hostname 10.0.0.2", "identityfile /key-2")


def test_a_relative_file_starts_at_the_inventorys_folder(tmp_path: Path) -> None:
    """Key and configuration files in SSH arguments mean the same wherever ssh is started."""
    options = split_options("-F ssh.conf -i key -o IdentityFile=other -i ~/mine -i /abs", base=tmp_path)
    assert options.config == f"{tmp_path}/ssh.conf"
    assert options.rest == (
        *("-i", f"{tmp_path}/key", "-o", f"IdentityFile={tmp_path}/other", "-i", "~/mine", "-i", "/abs"),
    )
    assert split_options("-F ~/ssh.conf").config == os.path.expanduser("~/ssh.conf")  # noqa: PTH111


def test_ssh_is_not_kept_from_saying_what_happened() -> None:
    """-q, -v and a LogLevel of the inventory's do not hide the reason why a connection failed."""
    options = split_options("-q -vvv -oLogLevel=ERROR -C -o ServerAliveInterval=7 -p 22")
    assert options.heard() == ["-C", "-o", "ServerAliveInterval=7", "-p", "22"]
    assert Options().heard() == []


def test_no_file_of_known_hosts_hides_ours_unless_keys_are_not_checked_at_all() -> None:
    """Many an ansible.cfg has /dev/null for it; who tells ssh itself to check no keys has meant it."""
    nothing = ("-o", "UserKnownHostsFile=/dev/null")
    assert split_options("-C -o UserKnownHostsFile=/dev/null -4").rest == ("-C", "-4")
    assert split_options("-o UserKnownHostsFile=mine").rest == ("-o", "UserKnownHostsFile=mine")
    off = ("-o", "StrictHostKeyChecking=no")
    assert split_options("-o UserKnownHostsFile=/dev/null -o StrictHostKeyChecking=no").rest == nothing + off


@pytest.mark.parametrize("at_once", [1, 2])
def test_no_more_proxies_are_opened_at_once_than_asked_for(
    at_once: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of a chain wait for each other and hold a place meanwhile; all of them are opened nevertheless."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "now").mkdir()
    ssh = tmp_path / "bin" / "ssh"
    ssh.write_text(f"#!/bin/sh\ncd {tmp_path}/now; touch $$; ls | wc -l >> ../seen; sleep 0.05; rm $$\n")
    ssh.chmod(0o755)
    monkeypatch.setenv("PATH", f"{ssh.parent}:{os.environ['PATH']}")
    topology = trace_all(host("far", "-J a,b,c,d"), *(host(f"box-{n}", f"-J gate-{n}") for n in range(3)))
    opener = Opener(Workdir(tmp_path), tmp_path / "known_hosts", {}, at_once=at_once)
    wanted = {hop.spec for hop in topology.last_hop.values() if hop}
    with opener.open_all(topology, wanted) as coming:
        answers = dict(one for one in coming if one)
    assert len(answers) == 7
    assert {answer.outcome for answer in answers.values()} == {Outcome.ANSWERED}
    assert max(int(line) for line in (tmp_path / "seen").read_text().split()) == at_once
