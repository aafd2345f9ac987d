"""``audit``: 0 clean, 1 findings, 3 could not look; and an exception has a reason and an end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from paddle_bootstrap.supply.service import CANARY
from tests.fakes.osv import FakeOsv
from tests.unit.cli.conftest import Command
from tests.unit.supply.test_osv import UNTIL, events, record

OTHER = record("GHSA-other", "elsewhere", ranges=UNTIL)
ASTOR = record(
    "PYSEC-7",
    "astor",
    ranges=UNTIL,
    aliases=["CVE-7"],
    summary="Reads too much\nlong",
    severity=[{"score": "CVSS:3.1/X"}],
)
ASTOR_TOO = record("GHSA-7", "astor", ranges=UNTIL, aliases=["CVE-7"], database_specific={"severity": "HIGH"})
LATER = record("PYSEC-8", "astor", ranges=events(("introduced", "5.0")))


def as_file(folder: Path, records: list[Any]) -> Path:
    (folder / "one.json").write_text(json.dumps(records))
    return folder / "one.json"


def as_answer(folder: Path, records: list[Any]) -> Path:
    (folder / "answer").write_text(json.dumps({"vulns": records}))
    return folder / "answer"


def as_folder(folder: Path, records: list[Any]) -> Path:
    (folder / "export/deep").mkdir(parents=True)
    (folder / "export/README.md").write_text("not a record")
    for index, each in enumerate(records):
        (folder / "export/deep" / f"{index}.json").write_text(json.dumps(each))
    return folder / "export"


def as_zip(folder: Path, records: list[Any]) -> Path:
    with zipfile.ZipFile(folder / "all.zip", "w") as archive:
        for each in records:
            archive.writestr(f"{each['id']}.json", json.dumps(each))
    return folder / "all.zip"


def as_zip_in_a_folder(folder: Path, records: list[Any]) -> Path:
    """As osv-scanner keeps it: osv-scanner/PyPI/all.zip."""
    (folder / "cache/PyPI").mkdir(parents=True)
    as_zip(folder / "cache/PyPI", records)
    return folder / "cache"


FORMS = (as_file, as_answer, as_folder, as_zip, as_zip_in_a_folder)
Form = Callable[[Path, list[Any]], Path]


@pytest.mark.parametrize("form", FORMS)
def test_clean_and_not(command: Command, lock: Path, here: Path, form: Form) -> None:
    for folder, records, code in (("a", [OTHER, LATER], 0), ("b", [OTHER, ASTOR, ASTOR_TOO], 1)):
        (here / folder).mkdir()
        said = command("audit", "--lock", lock, "--osv", form(here / folder, records))
        assert said.code == code, said.err
        assert f"tiny: {code} findings in 2 packages" in said.out
        assert f"{len(records)} advisories about PyPI, the newest of 2025-01-01" in said.out
    assert "astor 0.9.0  PYSEC-7  fixed in 2.0  high  Reads too much\n    also GHSA-7, CVE-7\n" in said.out


def test_as_json(command: Command, lock: Path, here: Path) -> None:
    said = command("audit", "--lock", lock, "--osv", as_file(here, [OTHER, ASTOR]), "--json")
    told = json.loads(said.out)
    assert (said.code, told["clean"], told["records"], told["lock"]) == (1, False, 2, "tiny")
    (finding,) = told["findings"]
    assert (finding["id"], finding["fixed"], finding["severity"], finding["counts"]) == (
        "PYSEC-7",
        ["2.0"],
        "CVSS:3.1/X",
        True,
    )


NPM = {**OTHER, "affected": [{"package": {"ecosystem": "npm", "name": "astor"}}]}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (json.dumps([]), "holds no advisory about PyPI"),
        (json.dumps([NPM]), "holds no advisory about PyPI"),
        (json.dumps([OTHER])[:-3], "is not JSON"),
        (json.dumps([OTHER, {"name": "x"}]), "is not in OSV's form"),
        (json.dumps([OTHER, {**ASTOR, "schema_version": "2.0"}]), "schema version 2.0"),
        ("PK\x03\x04 cut", "is not JSON"),
    ],
)
def test_an_export_that_cannot_answer(command: Command, lock: Path, here: Path, content: str, words: str) -> None:
    """Never silently clean."""
    (here / "x.json").write_text(content)
    said = command("audit", "--lock", lock, "--osv", here / "x.json")
    assert (said.code, said.out) == (3, "")
    assert words in said.err
    assert "next:" in said.err


def test_places_without_an_export(command: Command, lock: Path, here: Path) -> None:
    (here / "empty").mkdir()
    assert command("audit", "--lock", lock, "--osv", here / "empty").code == 3
    assert command("audit", "--lock", lock, "--osv", here / "nowhere").code == 3
    assert command("audit", "--lock", lock).code == 2


def test_a_damaged_zip(command: Command, lock: Path, here: Path) -> None:
    path = as_zip(here, [OTHER, ASTOR])
    content = bytearray(path.read_bytes())
    content[60] ^= 0xFF
    path.write_bytes(content)
    assert command("audit", "--lock", lock, "--osv", path).code == 3


def test_a_zip_whose_members_cannot_be_read(command: Command, lock: Path, here: Path) -> None:
    record, path = json.dumps([OTHER, ASTOR]) * 100, here / "x.zip"
    for flag, at in ((0, 50), (1, None)):  # bytes that are no deflate, then a member that says it is encrypted
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a.json", record)
        content = bytearray(path.read_bytes())
        content[6] |= flag
        content[content.index(b"PK\x01\x02") + 8] |= flag
        if at:
            content[at : at + 20] = bytes([0xFF] * 20)
        path.write_bytes(content)
        said = command("audit", "--lock", lock, "--osv", path)
        assert (said.code, f"{path} cannot be read" in said.err) == (3, True)


def test_a_folder_that_cannot_be_looked_into(command: Command, lock: Path, here: Path) -> None:
    """What is in it would count as good news."""
    closed = here / "osv/closed"
    closed.mkdir(parents=True)
    (here / "osv/b.json").write_text(json.dumps([OTHER]))
    closed.chmod(0)
    words = ["--bounding-set", "-all", "--inh-caps", "-all"] if os.geteuid() == 0 else []
    tool = [sys.executable, "-m", "paddle_bootstrap", "audit", "--lock", str(lock), "--osv", str(here / "osv")]
    done = subprocess.run([*(["setpriv", *words] if words else []), *tool], capture_output=True, text=True, check=False)
    closed.chmod(0o755)
    assert (done.returncode, "closed cannot be read: Permission denied" in done.stderr) == (3, True), done.stderr


def test_an_address_without_its_scheme_shows_no_password(command: Command, lock: Path) -> None:
    said = command("audit", "--lock", lock, "--osv", "me:s3cret@127.0.0.1:8000")
    assert (said.code, "s3cret" in said.err) == (3, False)


def settings(here: Path, **changed: str) -> None:
    rows = {"id": '"CVE-7"', "package": '"Astor"', "reason": '"not reachable"', "expires": "2999-01-31", **changed}
    body = "".join(f"{key} = {value}\n" for key, value in rows.items() if value)
    (here / "paddle-bootstrap.toml").write_text(f'[audit]\nosv = "export.json"\n[[audit.exception]]\n{body}')
    (here / "export.json").write_text(json.dumps([OTHER, ASTOR, ASTOR_TOO]))


def test_an_exception(command: Command, lock: Path, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By any of its names; the export's path is meant from the settings file's folder."""
    settings(here)
    monkeypatch.chdir(here.parent)
    said = command("audit", "--config", here / "paddle-bootstrap.toml", "--lock", lock)
    assert said.code == 0, said.out
    assert "excepted: astor 0.9.0 PYSEC-7 until 2999-01-31: not reachable" in said.out


