"""The licence that a wheel's METADATA declares."""

from __future__ import annotations

from email.parser import HeaderParser

_CLASSIFIER = "License :: "


def declared(metadata: str) -> tuple[str, ...]:
    """``License-Expression``, else a ``License`` of one line, else the classifiers: some put the whole text into ``License``."""
    fields = HeaderParser().parsestr(metadata)
    for name in ("License-Expression", "License"):
        value = str(fields.get(name) or "").strip()
        if value and value != "UNKNOWN" and "\n" not in value:
            return (value,)
    told = [str(value) for value in fields.get_all("Classifier", []) if str(value).startswith(_CLASSIFIER)]
    return tuple(value.rpartition(" :: ")[2] for value in told)
