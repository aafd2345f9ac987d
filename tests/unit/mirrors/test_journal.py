"""Changes of settings files are atomic, all or none, and are taken back byte for byte."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from paddle_bootstrap.errors import ConfigError, InstallFailed, UsageError
from paddle_bootstrap.mirrors.journal import Change, Journal, read


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal({"HOME": str(tmp_path)})


def change(path: Path, after: bytes, mode: int = 0o644) -> Change:
    before, mode_before = read(path)
    return Change(path, before, mode_before, after, mode)


def tree(folder: Path) -> dict[str, tuple[int, bytes | None]]:
    return {
        str(path.relative_to(folder)): (path.stat().st_mode, path.read_bytes() if path.is_file() else None)
        for path in sorted(folder.rglob("*"))
    }


def test_several_changes_are_undone_one_by_one(journal: Journal, tmp_path: Path) -> None:
    place = tmp_path / "home"
    place.mkdir()
    (place / "old").write_bytes(b"one\r\n\xff")
    (place / "old").chmod(0o640)
    states = [tree(place)]
    for content in (b"two", b"three"):
        journal.apply([change(place / "old", content, 0o600), change(place / "deep/er/new", content)])
        states.append(tree(place))
    assert len({str(state) for state in states}) == 3
    for state in (states[1], states[0]):
        assert set(journal.undo(force=False)) == {place / "old", place / "deep/er/new"}
        assert tree(place) == state
    with pytest.raises(UsageError, match="nothing to undo"):
        journal.undo(force=False)


def test_what_somebody_changed_since_is_not_lost(journal: Journal, tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"before")
    journal.apply([change(path, b"after")])
    path.write_bytes(b"mine")
    with pytest.raises(UsageError, match="changed since") as caught:
        journal.undo(force=False)
    assert "--force" in caught.value.hint
    assert path.read_bytes() == b"mine"
    journal.undo(force=True)
    assert path.read_bytes() == b"before"


def test_a_run_that_was_killed_before_it_wrote_can_be_undone(journal: Journal, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_bytes(b"before")
    journal.apply([change(one, b"after"), change(two, b"after")])
    one.write_bytes(b"before")  # as if the kill had come before the first file was replaced
    two.unlink()
    journal.undo(force=False)
    assert (one.read_bytes(), two.exists()) == (b"before", False)


def test_all_or_none(journal: Journal, tmp_path: Path) -> None:
    good, bad = tmp_path / "good", tmp_path / "file" / "bad"
    good.write_bytes(b"before")
    wanted = [change(good, b"after"), Change(bad, None, None, b"after", 0o644)]
    (tmp_path / "file").write_bytes(b"no folder")
    with pytest.raises(InstallFailed, match=r"cannot write .*bad") as caught:
        journal.apply(wanted)
    assert caught.value.exit_code == 14
    assert good.read_bytes() == b"before"
    with pytest.raises(UsageError, match="nothing to undo"):
        journal.undo(force=False)


def test_what_was_there_is_kept_where_only_its_owner_reads(journal: Journal, tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        journal.apply([change(tmp_path / "f", b"new secret")])
    finally:
        os.umask(old)
    assert [path.stat().st_mode & 0o777 for path in journal.folder.glob("*.json")] == [0o600]
    assert b"secret" not in next(journal.folder.glob("*.json")).read_bytes()


def test_the_diff_hides_passwords(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"index-url = https://me:secret@old/simple\n")
    diff = change(tmp_path / "f", b"index-url = https://me:secret@new/simple\n").diff()
    assert diff.splitlines()[3:] == ["-index-url = https://***@old/simple", "+index-url = https://***@new/simple"]


ROW = '{"path": "/x", "before": null, "mode": null, "after_sha256": null, "made_folders": []}'


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"files": 3}',
        '{"files": [{}]}',
        f'{{"files": [{ROW.replace(chr(34) + "/x" + chr(34), "3")}]}}',
        f'{{"files": [{ROW.replace("null", chr(34) + "!!" + chr(34), 1)}]}}',
        "[" * 100_000,
    ],
    ids=range(7),
)
def test_an_entry_that_is_damaged_is_named(journal: Journal, text: str) -> None:
    journal.folder.mkdir(parents=True)
    entry = journal.folder / "0001.json"
    entry.write_text(text)
    with pytest.raises(ConfigError, match="cannot be read") as caught:
        journal.undo(force=False)
    assert caught.value.hint == f"remove it: {entry}"


def test_other_files_are_no_entries_and_the_newest_is_by_number(journal: Journal, tmp_path: Path) -> None:
    journal.folder.mkdir(parents=True)
    (journal.folder / "00ab.json").write_text("")
    (journal.folder / "9999.json").write_text('{"files": []}')
    path = tmp_path / "f"
    journal.apply([change(path, b"after")])
    assert (journal.folder / "10000.json").is_file()
    assert journal.undo(force=False) == (path,)


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, words in ((tmp_path / "pipe", "is no file"), (tmp_path, "Is a directory")):
        with pytest.raises(ConfigError, match=words):
            read(path)