@pytest.mark.parametrize(
    "changed",
    [{"id": '"CVE-8"'}, {"package": '"paddlepaddle"'}, {"expires": "2020-01-31"}, {"expires": '"2020-01-31"'}],
)
def test_an_exception_that_does_not_cover_it(command: Command, lock: Path, here: Path, changed: dict[str, str]) -> None:
    settings(here, **changed)
    said = command("audit", "--lock", lock, "-v")
    assert said.code == 1
    if "expires" in changed:
        assert "the exception for it ended on 2020-01-31: not reachable" in said.out
    else:
        assert "covers nothing in this lock" in said.err


def test_a_clock_that_was_set_back_revives_nothing(command: Command, lock: Path, here: Path) -> None:
    """Today is no earlier than the newest advisory: here that is after the exception's end, whatever the clock says."""
    settings(here, expires="2998-12-31")
    (here / "export.json").write_text(json.dumps([ASTOR, {**OTHER, "modified": "2999-06-01T00:00:00Z"}]))
    assert command("audit", "--lock", lock).code == 1


@pytest.mark.parametrize(
    "changed", [{"reason": ""}, {"expires": ""}, {"expires": '"soon"'}, {"id": "5"}, {"until": '"x"'}, {"reason": '""'}]
)
def test_an_exception_without_reason_or_end(command: Command, lock: Path, here: Path, changed: dict[str, str]) -> None:
    settings(here, **changed)
    said = command("audit", "--lock", lock)
    assert said.code == 2
    assert "[[audit.exception]]" in said.err


