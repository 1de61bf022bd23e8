"""
What a box says of itself: recorded /proc and /sys trees of real kinds of machines, read by the real probe.
"""

import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import pytest
from remotestatus_playbook.machine_facts import Facts, Mount, ReserveState
from remotestatus_playbook.probe_output import ProbeOutput, parse
from remotestatus_playbook.probe_script import Questions, compose
from remotestatus_playbook.protocol import FileOutput

from tests.lab import require_program, require_root

NONCE = "0123456789abcdefABCDEF"
SHELLS = {
    "dash": ["dash", "-s"],
    "bash": ["bash", "-s"],
    "busybox": ["busybox", "sh", "-s"],
    "mksh": ["mksh", "-s"],
    "ksh93": ["ksh93", "-s"],
    "yash": ["yash", "-s"],
    "posh": ["posh"],
}
BOOT = "2f0e1d3c-9a8b-4c7d-8e6f-0123456789ab"
CPU = "cpu0 1 2\nbtime 1700000000\nctxt 77\n"


@dataclass(frozen=True)
class Machine:
    """Files of a machine by path, programs that it has, and what is read of it."""

    files: dict[str, str]
    expected: Facts
    programs: dict[str, str] = field(default_factory=dict)

    def write(self, top: Path) -> None:
        """Write the tree."""
        for path, text in {
            "proc/self/environ": "",
            "proc/self/stat": "1 (x) S\n",
            "proc/1/stat": "",
            **self.files,
        }.items():
            file = top / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        for name, text in self.programs.items():
            file = top / "bin" / name
            file.parent.mkdir(exist_ok=True)
            file.write_text(f"#!/bin/sh\n{text}\n")
            file.chmod(0o755)


def _proc(uptime: str, kernel: str, mounts: str) -> dict[str, str]:
    return {
        "proc/uptime": f"{uptime} 1.0\n",
        "proc/loadavg": "0.20 0.10 0.05 1/99 1234\n",
        "proc/stat": CPU,
        "proc/sys/kernel/osrelease": f"{kernel}\n",
        "proc/sys/kernel/random/boot_id": f"{BOOT}\n",
        "proc/mounts": mounts,
    }


