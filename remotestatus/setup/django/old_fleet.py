"""Converts the old app's settings and remotes to a new fleet."""

import os
import posixpath
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

from remotestatus.model.durations import write_duration
from remotestatus.setup.django.expressions import Unknown, Value
from remotestatus.setup.django.old_values import OldKey, Taken, take
from remotestatus.setup.django.project import Gap, Project
from remotestatus.setup.new_fleet import NewFleet, NewHost, name_host

_PROXY = {
    "address": OldKey(("RS_PROXY_HOSTNAME",), "text", "the proxy's ansible_host"),
    "user": OldKey(("RS_PROXY_USERNAME",), "text", "the proxy's ansible_user"),
    "port": OldKey(("RS_PROXY_PORT",), "port", "the proxy's ansible_port"),
    "key_file": OldKey(("RS_KEY_FILE",), "text", "the proxy's ansible_ssh_private_key_file"),
}
_FREQUENCIES = ("REMOTE_CHECK_FREQUENCY", "RS_REMOTE_CHECK_FREQUENCY", "CHECK_FREQUENCY")
_SETTINGS = {
    "known_hosts": OldKey(("RS_KNOWN_HOSTS_FILE",), "text", "remotestatus_known_hosts"),
    "tunnel": OldKey(("SSH_TUNNELING",), "True or False", "ansible_ssh_common_args"),
    "people": OldKey(("RS_USERS_TO_NOTIFY",), "list", "remotestatus_apprise"),
    "every": OldKey(_FREQUENCIES, "number", "remotestatus_every"),
}
_MAIL = {
    "host": OldKey(("EMAIL_HOST",), "text", "remotestatus_apprise"),
    "port": OldKey(("EMAIL_PORT",), "port", "remotestatus_apprise"),
    "user": OldKey(("EMAIL_HOST_USER",), "text", "remotestatus_apprise"),
    "password": OldKey(("EMAIL_HOST_PASSWORD",), "secret", "remotestatus_apprise"),
    "tls": OldKey(("EMAIL_USE_TLS",), "True or False", "remotestatus_apprise"),
    "ssl": OldKey(("EMAIL_USE_SSL",), "True or False", "remotestatus_apprise"),
    "sender": OldKey(("DEFAULT_FROM_EMAIL",), "text", "remotestatus_apprise"),
}
_REMOTE = {
    "nickname": OldKey(("nickname", "name"), "text", "remotestatus_nickname"),
    "description": OldKey(("description",), "text", "remotestatus_description"),
    "location": OldKey(("location",), "text", "remotestatus_location"),
    "user": OldKey(("remote_username", "username"), "text", "ansible_user"),
    "password": OldKey(("remote_password", "password"), "secret", "ansible_password"),
    "port": OldKey(("remote_port", "port"), "port", "ansible_port"),
    "forwarded_port": OldKey(("forwarded_port", "local_port"), "port", "remotestatus_forwarded_port"),
    "processes": OldKey(("processes",), "list", "remotestatus_processes"),
    "address": OldKey(("remote_hostname", "hostname", "host", "ip"), "text", "ansible_host"),
    "proxy_address": OldKey(("proxy_hostname",), "text", "the proxy's ansible_host"),
    "proxy_user": OldKey(("proxy_username",), "text", "the proxy's ansible_user"),
    "proxy_port": OldKey(("proxy_port",), "port", "the proxy's ansible_port"),
}
_TAKEN_OVER = {name: key.variable for name, key in _REMOTE.items() if key.variable.startswith("remotestatus_")}
_SETTING_NAMES = frozenset(name for key in (_PROXY | _SETTINGS).values() for name in key.spellings)
_REMOTE_NAMES = frozenset(name for key in _REMOTE.values() for name in key.spellings)
_DAY = 24 * 60  # minutes


@dataclass(frozen=True, slots=True)
class OldFleet:
    """The new fleet, and all that was not converted. `counts` has the number of remotes in each file."""

    answers: NewFleet
    settings_file: str
    counts: Mapping[str, int]
    gaps: tuple[Gap, ...]
    known_hosts_file: str | None