@pytest.mark.parametrize("text", ["audit = 5", "[audit]\nosv = 5", "[audit]\nsource = 'x'", "[audit]\nexception = 5"])
def test_settings_that_are_none(command: Command, lock: Path, here: Path, text: str) -> None:
    (here / "paddle-bootstrap.toml").write_text(text)
    assert command("audit", "--lock", lock, "--osv", as_file(here, [OTHER])).code == 2


@pytest.fixture
def service() -> FakeOsv:
    known = {CANARY: ["CANARY-1"], ("astor", "0.9.0"): ["A-1", "A-2", "PYSEC-7"]}
    records = {
        "CANARY-1": record("CANARY-1"),
        "PYSEC-7": ASTOR,
        **{name: record(name, ranges=UNTIL) for name in ("A-1", "A-2")},
    }
    return FakeOsv(known, records)


def test_a_service(command: Command, lock: Path, service: FakeOsv) -> None:
    """The finding stands on the second page; a password is sent and never shown."""
    with service:
        said = command("audit", "--lock", lock, "--osv", f"http://me:secret@{service.host}")
    assert said.code == 1, said.err
    assert "astor 0.9.0  PYSEC-7" in said.out
    assert f"http://***@{service.host}: a service" in said.out
    assert "secret" not in said.out + said.err
    assert all(headers["Authorization"].startswith("Basic ") for _, headers in service.requests)


def test_a_service_that_knows_nothing_against_it(command: Command, lock: Path, service: FakeOsv) -> None:
    service.known = {CANARY: ["CANARY-1"]}
    with service:
        assert command("audit", "--lock", lock, "--osv", service.url).code == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"known": {}}, "no advisories about PyPI"),
        ({"status": {"/v1/querybatch": 500}}, "answers 500"),
        ({"status": {"/v1/vulns/PYSEC-7": 404}}, "answers 404 to /v1/vulns/PYSEC-7"),
        ({"body": {"/v1/querybatch": b"<html>"}}, "is not JSON"),
        ({"body": {"/v1/querybatch": b'{"results": []}'}}, "not one for each package"),
        ({"body": {"/v1/querybatch": b'{"results": [{"vulns": [{}]}]}'}}, "advisories without id"),
        ({"body": {"/v1/querybatch": b'{"results": [{"vulns": 5}]}'}}, "advisories without id"),
        ({"body": {"/v1/querybatch": b'{"results": [{"vulns": [{"id": "\\ud800"}]}]}'}}, "advisories without id"),
        ({"body": {"/v1/vulns/PYSEC-7": b'{"id": "PYSEC-7"}'}}, "does not say which versions"),
        ({"moved": {"/v1/vulns/PYSEC-7": "ftp://127.0.0.1/x"}}, "not on the web"),
    ],
)
def test_a_service_that_cannot_answer(
    command: Command, lock: Path, service: FakeOsv, change: dict[str, Any], words: str
) -> None:
    for name, value in change.items():
        setattr(service, name, value)
    with service:
        said = command("audit", "--lock", lock, "--osv", service.url)
    assert (said.code, said.out) == (3, "")
    assert words in said.err


@pytest.mark.parametrize(("address", "code"), [("http://127.0.0.1:1", 3), ("ftp://x/y", 3), ("http://me:secret@:x", 2)])
def test_no_service(command: Command, lock: Path, address: str, code: int) -> None:
    said = command("audit", "--lock", lock, "--osv", address)
    assert said.code == code
    assert "secret" not in said.err
