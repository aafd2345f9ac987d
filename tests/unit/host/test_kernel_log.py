"""The kernel's log: from its own device and from files of the same form, from what syslog keeps, and from neither."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from paddle_bootstrap.host import kernel_log
from paddle_bootstrap.host.facts import KernelLine, Unknown
from paddle_bootstrap.host.kernel_log import gather, read, since

Put = Callable[[str, "str | bytes"], Path]
UPTIME = 5000.0


def texts(root: Path) -> list[str]:
    lines = read(root)
    assert isinstance(lines, tuple), lines
    return [line.text for line in lines]


def test_records(put: Put, tmp_path: Path) -> None:
    put("dev/kmsg", "6,0,0,-;Linux version 6.1\n4,1,1500000,-;NVRM: hello\n SUBSYSTEM=pci\n DEVICE=+pci:0000:5e:00.0\n")
    log = gather(tmp_path)
    assert log.lines == (KernelLine(0.0, "Linux version 6.1"), KernelLine(1.5, "NVRM: hello"))
    assert (log.source, log.begins) == (f"{tmp_path}/dev/kmsg", 0.0)


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (rb"6,0,0,-;two\x0alines", ["two", "lines"]),
        (rb"6,0,0,-;a\x09tab and a \x5c", ["a tab and a \\"]),
        (rb"6,0,0,-;\x1b[31mno colour", [r"\x1b[31mno colour"]),
        (b"6,0,0,-;one; two", ["one; two"]),
        (b"6,0,0,-,caller=T1;later kernels name the caller", ["later kernels name the caller"]),
        (b"6,0,0,c;one \n6,1,0,+;line", ["one line"]),
        (b"6,0,0,c;one\n6,1,0,-;other", ["one", "other"]),
        (b"6,0,0,-;whole\n6,1,12", ["whole"]),
        (b"6,0,0,-;whole\n\xff\xfe\0,;binary\n6,x,0,-;none\n;\n", ["whole"]),
        (b"6,0,0,-;caf\xe9", [r"caf\xe9"]),
        (b"6,0,0,-;", [""]),
    ],
)
def test_forms_of_a_record(put: Put, tmp_path: Path, record: bytes, expected: list[str]) -> None:
    put("dev/kmsg", record)
    assert texts(tmp_path) == expected


@pytest.mark.parametrize("content", [b"", b"\x00\xff garbage \n;\n", b"no record at all"])
def test_no_record_is_no_clean_log(put: Put, tmp_path: Path, content: bytes) -> None:
    put("dev/kmsg", content)
    assert read(tmp_path) == Unknown(f"{tmp_path}/dev/kmsg holds no record of the kernel's")


def test_no_device(tmp_path: Path) -> None:
    assert read(tmp_path) == Unknown(f"{tmp_path}/dev/kmsg: No such file or directory")


def test_what_is_not_the_kernels_log(tmp_path: Path) -> None:
    """Some containers have a link there."""
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/kmsg").symlink_to("/dev/null")
    assert read(tmp_path) == Unknown(f"{tmp_path}/dev/kmsg: No such file or directory")  # below the root
    (tmp_path / "dev/kmsg").unlink()
    os.mkfifo(tmp_path / "dev/kmsg")
    assert read(tmp_path) == Unknown(f"{tmp_path}/dev/kmsg: it is not the kernel's log")


@pytest.mark.skipif(not os.access("/dev/kmsg", os.R_OK), reason="there is no /dev/kmsg here")
def test_the_real_one() -> None:
    started = time.monotonic()
    found = gather(Path("/"))
    assert time.monotonic() - started < kernel_log.SECONDS
    if isinstance(found.lines, tuple):
        assert [line.seconds for line in found.lines[-20:]] == sorted(line.seconds for line in found.lines[-20:])
    else:
        assert "/dev/kmsg: " in found.lines.reason


@pytest.mark.skipif(os.geteuid() != 0, reason="takes root's rights away")
def test_no_permission(put: Put, tmp_path: Path) -> None:
    root = put("dev/kmsg", "6,0,0,-;hidden\n")
    (root / "dev/kmsg").chmod(0o000)
    code = f"""