def read_project(settings: Path, remotes: Sequence[Path]) -> OldFleet:
    """
    Read a settings file, or the best one in a folder, and all `remotes.py` files named or below the folders named.

    Raises OSError for a file that was named and is not there.
    """
    places = [Path(os.path.normpath(place.absolute())) for place in (settings, *(remotes or [settings]))]
    for place in places:
        place.stat()
    project = Project(Path(os.path.commonpath([place if place.is_dir() else place.parent for place in places])))
    chosen = _choose_settings(project, places[0]) if places[0].is_dir() else places[0]
    base = places[0]
    if chosen:
        project.settings = project.read(chosen)
        base = chosen.parents[1] if chosen.parent.name == "settings" else chosen.parent
    planner = _Planner(project, str(base))
    found: list[Path] = []
    for place in places[1:]:
        inside = project.find_files(place)[1] if place.is_dir() else [place]
        if not inside:
            project.note(str(place), "there is no remotes.py below it", "name the right folder")
        found += inside
    if chosen and "REMOTES" in project.settings:
        found.append(chosen)
    for path in {path.resolve(): path for path in found}.values():
        planner.add_file(project.shorten(path), project.read(path))
    return planner.finish(project.shorten(chosen) if chosen else "no file")


def _choose_settings(project: Project, folder: Path) -> Path | None:
    """The file with the most settings; of equals, a production one before a base one."""
    trials = {path: Project(project.root) for path in project.find_files(folder)[0]}
    said = {path: len(_SETTING_NAMES & trial.read(path).keys()) for path, trial in trials.items()}
    ranks = {path: (said[path], "prod" in path.stem, not re.search("base|dev|test|local", path.stem)) for path in said}
    chosen = max(ranks, key=lambda path: ranks[path], default=None)
    if chosen is None or not said[chosen]:
        project.note(str(folder), "no settings file in it has the old app's settings", "name that file as SETTINGS")
        return None
    others = [project.shorten(path) for path in said if said[path] and path not in trials[chosen].files]
    if others:
        what = f"was taken for the settings, and not {', '.join(others)}"
        project.note(project.shorten(chosen), what, "name another as SETTINGS if that one is in use")
    return chosen


