from __future__ import annotations

from paddle_bootstrap import errors

PROMISED = {
    "BootstrapError": 70,
    "UsageError": 2,
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
