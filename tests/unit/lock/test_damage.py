"""A damaged lock is named with the file and the row, before anything is done with it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from paddle_bootstrap.errors import DamagedLock
from paddle_bootstrap.lock import pylock
from tests.unit.lock.cpython import cpython
from tests.unit.lock.demo import LOCK, ROW, SHA, WHEEL, changed, write

AGAIN = '[[packages]]\nname = "demo"\nversion = "1.0"\nwheels = ['
SDIST = f'sdist = {{ name = "demo-1.0.tar.gz", path = "demo-1.0.tar.gz", hashes = {{ sha256 = "{SHA}" }} }}\nwheels'
TOOL = "[tool.paddle-bootstrap]"
TOOL_LEARNED = f'[[{TOOL[1:-1]}.learned]]\nfile = "x.whl"\nhow = "first use"\nsource = "s"\non = "2026-01-01"\n\n{TOOL}'
DAMAGE = {
    # what is wrong: (old, new, what is said)
    "not TOML": ('created-by = "test"', 'created-by = "test', "not TOML"),
    "not PEP 751": ('lock-version = "1.0"', "", "not a PEP 751 lock: Missing required value in 'lock-version'"),
    "another PEP": ('lock-version = "1.0"', 'lock-version = "2.0"', "pylock version 2.0 is not supported"),
    "a newer version": ('lock-version = "1.0"', 'lock-version = "1.1"', "lock-version 1.1, this version reads 1.0"),
    "unknown key": ('created-by = "test"', 'created-by = "test"\nmaker = "test"', "unknown keys: maker"),
    "unknown key of a package": ("marker =", "makrer =", "packages library: makrer (did you mean marker?)"),
    "unknown key of a file": ("size = 2000", "size = 2000, yanked = true", "packages demo: yanked"),
    "marker not one": ("'cuda' in dependency_groups", "'cuda' among them", "not a PEP 751 lock"),
    "row of another package": (f'name = "{WHEEL}", path', 'name = "else-1.0-py3-none-any.whl", path', "else-1.0-py3"),
    "no hash": (
        f'{{ sha256 = "{SHA}" }}',
        "{}",
        "At least one hash must be provided in 'packages[0].wheels[0].hashes'",
    ),
    "another hash alone": ("sha256 =", "md5 =", f"'{WHEEL}' has no sha256"),
    "short hash": (SHA, SHA[1:], f"'{WHEEL}' has a sha256 that is not 64 hex digits"),
    "hash of letters": (SHA, "z" * 64, f"'{WHEEL}' has a sha256 that is not 64 hex digits"),
    "hash with a newline": (SHA, SHA[1:] + "\\n", f"'{WHEEL}' has a sha256 that is not 64 hex digits"),
    "size 0": ("size = 2000", "size = 0", f"'{WHEEL}' has size 0"),
    "size below 0": ("size = 2000", "size = -1", f"'{WHEEL}' has size -1"),
    "no size": ("size = 2000, ", "", f"'{WHEEL}' has no size"),
    "path elsewhere": (
        f'path = "{WHEEL}"',
        f'path = "../{WHEEL}"',
        f"another place than its bare file name: ../{WHEEL}",
    ),
    "URL": (f'path = "{WHEEL}"', f'url = "https://a.test/{WHEEL}"', f"file name: https://a.test/{WHEEL}"),
    "path and URL": (f'path = "{WHEEL}"', f'path = "{WHEEL}", url = "https://a.test/x"', "file name: https://a.test/x"),
    "no version": ('version = "1.0"\nwheels', "wheels", f"'{WHEEL}' stands in a package without version"),
    "an sdist": ("wheels", SDIST, f"'{WHEEL}' stands in a package without version, or with an sdist"),
    "same file twice": (TOOL, f"{AGAIN}{ROW}]\n\n{TOOL}", f"{WHEEL} is there twice"),
    "table not one": (LOCK[LOCK.index(TOOL) :], "[tool]\npaddle-bootstrap = 1\n", f"{TOOL} is not a table"),
    "table empty": (LOCK[LOCK.index(TOOL) :], f"{TOOL}\n", f"{TOOL} has schema None, this version reads 1"),
    "newer schema": ("schema = 1", "schema = 2", f"{TOOL} has schema 2, this version reads 1"),
    "unknown key of ours": ("schema = 1", "schema = 1\nrocm = 6", f"{TOOL} cannot be read: unknown keys: rocm"),
    "key missing": ("unpacked_bytes = 5000\n", "", f"{TOOL} cannot be read: unpacked_bytes is missing"),
    "unknown device": ('"gpu"', '"npu"', f"{TOOL} cannot be read: device = 'npu'"),
    "list of text": ("[80, 86]", '["80"]', f"{TOOL} cannot be read: sass = ('80',)"),
    "list not one": ("[80, 86]", "80", f"{TOOL} cannot be read: sass = 80"),
    "truth as number": ("unpacked_bytes = 5000", "unpacked_bytes = true", "cannot be read: unpacked_bytes = True"),
    "no group": ('group = "cuda"\n', "", f"{TOOL} cannot be read: group is missing"),
    "needs no mapping": ('"libcudnn.so" = "8"', '"libcudnn.so" = 8', f"{TOOL} cannot be read: needs ="),
    "libraries empty": (LOCK[LOCK.index("[tool.paddle-bootstrap.l") :], f"{TOOL[:-1]}.libraries]", "group is missing"),
    "digest of a strange file": (TOOL, TOOL_LEARNED, "learned is about x.whl, which the lock does not hold"),
    "digest without a source": (TOOL, TOOL_LEARNED.replace('source = "s"\n', ""), "learned: source is missing"),
    "learned no tables": ("schema = 1", "schema = 1\nlearned = 3", "learned is not a list of tables"),
    "extra no list": ("schema = 1", 'schema = 1\nextra = "x"', "extra = 'x' is not a list of strings"),
    "another package": ('package = "demo"', 'package = "other"', f"{TOOL} is about other 1.0, which the lock does not"),
    "another version": ('version = "1.0"\ndevice', 'version = "1.1"\ndevice', f"{TOOL} is about demo 1.1, which"),
    "unknown group": ('group = "cuda"', 'group = "rocm"', f"{TOOL} wants its libraries from group rocm"),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_damage_is_named(case: str, tmp_path: Path) -> None:
    old, new, told = DAMAGE[case]
    path = write(tmp_path, changed(old, new))
    with pytest.raises(DamagedLock) as caught:
        pylock.read(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert told in str(caught.value)
    assert caught.value.exit_code == 11
    assert caught.value.hint


def test_the_lock_itself_is_sound(tmp_path: Path) -> None:
    """Else every test above could pass for another reason."""
    lock = pylock.read(write(tmp_path))
    assert [wheel.name for wheel in pylock.select(lock, cpython("3.11")).wheels] == ["demo", "library"]


@pytest.mark.parametrize(
    "name", ["a b-1.0-py3-none-any.whl", ".demo-1.0-py3-none-any.whl", "démo-1.0-py3-none-any.whl"]
)
def test_a_name_that_is_not_plain_never_becomes_a_file(name: str, tmp_path: Path) -> None:
    text = changed(WHEEL, name, changed(f'path = "{WHEEL}"', f'path = "{name}"'))
    with pytest.raises(DamagedLock) as caught:
        pylock.read(write(tmp_path, text))
    assert name in str(caught.value) or "not a PEP 751 lock" in str(caught.value)


@pytest.mark.parametrize("name", ["..", "x/../demo-1.0-py3-none-any.whl", "demo-1.0-py3-none-any.whl/"])
def test_a_name_with_folders_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(DamagedLock):
        pylock.read(write(tmp_path, changed(f'name = "{WHEEL}"', f'name = "{name}"')))


def test_two_versions_for_one_python_are_a_contradiction(tmp_path: Path) -> None:
    second = f'[[packages]]\nname = "demo"\nversion = "1.1"\nwheels = [{ROW.replace("demo-1.0", "demo-1.1")}]\n\n{TOOL}'
    path = write(tmp_path, changed(TOOL, second))
    with pytest.raises(DamagedLock) as caught:
        pylock.select(pylock.read(path), cpython("3.11"))
    assert re.fullmatch(rf"{path}: two versions of demo for cpython 3\.11\.7 on linux x86_64 \(.*\)", str(caught.value))


def test_a_lock_that_is_not_there_or_not_text(tmp_path: Path) -> None:
    with pytest.raises(DamagedLock) as caught:
        pylock.read(tmp_path / "pylock.none.toml")
    assert "No such file or directory" in str(caught.value)
    (tmp_path / "pylock.x.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DamagedLock) as caught:
        pylock.read(tmp_path / "pylock.x.toml")
    assert "not TOML" in str(caught.value)
