"""What an installation starts ends with it, and hears nothing of the user's settings."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from pathlib import Path

import pytest

from paddle_bootstrap.errors import InstallFailed
from paddle_bootstrap.install import bytecode, child, uv

PARENT = """
import os, sys
from paddle_bootstrap.install import child
inner = "import os, signal, sys; print(os.getpid(), file=sys.stderr, flush=True); signal.pause()"
process = child.start([sys.executable, "-c", inner], dict(os.environ))
print(process.stderr.readline(), end="", flush=True)
sys.stdin.read()
"""


def test_no_child_outlives_a_killed_run() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        inner = os.pidfd_open(int(parent.stdout.readline()))
        assert select.select([inner], [], [], 0)[0] == [], "not running"
        parent.kill()
        assert select.select([inner], [], [], 10)[0] == [inner]
        os.close(inner)


def test_settings_are_kept_out() -> None:
    hostile = dict.fromkeys(
        ("UV_INDEX_URL", "PIP_TARGET", "PYTHONPATH", "VIRTUAL_ENV", "CONDA_PREFIX", "SOURCE_DATE_EPOCH"), "x"
    )
    assert child.environment({**hostile, "PATH": "/bin", "LANG": "C"}) == {"PATH": "/bin", "LANG": "C"}


def test_uv_says_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(InstallFailed, match=r"uv venv failed: .*nowhere"):
        uv.make_environment(tmp_path / "env", str(tmp_path / "nowhere"), {"PATH": "/bin"})


def test_bytecode_names_the_final_path(tmp_path: Path) -> None:
    """What cannot be compiled is left alone, and so is what is current."""
    (tmp_path / "deep/er").mkdir(parents=True)
    (tmp_path / "top.py").write_text("def where(): return where.__code__.co_filename\n")
    (tmp_path / "deep/er/inner.py").write_text("def where(): return where.__code__.co_filename\n")
    (tmp_path / "broken.py").write_text("print 'two'\n")
    python = Path(sys.executable)
    bytecode.compile_tree(python, tmp_path, Path("/final/place"), {})
    code = "import sys; sys.path.insert(0, sys.argv[1]); import top; from deep.er import inner; print(top.where(), inner.where())"
    told = subprocess.run([python, "-B", "-c", code, tmp_path], capture_output=True, text=True, check=True).stdout
    # an import corrects the name of what it loads; the file itself tells what tracebacks of other loaders show
    assert told.split() == [f"{tmp_path}/top.py", f"{tmp_path}/deep/er/inner.py"]
    compiled = {path.name.split(".")[0]: path for path in tmp_path.rglob("*.pyc")}
    assert sorted(compiled) == ["inner", "top"]
    assert b"/final/place/deep/er/inner.py" in compiled["inner"].read_bytes()
    assert b"/final/place/top.py" in compiled["top"].read_bytes()
    inode = compiled["top"].stat().st_ino
    bytecode.compile_tree(python, tmp_path, Path("/elsewhere"), {})
    assert compiled["top"].stat().st_ino == inode


def test_a_python_that_cannot_compile(tmp_path: Path) -> None:
    (tmp_path / "python").write_text("#!/bin/sh\necho 'no luck' >&2; exit 3\n")
    (tmp_path / "python").chmod(0o755)
    with pytest.raises(InstallFailed, match=r"could not compile .*: no luck"):
        bytecode.compile_tree(tmp_path / "python", tmp_path, tmp_path, {})
