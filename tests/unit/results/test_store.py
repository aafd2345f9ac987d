"""Results as a file: what is written can be read for ever, and what is not a results file is told so."""

from __future__ import annotations

import copy
import dataclasses
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from paddle_bootstrap.errors import ConfigError
from paddle_bootstrap.results import store
from paddle_bootstrap.results.model import CheckResult, Measurement, Results
from paddle_bootstrap.results.schema import misfits, schema
from tests.unit.results.runs import RUNS, check, run

GOLDEN = Path(__file__).parents[2] / "golden"
VALIDATOR = jsonschema.Draft202012Validator(schema(), format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER)
WARNED = store.to_json(RUNS["warned"])


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())
    assert schema()["$schema"] == "https://json-schema.org/draft/2020-12/schema"


@pytest.mark.parametrize("name", RUNS)
def test_what_is_written_follows_the_schema_and_is_read_again(name: str, tmp_path: Path) -> None:
    path = tmp_path / "new" / "results.json"
    store.write(RUNS[name], path)
    data = json.loads(path.read_text(encoding="utf-8"))
    VALIDATOR.validate(data)
    again = store.read(path)
    assert store.to_json(again) == store.to_json(RUNS[name]) == data
    assert again.checks == RUNS[name].checks
    assert [entry.name for entry in path.parent.iterdir()] == ["results.json"]


def change(**told: Any) -> Callable[[Any], Any]:
    return lambda data: {**data, **told}


def first(kind: str, **told: Any) -> Callable[[Any], Any]:
    return lambda data: {**data, kind: [{**data[kind][0], **told}, *data[kind][1:]]}


def without(key: str, kind: str | None = None) -> Callable[[Any], Any]:
    def cut(data: Any) -> Any:
        del (data if kind is None else data[kind][0])[key]
        return data

    return cut