class _Planner:
    """Goes through the old fleet remote by remote."""

    def __init__(self, project: Project, base: str) -> None:
        self.project, self.settings, self.note, self.base = project, project.settings, project.note, base
        self.proxies: dict[tuple[object, ...], NewHost] = {}
        self.remotes: dict[str, NewHost] = {}
        self.seen: set[int] = set()
        self.counts: Counter[str] = Counter()
        before = len(project.gaps)
        self.usual = take(self.settings, _PROXY, self.note)
        self.usual_gaps = self._sentences(before)
        self.general = take(self.settings, _SETTINGS, self.note)

    def _sentences(self, before: int) -> tuple[str, ...]:
        """The gaps since then, as texts for the inventory."""
        return tuple(f"{gap.what}; {gap.cure}" for gap in self.project.gaps[before:])

    def add_file(self, file: str, names: Mapping[str, Value]) -> None:
        self.counts[file] += 0
        found = names.get("REMOTES")
        if found is None:
            self.note(file, "there is no REMOTES in it", "nothing was taken from this file")
            return
        for entry in found.value if isinstance(found.value, list) else [found]:
            # An imported list occurs twice.
            if isinstance(entry.value, dict) and id(entry) not in self.seen:
                self.add_remote(entry.where, entry.value)
            elif isinstance(entry.value, Unknown):
                what = f"REMOTES may be changed by code here ({entry.value.text})"
                self.note(entry.where, what, "compare the written inventory with what it makes")
            elif not isinstance(entry.value, dict):
                self.note(entry.where, "an entry of REMOTES is no dictionary", "it is not carried over")
            self.seen.add(id(entry))

    def add_remote(self, where: str, entry: Mapping[str, Value]) -> None:
        self.counts[where.rpartition(":")[0]] += 1
        before = len(self.project.gaps)
        for key in [key for key in entry if key not in _REMOTE_NAMES]:
            shown = "code" if key.startswith("**") else "no key that the old app knew"
            self.note(entry[key].where, f"{key!r} is {shown}", "it is not carried over")
        taken = take(entry, _REMOTE, self.note)
        via, address = self.find_way(where, taken)
        if via and "port" not in taken:
            self.note(where, "it has no remote port", "write ansible_port, its tunnel's port on the proxy")
        user, port = taken.get("user"), taken.get("port")
        called = taken.get("nickname") or user or "remote"
        name = name_host(called, self.names(), str(port or taken.get("forwarded_port") or ""))
        taken["processes"] = self.read_processes(taken.get("processes") or ())
        gaps = self._sentences(before)
        if "nickname" not in taken:
            self.note(where, "it has no nickname", f"it is called {name} now; say otherwise in remotestatus_nickname")
        self.remotes[name] = NewHost(
            name=name,
            address=address,
            port=port,
            user=user,
            password=taken.get("password"),
            wants_password=bool(entry.keys() & _REMOTE["password"].spellings),
            via=via,
            variables={variable: taken.get(key) for key, variable in _TAKEN_OVER.items()},
            gaps=gaps,
        )

    def names(self) -> list[str]:
        return [*(proxy.name for proxy in self.proxies.values()), *self.remotes]

    def absolute(self, path: str | None) -> str | None:
        """A path of the settings, below the project's folder."""
        return path if path is None or path.startswith("~") else posixpath.join(self.base, path)

    def find_way(self, where: str, taken: Taken) -> tuple[tuple[str, ...], str | None]:
        """The proxy and the address of a remote; missing values come from the settings."""
        address = taken.get("address")
        if self.general.get("tunnel") is False:
            if address is None:
                self.note(where, "SSH_TUNNELING is False, and no address is given", "write its ansible_host")
            return (), address
        # An unreadable own proxy is not replaced by that of the settings.
        proxy = taken.get("proxy_address") if "proxy_address" in taken else self.usual.get("address")
        if not proxy:
            self.note(where, "nothing says which proxy it is reached through", "add one: ProxyJump")
            return (), address or "127.0.0.1"
        # Another host may have another port than the settings.
        same = proxy == self.usual.get("address")
        port = taken.get("proxy_port") or (self.usual.get("port") if same else None)
        user = taken.get("proxy_user") or self.usual.get("user")
        if (proxy, port, user) not in self.proxies:
            name = name_host(proxy, self.names(), user or str(port or ""))
            key_file = self.absolute(self.usual.get("key_file"))
            gaps = self.usual_gaps if same else ()
            self.proxies[proxy, port, user] = NewHost(name, proxy, port, user, key_file, gaps=gaps)
        return (self.proxies[proxy, port, user].name,), address or "127.0.0.1"

    def read_processes(self, found: Iterable[Value]) -> tuple[str, ...]:
        kept: dict[str, None] = {}
        for item in found:
            text = item.value.strip() if isinstance(item.value, str) else ""
            if not text or len(text) > 4000:
                self.note(item.where, "an entry of 'processes' has no fixed text", "write that process yourself")
                continue
            kept[text] = None
            if re.search(r"[\[\]*|^$\\;&<>`]", text):
                what = f"the process {text!r} was a grep pattern, and means these words now"
                cure = "if it was meant as a pattern, write {regex: '...'}; `remotestatus match` shows what it finds"
                self.note(item.where, what, cure)
        return tuple(kept)

    def every(self) -> timedelta:
        """Minutes, as in the old app; an implausible value is a gap."""
        usual, value = timedelta(minutes=10), self.general.get("every")
        if not isinstance(value, int | float):
            return usual
        name = next(name for name in _FREQUENCIES if name in self.settings)
        where = self.settings[name].where
        if not 1 / 60 <= value <= _DAY * 7 * 60:
            what = f"{name} is {value:g}, which is no usable frequency"
            self.note(where, what, "10m was written: remotestatus_every")
            return usual
        seconds, minutes = timedelta(seconds=round(value)), timedelta(seconds=round(value * 60))
        if value > _DAY:
            what = f"{name} is {value:g}, which in minutes, as the old app took it, would be {value / _DAY:.3g} days"
            cure = f"it was taken for seconds, and remotestatus_every: {write_duration(seconds)} was written; "
            self.note(where, what, f"{cure}correct it if something else was meant, for example 10m")
            return seconds
        if value > 120 and value % 60 == 0:
            what = f"{name} is {value:g} minutes, {write_duration(minutes)}, which was written"
            self.note(where, what, f"if seconds were meant, write remotestatus_every: {write_duration(seconds)}")
        return minutes

    def mail(self) -> NewFleet:
        """The destination for RS_USERS_TO_NOTIFY, with its secrets and gaps."""
        people = []
        for entry in self.general.get("people") or ():
            # Django's ADMINS are pairs of name and address.
            address = entry.value[-1].value if isinstance(entry.value, list) and entry.value else entry.value
            if isinstance(address, str) and re.fullmatch(r"[^\s@,;<>]+@[^\s@,;<>]+", address.strip()):
                people.append(address.strip())
            else:
                what = "an entry of RS_USERS_TO_NOTIFY is no fixed mail address"
                self.note(entry.where, what, "add that person to remotestatus_apprise")
        if not people:
            return NewFleet()
        before = len(self.project.gaps)
        server = take(self.settings, _MAIL, self.note)
        if None in server.values() or "host" not in server:
            example = _mail_url({"host": "mail.example.com"}, people)
            what = f"{', '.join(people)} were told by mail, and the settings name no mail server in fixed values"
            where = self.settings["RS_USERS_TO_NOTIFY"].where
            self.note(where, what, f"name one in remotestatus_apprise, for example {example}")
            return NewFleet(gaps=self._sentences(before))
        url = _mail_url(server, people)
        if "password" in server:
            return NewFleet(apprise=("{{ vault_mail }}",), secrets=(("vault_mail", url),))
        return NewFleet(apprise=(url,))

    def finish(self, settings_file: str) -> OldFleet:
        for name in self.settings:
            if name.startswith("RS_") and name not in _SETTING_NAMES:
                what = f"{name} is no setting that the old app knew"
                self.note(self.settings[name].where, what, "it is not carried over")
        answers = replace(
            self.mail(),
            proxies=tuple(self.proxies.values()),
            remotes=tuple(self.remotes.values()),
            every=self.every(),
        )
        known_hosts = self.absolute(self.general.get("known_hosts"))
        gaps = tuple(sorted(dict.fromkeys(self.project.gaps), key=_in_order))
        return OldFleet(answers, settings_file, self.counts, gaps, known_hosts)


def _in_order(gap: Gap) -> tuple[str, int]:
    file, _, line = gap.where.rpartition(":")
    return (file, int(line)) if line.isdecimal() else (gap.where, 0)


def _mail_url(server: Taken, people: Iterable[str]) -> str:
    """An Apprise URL for Django's mail settings; see https://appriseit.com/services/email/."""
    user, password = server.get("user"), server.get("password")
    login = f"{quote(user, safe='')}:{quote(password, safe='')}@" if user and password else ""
    host = f"{quote(server['host'], safe='')}:{server.get('port') or 25}"
    sender = re.sub(r"^.*<([^<>]+)>$", r"\1", server.get("sender") or "webmaster@localhost")
    to = ",".join(quote(person, safe="@") for person in people)
    mode = "ssl" if server.get("ssl") else "starttls" if server.get("tls") else "insecure"
    scheme = "mailto" if mode == "insecure" else "mailtos"
    return f"{scheme}://{login}{host}?from={quote(sender, safe='@')}&to={to}&mode={mode}"
