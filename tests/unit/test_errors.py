from __future__ import annotations

import errno
import os

import pytest

from paddle_bootstrap import errors
from paddle_bootstrap.errors import of_host

PROMISED = {
    "BootstrapError": 70,
    "UsageError": 2,
    "CouldNotLook": 3,
    "NoBuildFits": 10,
    "DamagedLock": 11,
    "NoMirrorServes": 12,
    "WrongBytes": 13,
    "InstallFailed": 14,
}


def test_each_cause_has_its_promised_code_of_its_own() -> None:
    assert {name: getattr(errors, name).exit_code for name in PROMISED} == PROMISED
    assert len(set(PROMISED.values())) == len(PROMISED)


def test_every_class_inherits_a_promised_code() -> None:
    classes = [
        item for item in vars(errors).values() if isinstance(item, type) and issubclass(item, errors.BootstrapError)
    ]
    assert {item.exit_code for item in classes} == set(PROMISED.values())


def test_an_error_keeps_its_hint_and_what_was_tried() -> None:
    error = errors.NoMirrorServes("none", hint="do this", tried=["a: 404", "b: 403"])
    assert (str(error), error.hint, error.tried) == ("none", "do this", ("a: 404", "b: 403"))
    assert errors.DamagedLock("x").hint == errors.DamagedLock.hint != ""


@pytest.mark.parametrize(
    ("number", "code"),
    [(errno.EACCES, 2), (errno.ENAMETOOLONG, 2), (errno.ENOSPC, 14), (errno.EROFS, 14)],
)
def test_what_the_host_refuses_is_no_bug_of_ours(number: int, code: int) -> None:
    known = of_host(OSError(number, os.strerror(number), "/some/where"))
    assert known is not None
    assert known.exit_code == code
    assert str(known) == f"/some/where: {os.strerror(number)}"
    assert known.hint


@pytest.mark.parametrize(
    "error", [OSError(errno.EACCES, "x"), FileNotFoundError(errno.ENOENT, "x", "/y"), ValueError()]
)
def test_what_the_host_does_not_explain_stays_a_bug(error: Exception) -> None:
    assert of_host(error) is None