DAMAGE: dict[str, tuple[Callable[[Any], Any], str]] = {
    "a list": (lambda data: [data], "the document: [{"),
    "a number": (lambda _: 3, "the document: 3 is no object"),
    "nothing": (lambda _: {}, "the document: schema_version is missing"),
    "version 0": (change(schema_version=0), "schema_version: 0 is not one of 1"),
    "a version in words": (change(schema_version="1"), 'schema_version: "1" is not one of 1'),
    "a version that is true": (change(schema_version=True), "schema_version: true is not one of 1"),
    "no checks": (without("checks"), "the document: checks is missing"),
    "no host": (without("host"), "the document: host is missing"),
    "a check without an outcome": (without("outcome", "checks"), "checks[0]: outcome is missing"),
    "a check without an id": (first("checks", id=""), 'checks[0].id: "" is too short'),
    "an unknown outcome": (first("checks", outcome="ok"), 'checks[0].outcome: "ok" is not one of "passed", "warned"'),
    "an unknown cause": (first("checks", cause="bad luck"), 'checks[0].cause: "bad luck" is not one of'),
    "a summary that is none": (first("checks", summary=None), "checks[0].summary: null is no string"),
    "a measurement of nothing": (first("checks", measurements=[{}]), "checks[0].measurements[0]: name is missing"),
    "evidence in numbers": (first("checks", evidence={"stderr": 1}), "checks[0].evidence.stderr: 1 is no string"),
    "an unknown transfer": (first("transfers", outcome="served"), 'transfers[0].outcome: "served" is not one of'),
    "bytes that are none": (first("transfers", bytes=-1), "transfers[0].bytes: -1 is less than 0"),
    "a lock without a name": (change(lock={}), "lock: name is missing"),
    "a target without a place": (change(target={}), "target: env is missing"),
    "a host without a name": (change(host={}), "host: hostname is missing"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_document_is_refused_with_its_place(damage: str, tmp_path: Path) -> None:
    spoil, says = DAMAGE[damage]
    data = spoil(copy.deepcopy(WARNED))
    path = tmp_path / "results.json"
    path.write_text(json.dumps(data))
    with pytest.raises(ConfigError) as caught:
        store.read(path)
    assert str(caught.value).startswith(f"{path}: it is not a results file: {says}")
    assert caught.value.hint
    assert not VALIDATOR.is_valid(data)


def at(data: Any, key: str, put: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda other: put({**data, key: other})


def at_start(data: list[Any], put: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda other: put([other, *data[1:]])


def mutations(data: Any, put: Callable[[Any], Any]) -> list[Any]:
    """``data`` with each of its values replaced by a value of every other kind, and with each of its keys left out."""
    others: tuple[Any, ...] = (None, True, -1, 1.5, "", "x", [], {})
    found = [put(other) for other in others]
    if isinstance(data, dict):
        for key, value in data.items():
            found.append(put({name: item for name, item in data.items() if name != key}))
            found += mutations(value, at(data, key, put))
    if isinstance(data, list) and data:
        found += mutations(data[0], at_start(data, put))
    return found


def test_our_reading_of_the_schema_is_that_of_jsonschema() -> None:
    """All but the pair of verdict and exit code, which is checked against the checks themselves."""
    rules = {key: value for key, value in schema().items() if key != "oneOf"}
    judge = jsonschema.Draft202012Validator(rules)
    small = {**WARNED, "checks": WARNED["checks"][-1:], "transfers": WARNED["transfers"][:1]}
    tried = mutations(small, lambda data: data)
    assert [data for data in tried if judge.is_valid(data) == bool(list(misfits(data)))] == []
    assert 0 < sum(map(judge.is_valid, tried)) < len(tried)


def test_every_key_is_in_the_schema_and_required() -> None:
    """A key of ours that the schema forgot would never be checked."""
    data, defs = WARNED, schema()["$defs"]
    for item, rule, later in (
        (data, schema(), {"measurements", "accepted", "asked"}),
        (data["checks"][0], defs["check"], {"accepted"}),
        (data["checks"][-1]["measurements"][0], defs["measurement"], {"peers", "load"}),
        (data["transfers"][0], defs["transfer"], set()),
        (data["measurements"][0], defs["row"], set()),
        (store.to_json(RUNS["allowed"])["accepted"][0], defs["deviation"], set()),
    ):
        assert set(item) == set(rule["properties"]) == {*rule["required"], *later}


def test_what_an_earlier_version_wrote_is_read() -> None:
    """Keys that were added within version 1 may be missing."""
    data = json.loads(json.dumps(WARNED))
    del data["measurements"], data["accepted"]
    for item in data["checks"]:
        del item["accepted"]
        for taken in item["measurements"]:
            del taken["peers"], taken["load"]
    VALIDATOR.validate(data)
    assert store.from_json(data).checks == RUNS["warned"].checks


@pytest.mark.parametrize("accepted", [{}, {"reason": "", "expires": "2027-01-01"}, {"reason": "x"}, "yes", True])
def test_an_acceptance_needs_reason_and_end(accepted: object) -> None:
    data = copy.deepcopy(WARNED)
    data["checks"][0]["accepted"] = accepted
    with pytest.raises(ConfigError, match=r"it is not a results file: checks\[0\]\.accepted"):
        store.from_json(data)


def test_the_verdict_must_follow_from_the_checks(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    path.write_text(json.dumps({**store.to_json(RUNS["rejected"]), "verdict": "accepted", "exit_code": 0}))
    with pytest.raises(ConfigError, match="it says accepted, but its checks say rejected: it was changed by hand"):
        store.read(path)
    assert not VALIDATOR.is_valid({**WARNED, "exit_code": 1})


def test_keys_of_a_later_minor_version_are_left_out() -> None:
    data = copy.deepcopy(WARNED)
    for item in (data, data["checks"][0], data["checks"][-1]["measurements"][0], data["transfers"][0]):
        item["later"] = {"a": 1}
    VALIDATOR.validate(data)
    again = store.from_json(data)
    assert again.checks == RUNS["warned"].checks


def test_a_later_major_version_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    path.write_text('{"schema_version": 2, "tool": "paddle-bootstrap 9"}')
    with pytest.raises(ConfigError, match="schema version is 2, written by paddle-bootstrap 9") as caught:
        store.read(path)
    assert caught.value.hint == "update paddle-bootstrap to read it"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "Expecting value"),
        (b'{"schema_version": 1, "checks": [', "Expecting value"),
        (b'{"tool": "\xff"}', "can't decode byte 0xff"),
        (b"[" * 100_000, "recursion"),
        (b"PK\x03\x04", "Expecting value"),
    ],
)
def test_a_file_of_another_kind_is_refused(content: bytes, says: str, tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=says) as caught:
        store.read(path)
    assert str(caught.value).startswith(f"{path}: it is not a results file: ")


@pytest.mark.parametrize(("place", "says"), [("none.json", "No such file or directory"), (".", "Is a directory")])
def test_a_file_that_is_not_there(place: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"{tmp_path / place}: {says}"):
        store.read(tmp_path / place)


def test_what_is_no_number_is_written_as_null(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    values = (Measurement("loss", math.nan, ""), Measurement("rate", math.inf, "1/s"))
    store.write(run(check("a.b", measurements=values)), path)
    assert [row["value"] for row in json.loads(path.read_text())["checks"][0]["measurements"]] == [None, None]
    assert math.isnan(store.read(path).checks[0].measurements[0].value)


def test_a_path_that_is_no_unicode_survives(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    odd = dataclasses.replace(RUNS["foreign"], target={"env": "/srv/\udcff"})
    store.write(odd, path)
    assert store.read(path).target == {"env": "/srv/\udcff"}


def test_what_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for path, says in (
        (tmp_path / "file" / "results.json", "Not a directory|File exists"),
        (tmp_path, "Is a directory"),
    ):
        with pytest.raises(ConfigError, match=f"cannot write {path}: ({says})"):
            store.write(RUNS["nothing"], path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_a_link_is_written_through(tmp_path: Path) -> None:
    """``--report json:/dev/stdout`` must not replace /dev/stdout."""
    (tmp_path / "real").write_text("")
    (tmp_path / "link").symlink_to("real")
    store.write(RUNS["nothing"], tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert store.read(tmp_path / "real") == store.read(tmp_path / "link")


def test_the_default_place_is_the_state_directory() -> None:
    assert store.default_path({"HOME": "/home/me"}) == Path("/home/me/.local/state/paddle-bootstrap/results.json")
    assert store.default_path({"XDG_STATE_HOME": "/state"}) == Path("/state/paddle-bootstrap/results.json")


def looked(name: str, **more: Any) -> Results:
    """This run, with a look at the kernel's log in it, which took 60 s."""
    history = CheckResult(store.XID_HISTORY, "No Xid", "quick", **{"outcome": "passed", **more})
    checks = (*RUNS[name].checks, history)
    host = {"pci_gpus": [], **RUNS[name].host}
    return replace(RUNS[name], checks=checks, host=host, seconds=60.0, created="2026-11-30T12:01:00+00:00")


def with_cards(bus: Any, listed: Sequence[Any]) -> Results:
    host = {**RUNS["warned"].host, "pci_gpus": bus, "gpus": [{"pci_address": address} for address in listed]}
    return replace(looked("warned"), host=host)


@pytest.mark.parametrize(
    ("judged", "kept"),
    [
        (looked("warned"), True),
        (looked("warned", outcome="failed", accepted={"reason": "known", "expires": "2099-01-01"}), False),
        (with_cards(["0000:10:00.0"], ["0000:10:00.0"]), True),
        (with_cards(["0000:10:00.0", "0000:11:00.0"], ["0000:10:00.0"]), False),
        (with_cards({"unknown": "no sysfs"}, ["0000:10:00.0"]), False),
        (with_cards(["0000:10:00.0"], [{"unknown": "GPU is lost"}]), False),
        (looked("rejected"), False),
        (looked("rehearsal"), False),
        (RUNS["warned"], False),
        (looked("warned", outcome="skipped", required=False), False),
        (replace(looked("warned"), host={**looked("warned").host, "kernel_log": {"unknown": "no permission"}}), False),
    ],
)
def test_only_an_accepted_run_that_saw_the_kernels_log_is_kept_as_such(
    judged: Results, kept: bool, tmp_path: Path
) -> None:
    """What nobody looked at is not judged, and the next run must see it; so must it see what the site accepts for a time,
    and what speaks against a card that this process was not given. It looked when it began."""
    environ = {"XDG_STATE_HOME": str(tmp_path)}
    assert store.last_accepted(environ, "node7") is None
    store.note_accepted(judged, environ)
    found = store.last_accepted(environ, "node7")
    assert (found.isoformat() if found else None) == ("2026-11-30T12:00:00+00:00" if kept else None)


def test_hosts_that_share_a_home_are_accepted_each_for_itself(tmp_path: Path) -> None:
    environ = {"XDG_STATE_HOME": str(tmp_path)}
    store.note_accepted(looked("warned"), environ)
    assert store.last_accepted(environ, "node8") is None
    assert store.accepted_path(environ, "a/../b").parent == store.default_path(environ).parent


def test_the_check_that_sees_the_log_is_there() -> None:
    assert store.XID_HISTORY in (GOLDEN / "check_ids.txt").read_text().split()


def test_a_damaged_note_is_none(tmp_path: Path) -> None:
    environ = {"XDG_STATE_HOME": str(tmp_path)}
    store.accepted_path(environ, "node7").parent.mkdir()
    for text in ("", "[]", "{}", '{"began": "soon"}', '{"began": 7}'):
        store.accepted_path(environ, "node7").write_text(text)
        assert store.last_accepted(environ, "node7") is None
