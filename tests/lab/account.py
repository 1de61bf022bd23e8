"""
A login on this machine: whoever runs the tests, or a temporary account made for them.

Key logins work as whoever runs the tests. A password or a login shell of its own needs an account in /etc/passwd,
which only root can make; the keeper removes it when the lab ends.
"""

import os
import pwd
import secrets
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from tests.lab.keeper import Keeper
from tests.lab.requirements import program, require_root


@dataclass(frozen=True, slots=True)
class Login:
    """Someone sshd can let in. `home` is the home directory of an account; None keeps the lab out of a real one."""

    user: str
    home: Path | None = None

    def set_password(self, password: str) -> None:
        _retry([program("chpasswd"), "-c", "SHA512"], text=f"{self.user}:{password}\n")


def own_login(keeper: Keeper, folder: Path) -> Login:
    """
    The login of whoever runs the tests.

    Without PAM, sshd refuses a locked account, as root's may be; then a temporary one takes its place.
    """
    user = pwd.getpwuid(os.geteuid()).pw_name
    if os.geteuid() == 0 and _locked(user):
        return make_account(keeper, folder / "account", shell="/bin/sh")
    return Login(user)


def make_account(keeper: Keeper, home: Path, *, shell: str, password: str | None = None) -> Login:
    """A temporary account with a random name; skips the test (on CI fails it) when not run by root."""
    require_root("a login with a password or a login shell of its own")
    user = f"rslab-{secrets.token_hex(4)}"
    home.mkdir(mode=0o755)
    keeper.at_the_end([program("userdel"), "--force", user])
    _retry(
        [
            *(program("useradd"), "--no-create-home", "--no-user-group", "--no-log-init", "--home-dir", str(home)),
            *("--shell", shell, "--comment", "test laboratory", user),
        ]
    )
    shutil.chown(home, user)
    login = Login(user, home)
    # Any password at all: an account without one is a locked one.
    login.set_password(password if password is not None else secrets.token_hex(16))
    return login


def allow_sudo(keeper: Keeper, login: Login, rule: str) -> None:
    """Give an account a rule of sudoers(5) until the lab ends, for instance `ALL=(root) NOPASSWD: ALL`."""
    require_root("a rule for sudo")
    path = Path("/etc/sudoers.d") / login.user
    keeper.at_the_end(["rm", "-f", str(path)])
    path.touch(mode=0o440)
    path.write_text(f"{login.user} {rule}\n")


def _retry(argv: list[str], text: str = "") -> None:
    """Parallel test processes share the lock of /etc/passwd."""
    for attempt in range(10):
        done = subprocess.run(argv, input=text, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode == 0:
            return
        time.sleep(0.1 * attempt)
    raise RuntimeError(f"{argv[0]} failed: {done.stderr.strip()}")


def _locked(user: str) -> bool:
    for line in Path("/etc/shadow").read_text().splitlines():
        name, secret, *_ = line.split(":")
        if name == user:
            return secret.startswith("!")
    return False
