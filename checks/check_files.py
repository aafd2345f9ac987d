"""The files: every byte in the target is one that a verified wheel brought."""

from __future__ import annotations

import pytest

from paddle_bootstrap.harness import expect, few

MEND = "paddle-bootstrap install --repair --env DIR"


@pytest.mark.level("standard")
def check_wheels(lock, run):
    """Every file is byte for byte the verified wheel's.

    Fix: paddle-bootstrap install --repair --env DIR
    """
    if not lock.receipt or not lock.receipt.get("files"):
        what = "its receipt is older than the lists of digests" if lock.receipt else "it has no receipt"
        pytest.skip(f"nothing tells what the files should hold: {what}; {MEND}")
    told = run("files.compare", deadline=600)
    expect_the_receipts_list(told, lock)
    wrong = {kind: told[kind] for kind in ("changed", "missing", "foreign") if told[kind]}
    expect(
        not wrong,
        f"of {told['files']} files {', '.join(f'{len(paths)} {kind}' for kind, paths in wrong.items())}",
        measured=" | ".join(f"{kind}: {few(paths)}" for kind, paths in wrong.items()),
        expected="the bytes of the wheels whose sha256 was verified, and nothing else in their folders",
        likely="edited by hand, written by another package, or a disk that loses bytes",
        fix=MEND
        if set(wrong) != {"foreign"}
        else f"no wheel brought these; in the target: rm {' '.join(told['foreign'][:3])}",
    )


def expect_the_receipts_list(told, lock):
    """A list that was cut or changed would vouch for less, or for anything; so would one of other wheels than the lock's."""
    expect(
        told["listed"] == lock.receipt["files"],
        "the list of what the files should hold is missing"
        if told["listed"] is None
        else "the list was changed or cut",
        measured=f".paddle-bootstrap/files.sha256 has sha256 {told['listed']}",
        expected=lock.receipt["files"],
        likely="somebody edited it, or the disk was full",
        fix=MEND,
    )
    absent = [wheel.filename for wheel in lock.wheels if wheel.sha256 not in told["wheels"]]
    expect(
        not absent,
        f"{len(absent)} of the lock's {len(lock.wheels)} wheels are not those that were installed",
        measured=f"installed from others: {few(absent)}",
        expected="files of the very wheels that the lock names",
        likely="another lock was given than the one that was installed",
        fix="paddle-bootstrap install --env DIR",
    )
