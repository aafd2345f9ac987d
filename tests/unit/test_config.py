from __future__ import annotations

import os
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from paddle_bootstrap import config
from paddle_bootstrap.errors import ConfigError
from paddle_bootstrap.harness.acceptance import Acceptance


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_the_strongest_file_wins_key_by_key(tmp_path: Path) -> None:
    project = write(tmp_path / "project" / config.NAME, 'device = "cpu"\n')
    user = write(tmp_path / "user" / config.NAME, 'device = "gpu"\nlevel = "deep"\n')
    assert config.load((project, user)) == {"device": "cpu", "level": "deep"}


def test_files_are_searched_in_order(tmp_path: Path) -> None:
    project = write(tmp_path / "project" / config.NAME, "")
    user = write(tmp_path / "home" / ".config" / "paddle-bootstrap" / config.NAME, "")
    environ = {"HOME": str(tmp_path / "home")}
    assert config.files(None, environ, tmp_path / "project")[:2] == (project, user)
    moved = write(tmp_path / "xdg" / "paddle-bootstrap" / config.NAME, "")
    assert config.files(None, {**environ, "XDG_CONFIG_HOME": str(tmp_path / "xdg")}, tmp_path)[0] == moved


def test_an_explicit_file_stands_alone_and_must_exist(tmp_path: Path) -> None:
    write(tmp_path / config.NAME, "")
    mine = write(tmp_path / "mine.toml", "")
    assert config.files(mine, {}, tmp_path) == (mine,)
    with pytest.raises(ConfigError, match=r"settings file not found: .*none\.toml"):
        config.files(tmp_path / "none.toml", {}, tmp_path)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('miror = "TUNA"', "unknown key 'miror'"),
        ("level = 3", "level must be a string, not 3"),
        ("mirror = [1]", "mirror must be a list of strings"),
        ("device = ", "Invalid value"),
        ("", None),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, text: str, says: str | None) -> None:
    path = write(tmp_path / config.NAME, text)
    if says is None:
        assert config.load((path,)) == {}
        return
    with pytest.raises(ConfigError, match=says) as caught:
        config.load((path,))
    assert str(path) in str(caught.value)


def test_an_unknown_key_names_the_nearest(tmp_path: Path) -> None:
    path = write(tmp_path / config.NAME, 'miror = "TUNA"')
    with pytest.raises(ConfigError) as caught:
        config.load((path,))
    assert caught.value.hint == "did you mean 'mirror'?"


def test_a_file_that_is_not_utf8_is_a_config_error(tmp_path: Path) -> None:
    path = tmp_path / config.NAME
    path.write_bytes(b'level = "\xff"')
    with pytest.raises(ConfigError, match=config.NAME):
        config.load((path,))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (Path.mkdir, "is a folder"),
        (os.mkfifo, "is a pipe or a device"),
        (lambda path: path.symlink_to("nowhere"), "leads nowhere"),
        (lambda path: path.symlink_to(path), "cannot be read: Too many levels"),
    ],
    ids=["folder", "pipe", "dangling", "loop"],
)
@pytest.mark.parametrize("named", [True, False])
def test_what_is_there_and_is_no_file_is_not_passed_over(
    tmp_path: Path, make: Callable[[Path], None], says: str, *, named: bool
) -> None:
    path = tmp_path / config.NAME
    make(path)
    with pytest.raises(ConfigError, match=says) as caught:
        config.files(path if named else None, {"HOME": str(tmp_path)}, tmp_path)
    assert str(path) in str(caught.value)


def test_the_null_device_is_no_settings(tmp_path: Path) -> None:
    write(tmp_path / config.NAME, 'level = "deep"\n')
    assert config.files(Path("/dev/null"), {"HOME": str(tmp_path)}, tmp_path) == ()


def test_a_file_that_cannot_be_read_is_not_called_bad_toml(tmp_path: Path) -> None:
    path = tmp_path / config.NAME
    path.symlink_to("/proc/self/mem")  # root may read anything else
    with pytest.raises(ConfigError, match="cannot be read: Input/output error") as caught:
        config.load((path,))
    assert caught.value.hint == "check its permissions"