import os, pathlib
from paddle_bootstrap.host.kernel_log import read
root = os.open({str(root)!r}, os.O_RDONLY)
os.setgroups([]); os.setgid(65534); os.setuid(65534)
print(read(pathlib.Path(f"/proc/self/fd/{{root}}")).reason)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip().endswith("dev/kmsg: Permission denied"), done.stdout + done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="takes root's rights away")
def test_the_real_one_for_an_ordinary_user() -> None:
    """Whatever this host allows, it is lines or a reason, and never an empty log."""
    code = """
import os, pathlib
from paddle_bootstrap.host.kernel_log import gather
os.setgroups([]); os.setgid(65534); os.setuid(65534)
log = gather(pathlib.Path("/"))
print(bool(log.lines) or log.lines.reason)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "True" or "/dev/kmsg: " in done.stdout, done.stdout + done.stderr


def test_ten_megabytes(put: Put, tmp_path: Path) -> None:
    record = b"6,%d,%d,-;pci 0000:5e:00.0: " + b"nothing in particular, " * 20 + b"number %d\n SUBSYSTEM=pci\n"
    content = b"".join(record % (number, number, number) for number in range(20_000))
    assert len(content) > 10_000_000
    put("dev/kmsg", content + b"4,20000,20000,-;the last")
    found = texts(tmp_path)
    assert (len(found), found[-1]) == (20_001, "the last")


def test_a_log_without_end(tmp_path: Path) -> None:
    (tmp_path / "dev").mkdir()
    with (tmp_path / "dev/kmsg").open("wb") as file:
        file.truncate(kernel_log.MOST + (1 << 20))
    found = read(tmp_path)
    assert isinstance(found, Unknown)
    assert "more than 64 MB" in found.reason


def test_since() -> None:
    log = (KernelLine(1.0, "a"), KernelLine(2.0, "b"), KernelLine(3.0, "c"))
    assert since(log, 2.0) == log[1:]


@pytest.mark.parametrize(("content", "expected"), [("4.5 3.2\n", 4.5), ("x", None)])
def test_uptime(put: Put, tmp_path: Path, content: str, expected: float | None) -> None:
    found = kernel_log.uptime(put("proc/uptime", content))
    assert found == (Unknown(f"{tmp_path}/proc/uptime holds no number") if expected is None else expected)


def stamp(seconds: float, form: str = "%b %e %H:%M:%S") -> str:
    """The time ``seconds`` after boot, as syslog writes it."""
    return (datetime.now() - timedelta(seconds=UPTIME - seconds)).strftime(form)


def syslog(*lines: tuple[float, str], form: str = "%b %e %H:%M:%S") -> str:
    return "".join(f"{stamp(seconds, form)} node1 {text}\n" for seconds, text in lines)


BOOT = (0, "kernel: [    0.000000] Linux version 6.1")
XID = (100, "kernel: [  100.250000] NVRM: Xid (PCI:0000:5e:00): 79, fell")


def test_a_file_of_syslogs(put: Put, tmp_path: Path) -> None:
    put("proc/uptime", f"{UPTIME} 1\n")
    before = (-4000, "kernel: [99999.000000] NVRM: Xid (PCI:0000:5e:00): 48, before this boot")
    put("var/log/kern.log", syslog(before, BOOT, (50, "sshd[1]: NVRM: no kernel's"), XID) + "cut o")
    log = gather(tmp_path)
    assert log.lines == (
        KernelLine(0.0, "Linux version 6.1"),
        KernelLine(100.25, "NVRM: Xid (PCI:0000:5e:00): 79, fell"),
    )
    assert log.begins == 0.0
    assert log.source.startswith(f"{tmp_path}/var/log/kern.log, since {tmp_path}/dev/kmsg: No such file")


def test_lines_without_the_kernels_clock(put: Put, tmp_path: Path) -> None:
    """As Red Hat's rsyslog writes them; the beginning was rotated out."""
    put("proc/uptime", f"{UPTIME} 1\n")
    put("var/log/messages", syslog((-4000, "kernel: old"), (60, "kernel: NVRM: new"), form="%Y-%m-%dT%H:%M:%S.000001"))
    log = gather(tmp_path)
    assert isinstance(log.lines, tuple)
    assert [line.text for line in log.lines] == ["NVRM: new"]
    assert log.begins == pytest.approx(60, abs=2)