COMMON = Facts(load=(0.2, 0.1, 0.05), cpus=1, boot_id=BOOT, disks=None)
DEBIAN = Machine(
    {
        **_proc(
            "1234.50",
            "6.1.0-18-amd64",
            "sysfs /sys sysfs rw 0 0\n/dev/sda1 / ext4 rw,relatime,errors=remount-ro 0 0\n"
            "/dev/loop3 /snap/core/1 squashfs ro,nodev 0 0\ntmpfs /run tmpfs rw 0 0\n"
            "/dev/sdb1 /srv/my\\040video xfs ro,noatime 0 0\n/dev/sdb1 /srv/my\\040video xfs rw,noatime 0 0\n"
            "/dev/sdc1 /media/archive ext4 ro 0 0\n",
        ),
        "proc/vmstat": "nr_free_pages 7\noom_kill 3\n",
        "proc/pressure/cpu": "some avg10=1.00 avg60=2.00 avg300=3.25 total=7\nfull avg10=0 avg60=0 avg300=0 total=0\n",
        "proc/pressure/io": "some avg10=0.00 avg60=0.00 avg300=0.50 total=7\n",
        "etc/fstab": "# <file system>\nUUID=1\t/\text4\terrors=remount-ro 0 1\n"
        "/dev/sdc1  /media/archive ext4 ro,noauto 0 2\n",
        "etc/os-release": 'NAME="Debian"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n',
        "sys/fs/ext4/sda1/errors_count": "0\n",
        "sys/fs/ext4/sdc1/errors_count": "2\n",
        "sys/fs/ext4/features/lazy_itable_init": "supported\n",
        "sys/class/hwmon/hwmon0/name": "coretemp\n",
        "sys/class/hwmon/hwmon0/temp1_input": "48000\n",
        "sys/class/hwmon/hwmon1/name": "drivetemp\n",
        "sys/class/hwmon/hwmon1/temp1_input": "99000\n",
        "sys/class/thermal/thermal_zone0/temp": "27800\n",
        "lib/modules/6.1.0-20-amd64/modules.dep": "",
        "run/systemd/system/x": "",
    },
    Facts(
        uptime_seconds=1234.5,
        load=(0.2, 0.1, 0.05),
        cpus=1,
        boot_id=BOOT,
        kernel="6.1.0-18-amd64",
        distribution="Debian GNU/Linux 12 (bookworm)",
        mounts=(
            Mount("/", "/dev/sda1", "ext4", read_only=False),
            Mount("/srv/my video", "/dev/sdb1", "xfs", read_only=False),
            Mount("/media/archive", "/dev/sdc1", "ext4", read_only=True, meant=True),
        ),
        filesystem_errors={"sda1": 0, "sdc1": 2},
        oom_kills=3,
        pressure={"cpu": 3.25, "io": 0.5},
        temperature_celsius=48.0,
        reboot_required=True,
        clock_synchronised=True,
        failed_units=("capture.service", "b@1.timer"),
        hourly=True,
    ),
    {
        "timedatectl": 'echo "NTPSynchronized=yes"',
        "systemctl": "echo '  capture.service loaded failed failed Films\nb@1.timer loaded failed failed B'",
        "journalctl": "",
    },
)
RASPBERRY_PI = Machine(
    {
        **_proc(
            "99.00",
            "6.6.31+rpt-rpi-v8",
            "/dev/mmcblk0p2 / ext4 ro,noatime,emergency_ro 0 0\n/dev/mmcblk0p1 /boot/firmware vfat rw 0 0\n",
        ),
        "etc/os-release": 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n',
        "sys/fs/ext4/mmcblk0p2/errors_count": "17\n",
        "sys/class/thermal/thermal_zone0/temp": "81200\n",
        "sys/class/hwmon/hwmon0/name": "cpu_thermal\n",
        "sys/class/hwmon/hwmon0/temp1_input": "80900\n",
        "sys/class/hwmon/hwmon1/name": "rpi_volt\n",
        "sys/class/hwmon/hwmon1/in0_lcrit_alarm": "1\n",
        "sys/block/mmcblk0/device/life_time": "0x03 0x0b\n",
        "sys/block/mmcblk0/device/pre_eol_info": "0x02\n",
        "run/reboot-required": "",
    },
    Facts(
        uptime_seconds=99.0,
        load=(0.2, 0.1, 0.05),
        cpus=1,
        boot_id=BOOT,
        kernel="6.6.31+rpt-rpi-v8",
        distribution="Debian GNU/Linux 12 (bookworm)",
        mounts=(
            Mount("/", "/dev/mmcblk0p2", "ext4", read_only=True),
            Mount("/boot/firmware", "/dev/mmcblk0p1", "vfat", read_only=False),
        ),
        filesystem_errors={"mmcblk0p2": 17},
        temperature_celsius=81.2,
        under_voltage=True,
        emmc_wear_percent=110,
        emmc_reserve=ReserveState.WARNING,
        reboot_required=True,
        clock_synchronised=False,
        hourly=True,
    ),
    {"adjtimex": "echo '    return value: 5 (clock not synchronized)'"},
)
OPENWRT = Machine(
    {
        **_proc(
            "86400.00",
            "5.15.150",
            "/dev/root /rom squashfs ro,relatime 0 0\nubi0:rootfs_data /overlay ubifs rw,noatime 0 0\n"
            "overlayfs:/overlay / overlay rw,noatime 0 0\n",
        ),
        "etc/os-release": 'NAME="OpenWrt"\nPRETTY_NAME="OpenWrt 23.05.3"\n',
        "lib/modules/5.15.150/modules.dep": "",
    },
    Facts(
        uptime_seconds=86400.0,
        load=(0.2, 0.1, 0.05),
        cpus=1,
        boot_id=BOOT,
        kernel="5.15.150",
        distribution="OpenWrt 23.05.3",
        mounts=(Mount("/overlay", "ubi0:rootfs_data", "ubifs", read_only=False),),
        reboot_required=False,
        clock_synchronised=True,
        hourly=True,
    ),
    {"adjtimex": "echo '    return value: 0 (clock synchronized)'"},
)
CONTAINER = Machine(
    {
        **_proc(
            "5.00",
            "6.8.0-31-generic",
            "overlay / overlay rw,relatime 0 0\n/dev/sda1 /etc/hosts ext4 rw,relatime 0 0\n"
            "/dev/sda1 /data ext4 ro,relatime 0 0\n",
        ),
        ".dockerenv": "",
        "etc/os-release": 'PRETTY_NAME="Alpine Linux v3.20"\n',
        "lib/modules/5.4.0/modules.dep": "",
        "run/reboot-required": "",
    },
    Facts(
        uptime_seconds=5.0,
        load=(0.2, 0.1, 0.05),
        cpus=1,
        boot_id=BOOT,
        kernel="6.8.0-31-generic",
        distribution="Alpine Linux v3.20",
        mounts=(Mount("/data", "/dev/sda1", "ext4", read_only=True),),
        hourly=True,
        clock_synchronised=True,
    ),
    {"adjtimex": "echo '    return value: 0 (clock synchronized)'"},
)
MACHINES = {"debian": DEBIAN, "raspberry-pi": RASPBERRY_PI, "openwrt": OPENWRT, "alpine-container": CONTAINER}


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest) -> list[str]:
    """Each shell that is installed here."""
    command = SHELLS[request.param]
    require_program(command[0], "this test")
    return command