def test_brackets_without_end(tmp_path: Path) -> None:
    path = write(tmp_path / config.NAME, f"level = {'[' * 100_000}")
    with pytest.raises(ConfigError, match=r"brackets|nested"):
        config.load((path,))


def test_a_password_is_not_repeated(tmp_path: Path) -> None:
    path = write(tmp_path / config.NAME, 'lock = ["https://me:secret@h/pylock.toml"]')
    with pytest.raises(ConfigError, match="lock must be a string") as caught:
        config.load((path,))
    assert "secret" not in str(caught.value)


def test_relative_paths_are_meant_from_the_file(tmp_path: Path) -> None:
    path = write(
        tmp_path / "sub" / config.NAME, 'env = "venv"\nchecks = "site"\nlock = "pylock.x.toml"\nmirror = "TUNA"'
    )
    assert config.load((path,)) == {
        "env": str(tmp_path / "sub" / "venv"),
        "checks": [str(tmp_path / "sub" / "site")],
        "lock": str(tmp_path / "sub" / "pylock.x.toml"),
        "mirror": ["TUNA"],
    }


def test_a_locks_name_is_not_a_path(tmp_path: Path) -> None:
    path = write(tmp_path / config.NAME, 'lock = "cpu-3_3_1"')
    assert config.load((path,)) == {"lock": "cpu-3_3_1"}


def test_a_switch_is_true_or_false(tmp_path: Path) -> None:
    path = write(tmp_path / config.NAME, "keep-wheels = false\n")
    assert config.load((path,)) == {"keep-wheels": False}
    write(path, 'keep-wheels = "no"\n')
    with pytest.raises(ConfigError, match="keep-wheels must be true or false, not 'no'"):
        config.load((path,))


ROW = '{check = "memory.size", model = "RTX 4090", reason = "48 GB cards", expires = 2027-01-01}'


def test_acceptances_of_all_files_hold(tmp_path: Path) -> None:
    project = write(tmp_path / "project" / config.NAME, f"accept = [{ROW}]\n")
    user = write(
        tmp_path / "user" / config.NAME,
        'level = "deep"\n[[accept]]\ncheck = "link.nvlink[gpu3]"\nreason = "cable"\nexpires = "2026-12-31"\n',
    )
    assert config.acceptances((project, user)) == (
        Acceptance("memory.size", "48 GB cards", date(2027, 1, 1), "RTX 4090"),
        Acceptance("link.nvlink[gpu3]", "cable", date(2026, 12, 31)),
    )
    assert config.load((project, user)) == {"level": "deep"}  # they are no flag


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('accept = "memory.size"\n', "accept must be a list of tables"),
        ('accept = ["memory.size"]\n', "accept holds tables"),
        (f"accept = [{ROW.replace('reason', 'raeson')}]\n", "unknown key 'raeson'"),
        (f"accept = [{ROW.replace('2027-01-01', '3')}]\n", "memory.size: expires: "),
        (f"[accept]\nrows = [{ROW}]\n", "accept must be a list of tables"),
    ],
)
def test_an_acceptance_that_is_none(tmp_path: Path, text: str, says: str) -> None:
    path = write(tmp_path / config.NAME, text)
    with pytest.raises(ConfigError, match=says) as raised:
        config.acceptances((path,))
    assert str(path) in str(raised.value)


def test_flags_of_verify_can_be_set(tmp_path: Path) -> None:
    path = write(
        tmp_path / config.NAME, 'within = "60s"\nbaseline = "floors.toml"\nallow-busy = true\nforce-load = false\n'
    )
    baseline = str(tmp_path / "floors.toml")
    assert config.load((path,)) == {"within": "60s", "baseline": baseline, "allow-busy": True, "force-load": False}
    assert hint_for(tmp_path, "acept = []\n") == "did you mean 'accept'?"


def hint_for(tmp_path: Path, text: str) -> str | None:
    """The hint of an unknown key."""
    with pytest.raises(ConfigError) as raised:
        config.load((write(tmp_path / "wrong.toml", text),))
    return raised.value.hint