def test_a_line_that_is_read_again_has_the_time_that_it_had(put: Put, tmp_path: Path) -> None:
    """The clock that a file's times are measured by has steps of its own."""
    put("proc/uptime", f"{UPTIME} 1\n")
    put("var/log/messages", syslog((60, "kernel: NVRM: new")))
    before = gather(tmp_path).lines
    put("proc/uptime", f"{UPTIME + 0.5} 1\n")
    assert gather(tmp_path).lines == before


def test_what_was_rotated_out_last_is_read_too(put: Put, tmp_path: Path) -> None:
    put("proc/uptime", f"{UPTIME} 1\n")
    put("var/log/kern.log.1", syslog(BOOT, XID))
    put("var/log/kern.log", syslog((200, "kernel: [  200.000000] later")))
    assert texts(tmp_path)[1:] == ["NVRM: Xid (PCI:0000:5e:00): 79, fell", "later"]
    assert gather(tmp_path).begins == 0.0


def test_what_a_terminal_would_obey_is_not_kept(put: Put, tmp_path: Path) -> None:
    put("proc/uptime", f"{UPTIME} 1\n")
    put("var/log/kern.log", syslog((100, "kernel: [  100.000000] \x1b[2Jred\x0b")))
    assert texts(tmp_path) == ["?[2Jred?"]


def test_utc_and_a_turn_of_the_year() -> None:
    from paddle_bootstrap.host.syslog import _moment

    now = datetime(2026, 1, 2, tzinfo=timezone.utc).timestamp()
    assert _moment("2026-01-01T00:00:00Z", now) == now - 86400
    december = _moment("Dec 31 00:00:00", now)
    assert december is not None
    assert 0 < now - december < 3 * 86400
    assert _moment("Feb 30 00:00:00", now) is None


@pytest.mark.parametrize("content", ["", "Jan  1 00:00:00 node1 kernel: of another boot\n", "\0\xff\n"])
def test_a_file_without_lines_of_this_boot(put: Put, tmp_path: Path, content: str) -> None:
    put("proc/uptime", "1.0 1\n")
    put("var/log/kern.log", content)
    found = read(tmp_path)
    assert isinstance(found, Unknown)
    assert found.reason.endswith("kern.log holds no line of the kernel's since boot")


def test_a_file_of_which_nobody_knows_the_boot(put: Put, tmp_path: Path) -> None:
    put("var/log/kern.log", syslog(BOOT))
    found = read(tmp_path)
    assert isinstance(found, Unknown)
    assert "which of its lines are of this boot is not known" in found.reason


def test_the_overwritten_beginning_is_taken_from_a_file(put: Put, tmp_path: Path) -> None:
    put("proc/uptime", f"{UPTIME} 1\n")
    put("dev/kmsg", "6,900,150000000,-;the first that is left\n")
    log = gather(tmp_path)
    assert (log.lines, log.begins) == ((KernelLine(150.0, "the first that is left"),), 150.0)
    put("var/log/kern.log", syslog(BOOT, XID, (150, "kernel: [  150.000000] the first that is left")))
    log = gather(tmp_path)
    assert isinstance(log.lines, tuple)
    assert [line.seconds for line in log.lines] == [0.0, 100.25, 150.0]
    assert (log.begins, log.source) == (0.0, f"{tmp_path}/dev/kmsg and {tmp_path}/var/log/kern.log")


def test_a_file_that_begins_no_earlier_adds_nothing(put: Put, tmp_path: Path) -> None:
    put("proc/uptime", f"{UPTIME} 1\n")
    put("dev/kmsg", "6,900,150000000,-;the first that is left\n")
    put("var/log/kern.log", syslog((300, "kernel: [  300.000000] later")))
    assert (texts(tmp_path), gather(tmp_path).begins) == (["the first that is left"], 150.0)