def read(shell: list[str], script: bytes, top: Path | None = None, *, own: bool = False) -> ProbeOutput:
    """What the probe says of the tree at `top`; with `own` processes it can end those that it starts."""
    if top is not None:
        proc = "/proc" if own else f"{top}/proc"
        script = script.replace(b"\nPROC=/proc\nTOP=\n", f"\nPROC={proc}\nTOP={top}\n".encode(), 1)
        assert f"TOP={top}".encode() in script
    path = f"{top}/bin:{os.environ['PATH']}" if top else os.environ["PATH"]
    done = subprocess.run(
        shell, input=script, capture_output=True, timeout=30, check=True, env={**os.environ, "PATH": path}
    )
    assert done.stderr == b""
    output = parse(done.stdout, NONCE)
    assert output.complete
    return output


@pytest.mark.parametrize("name", MACHINES)
def test_a_machine_is_described(name: str, tmp_path: Path) -> None:
    """Each kind of machine tells what it has, and what it has not is absent."""
    machine = MACHINES[name]
    machine.write(tmp_path)
    script = compose(NONCE, Questions(hourly=True))
    facts = read(["dash", "-s"], script, tmp_path).facts
    told = {key: getattr(facts, key) for key in Facts.__slots__ if key not in ("disks", "notes")}
    assert told == {key: getattr(machine.expected, key) for key in told}


def test_every_shell_reads_the_same(shell: list[str], tmp_path: Path) -> None:
    """The facts of a machine do not depend on its shell."""
    DEBIAN.write(tmp_path)
    script = compose(NONCE, Questions(hourly=True))
    facts = read(shell, script, tmp_path).facts
    told = {key: getattr(facts, key) for key in Facts.__slots__ if key not in ("disks", "notes")}
    assert told == {key: getattr(DEBIAN.expected, key) for key in told}


def test_what_is_asked_once_an_hour_is_not_asked_each_time(tmp_path: Path) -> None:
    """Without being told to, the probe starts neither systemctl nor timedatectl nor journalctl."""
    DEBIAN.write(tmp_path)
    for name in ("systemctl", "timedatectl", "journalctl"):
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n: >{tmp_path}/started\n")
    facts = read(["dash", "-s"], compose(NONCE, Questions()), tmp_path).facts
    assert (facts.hourly, facts.failed_units, facts.clock_synchronised) == (False, None, None)
    assert not (tmp_path / "started").exists()


def test_a_systemctl_that_hangs_costs_only_the_units(tmp_path: Path) -> None:
    """systemctl is ended after its time; the rest is there, and a note says what is not."""
    DEBIAN.write(tmp_path)
    (tmp_path / "bin" / "systemctl").write_text("#!/bin/sh\nsleep 60\n")
    script = compose(NONCE, Questions(units=["a.service"]))
    output = read(["dash", "-s"], script, tmp_path, own=True)
    assert output.answer.units is None
    assert any("systemctl" in note for note in output.facts.notes)
    assert output.facts.distribution == "Debian GNU/Linux 12 (bookworm)"


