"""What surrounds a run neither reaches it nor is touched by it: settings, folders, the terminal's Ctrl-C."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from paddle_bootstrap.errors import UsageError
from paddle_bootstrap.harness.session import require_checks
from paddle_bootstrap.harness.subject import built_in_checks
from tests.unit.harness.folders import Folder, Run, first_line, gone

HOSTILE_CONFTEST = "import pytest\n@pytest.fixture(autouse=True)\ndef hostile():\n    pytest.fail('hostile')\n"
HOSTILE_INI = "[pytest]\naddopts = --collect-only -p no_such_plugin\npython_files = nothing_*.py\n"


@pytest.fixture
def hostile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Settings of somebody else's in the working directory, above the site's folder, and in the environment."""
    above = Folder(tmp_path)
    for place in ("", "cwd/"):
        above.put(f"{place}conftest.py", HOSTILE_CONFTEST)
        above.put(f"{place}pytest.ini", HOSTILE_INI)
        above.put(f"{place}pyproject.toml", "[tool.pytest.ini_options]\naddopts = '--nonsense'\n")
    above.put("cwd/hostile_plugin.py", "raise SystemExit('hostile')")
    monkeypatch.chdir(tmp_path / "cwd")
    for name, value in (("PYTEST_ADDOPTS", "--nonsense -k nothing"), ("PYTEST_PLUGINS", "hostile_plugin")):
        monkeypatch.setenv(name, value)
    yield
    assert os.environ["PYTEST_PLUGINS"] == "hostile_plugin"


@pytest.mark.usefixtures("hostile")
def test_settings_of_somebody_else_do_not_leak_in(site: Folder, run: Run) -> None:
    site.checks(
        "import os, sys\ndef check_it():\n    assert not [n for n in os.environ if n in ('PYTEST_ADDOPTS', 'PYTEST_PLUGINS')]\n"
    )
    site.put("pytest.ini", HOSTILE_INI)
    assert run()["site.it"].outcome == "passed"


def test_other_peoples_plugins_are_not_loaded(site: Folder, run: Run) -> None:
    """hypothesis and pytest_anyio are such, where they are installed."""
    site.checks("""
    def check_it(request):
        names = [name for name, plugin in request.config.pluginmanager.list_name_plugin() if plugin]
        assert not [name for name in names if "hypothesis" in name or "anyio" in name], names
        assert "cacheprovider" not in names and "terminalreporter" not in names
    """)
    assert run()["site.it"].outcome == "passed"


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_nothing_is_written_beside_a_sites_checks(site: Folder, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)  # as PYTHONDONTWRITEBYTECODE may have set it
    site.workload("sum", "def of(a, b):\n    return a + b\n")
    site.put("conftest.py", "")
    site.checks("def check_it(run):\n    assert run('sum.of', a=1, b=1) == 2\n")
    before = files(site.path)
    assert run(keyword="check_site or cuda_driver", gpus=1)["site.it"].outcome == "passed"
    assert (files(site.path), sys.dont_write_bytecode) == (before, False)


def test_our_own_are_compiled_once(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    for compiled in built_in_checks().glob("__pycache__/check_nvml.*"):
        compiled.unlink(missing_ok=True)  # others may be at it, too
    run(keyword="nothing")
    assert list(built_in_checks().glob("__pycache__/check_nvml.*"))


def test_modules_of_checks_are_forgotten(site: Folder, run: Run) -> None:
    site.checks("def check_it():\n    pass\n")
    assert run()["site.it"].outcome == "passed"
    site.checks("def check_it():\n    assert False\n")
    assert run()["site.it"].outcome == "failed"
    assert not [name for name, module in sys.modules.items() if str(site.path) in str(getattr(module, "__file__", ""))]


@pytest.mark.parametrize("keyword", ["(", "a and", "a b", "not"])
def test_a_keyword_that_makes_no_sense(site: Folder, run: Run, keyword: str) -> None:
    site.checks("def check_it():\n    pass\n")
    with pytest.raises(UsageError) as caught:
        run(keyword=keyword)
    assert f"-k {keyword!r} cannot be understood" in str(caught.value)
    assert caught.value.hint


def test_keywords_are_ids_or_parts_of_them(site: Folder, run: Run) -> None:
    site.checks("def check_a(device):\n    pass\ndef check_b():\n    pass\n")
    assert list(run(keyword="site.a", gpus=2)) == ["site.a[gpu0]", "site.a[gpu1]"]
    assert list(run(keyword="check_site and not gpu0", gpus=2)) == ["site.a[gpu1]", "site.b"]


def test_folders_without_checks_are_refused(site: Folder, tmp_path: Path) -> None:
    site.put("test_it.py", "def check_it():\n    pass\n")
    with pytest.raises(UsageError, match="there is no check_"):
        require_checks([site.path])
    with pytest.raises(UsageError, match="no such directory"):
        require_checks([tmp_path / "nowhere"])
    site.checks("def check_it():\n    pass\n")
    require_checks([site.path])


def test_a_relative_folder(site: Folder, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(site.path)
    site.put("conftest.py", "1 / 0\n")
    site.checks("def check_it():\n    pass\n")
    assert run(folders=[Path()])["site.conftest"].outcome == "error"


PROGRAM = """
import sys
from pathlib import Path
from paddle_bootstrap.harness.session import run_checks
from paddle_bootstrap.harness.subject import Subject
from tests.fakes import facts
subject = Subject(Path("/"), Path(sys.executable), sys.argv[2], None)
try:
    run_checks(subject, facts=lambda: facts.host(2), checks=[Path(sys.argv[1])], keyword="check_site")
except KeyboardInterrupt:
    print("interrupted", flush=True)
    sys.exit(130)
"""


def interrupted(process: subprocess.Popen[str]) -> str:
    """What ``process`` prints when Ctrl-C is pressed, again after a while: Python drops one that comes inside a finalizer."""
    for seconds in (10, 10, 10):
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.communicate(timeout=seconds)[0]
    raise AssertionError("it does not end")


@pytest.mark.parametrize("where", ["workload", "check", "device", "collection"])
def test_ctrl_c_leaves_no_worker_behind(site: Folder, tmp_path: Path, where: str) -> None:
    notes = tmp_path / "notes"
    os.mkfifo(notes)
    wait = f"import os, time\nwith open({str(notes)!r}, 'w') as file:\n    file.write(f'{{os.getpid()}}\\n')\ntime.sleep(300)\n"
    inside = wait.replace("\n", "\n    ")
    site.workload("wait", f"def go(device=None):\n    {inside}")
    bodies = {
        "workload": "def check_it(run):\n    run('wait.go', deadline=60)\n",
        "device": "def check_it(run, device):\n    run('wait.go', device=device.index, deadline=60)\n",
        "check": f"def check_it(run):\n    {inside}",
        "collection": wait,
    }
    site.checks(bodies[where] + "\ndef check_next():\n    pass\n")
    command = [sys.executable, "-c", PROGRAM, str(site.path), "gpu" if where == "device" else "cpu"]
    root = Path(__file__).resolve().parents[3]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        waiting = first_line(notes)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        told = interrupted(process)
    assert (process.returncode, told) == (130, "interrupted\n")
    assert children
    assert all(gone(int(pid)) for pid in [*children, waiting])