SHOW = """Type=simple
Id={id}
LoadState=loaded
ActiveState=failed
SubState=failed
Result=exit-code
NRestarts=57
ExecMainCode=1
ExecMainStatus=3
StateChangeTimestampMonotonic=1000000000
TriggeredBy="""


def test_units_are_read_as_systemctl_shows_them(shell: list[str], tmp_path: Path) -> None:
    """One systemctl tells all units; its words are kept, and its time is how long ago it was.

    What a service writes to a file of its own are its last lines, too.
    """
    DEBIAN.write(tmp_path)
    shown = "\n\n".join(SHOW.format(id=name) for name in ("a.service", "b@1.timer"))
    (tmp_path / "bin" / "systemctl").write_text(
        f"#!/bin/sh\ncase $1$2 in list-units*) ;; cata*) ;; catb*) echo StandardOutput=append:{tmp_path}/log ;;\n"
        f"*) echo \"$@\" >{tmp_path}/asked; cat <<'X'\n{shown}\nX\nesac\n"
    )
    (tmp_path / "log").write_text("0\n1\n2\n3\n")
    (tmp_path / "bin" / "journalctl").write_text(
        "#!/bin/sh\nfor unit; do :; done\n"
        'case $unit in *=a.service) echo one; echo "  two  three"; echo ""; echo four;; esac\n'
    )
    questions = Questions(units=["a.service", "b@1.timer"], journal=True)
    output = read(shell, compose(NONCE, questions), tmp_path)
    assert output.answer.units is not None
    assert [unit.unit for unit in output.answer.units] == ["a.service", "b@1.timer"]
    assert [unit.log for unit in output.answer.units] == [("one", "  two  three", "four"), ("1", "2", "3")]
    one = output.answer.units[0]
    assert (one.load, one.active, one.result, one.restarts, one.exit_status) == ("loaded", "failed", "exit-code", 57, 3)
    assert (one.triggered, one.since_seconds) == (False, 234.5)
    assert output.facts.failed_units == ()
    assert (tmp_path / "asked").read_text().endswith("-- a.service b@1.timer\n")


def test_what_a_process_wrote_last_is_read_when_it_has_ended(shell: list[str], tmp_path: Path) -> None:
    """Its file is known while it runs: standard output, else standard error. Later no link leads to another file."""
    log, error, deleted, odd = (tmp_path / name for name in ("it's $(a) lög", "error", "deleted", "a\\nb"))
    away, none = subprocess.DEVNULL, subprocess.PIPE
    with log.open("w") as one, error.open("w") as two, deleted.open("w") as three, odd.open("w") as four:
        deleted.unlink()
        outputs: list[tuple[IO[str] | int, IO[str] | int]] = [
            (one, two),
            (away, two),
            (three, none),
            (none, none),
            (four, away),
        ]
        started = [subprocess.Popen(["sleep", "60"], stdout=out, stderr=err) for out, err in outputs]
    try:
        found = read(shell, compose(NONCE, Questions(log_files=True))).answer.log_files
    finally:
        for process in started:
            process.kill()
            process.communicate()
    assert found is not None
    paths = {one.pid: one.path for one in found}
    assert [paths.get(process.pid) for process in started] == [str(log), str(error), None, None, None]

    log.write_text("1\n2\n3\n4")
    error.unlink()
    error.symlink_to(log)
    os.mkfifo(deleted)
    asked = [str(path) for path in (log, error, deleted, tmp_path / "gone")]
    lines = read(shell, compose(NONCE, Questions(last_lines=asked))).answer.last_lines
    assert [(one.path, one.lines) for one in lines] == list(zip(asked, [("2", "3", "4"), (), (), ()], strict=True))


def test_the_newest_file_of_a_pattern_is_looked_at(shell: list[str], tmp_path: Path) -> None:
    """Its age and size come back for names with spaces and for one file; nothing found is a count of none."""
    folder = tmp_path / "my video"
    folder.mkdir()
    (folder / "old.mp4").write_text("x")
    os.utime(folder / "old.mp4", (1, 1))
    (folder / "new one.mp4").write_text("y" * 2000)
    files = [
        ("clips", f"{folder}/*.mp4"),
        ("old", f"{folder}/old.mp4"),
        ("none", f"{folder}/*.avi"),
        ("quote", "/no'where/$(id)/*"),
    ]
    found = {one.name: one for one in read(shell, compose(NONCE, Questions(files=files))).answer.files}
    assert list(found) == ["clips", "old", "none", "quote"]
    if shell != ["posh"]:  # which cannot compare two files, and says so
        assert (found["clips"].count, found["clips"].size) == (2, 2000)
        assert (found["clips"].age_seconds or 0) < 60
    assert (found["old"].count, found["old"].size) == (1, 1)
    assert (found["old"].age_seconds or 0) > 1e9
    assert found["none"] == FileOutput("none", 0)
    assert found["quote"] == FileOutput("quote", 0)


def test_a_folder_that_may_not_be_read_hides_its_files(tmp_path: Path) -> None:
    """What the account may not look at is not missing."""
    require_root("another account")
    folder = tmp_path / "private"
    folder.mkdir(mode=0o700)
    tmp_path.chmod(0o755)
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "dash", "-s"]
    questions = Questions(files=[("clips", f"{folder}/*.mp4"), ("gone", "/nonexistent/*.mp4")])
    found = read(nobody, compose(NONCE, questions)).answer.files
    assert [one.hidden for one in found] == [True, False]


def test_processes_know_their_service() -> None:
    """A service's process is known by its control group; a session's has no unit."""
    frame = (
        "[N0000000:frame\n[N0000000:linux\nN0000000:linux]\n[N0000000:owners\n"
        "/proc/7/cgroup:0::/system.slice/capture.service\n/proc/8/cgroup:1:name=systemd:/system.slice/a@1.service/x\n"
        "/proc/9/cgroup:0::/user.slice/user-1000.slice/user@1000.service/app.slice/b.service\n"
        "N0000000:owners]\n[N0000000:processes \n"
    )
    for pid in (7, 8, 9):
        frame += f"S=N0000000:process\0{pid} (x) S 1 {pid} {pid} 0 -1 0 1 1 1 1 1 1 1 1 20 0 1 0 100 1 1\nx\0"
    output = parse((frame + "N0000000:processes]\nN0000000:frame]\n").encode(), "N0000000")
    assert [one.unit for one in output.answer.processes or ()] == ["capture.service", "a@1.service", ""]


FREEBSD = """[N0000000:frame
[N0000000:clock
1700086400
N0000000:clock]
[N0000000:sysctl
kern.boottime: { sec = 1700000000, usec = 12 } Tue Nov 14 22:13:20 2023
vm.loadavg: { 0.31 0.22 0.11 }
hw.ncpu: 4
kern.ostype: FreeBSD
kern.osrelease: 14.0-RELEASE
hw.pagesize: 4096
vm.stats.vm.v_page_count: 1000000
vm.stats.vm.v_free_count: 200000
vm.stats.vm.v_inactive_count: 50000
dev.cpu.0.temperature: 52.0C
N0000000:sysctl]
[N0000000:mounts
/dev/ada0p2 on / (ufs, local, soft-updates)
devfs on /dev (devfs)
/dev/ada1p1 on /data (ufs, local, read-only)
/dev/wd0e on /var type ffs (local, nodev)
N0000000:mounts]
N0000000:frame]
"""


def test_a_bsd_tells_what_it_can() -> None:
    """FreeBSD's sysctl and the mounts of the BSDs are read into the same facts."""
    facts = parse(FREEBSD.encode(), "N0000000").facts
    assert (facts.uptime_seconds, facts.load, facts.cpus) == (86400, (0.31, 0.22, 0.11), 4)
    assert (facts.kernel, facts.boot_id, facts.temperature_celsius) == ("FreeBSD 14.0-RELEASE", "1700000000", 52.0)
    assert (facts.memory_total_kb, facts.memory_available_kb) == (4000000, 1000000)
    assert facts.mounts == (
        Mount("/", "/dev/ada0p2", "ufs", read_only=False),
        Mount("/data", "/dev/ada1p1", "ufs", read_only=True),
        Mount("/var", "/dev/wd0e", "ffs", read_only=False),
    )
