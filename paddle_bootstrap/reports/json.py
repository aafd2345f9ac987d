"""The results document itself."""

from __future__ import annotations

from json import dumps

from paddle_bootstrap.results import store
from paddle_bootstrap.results.model import Results


def render(results: Results) -> str:
    """The JSON document of ``results``, as its schema has it."""
    return dumps(store.to_json(results), indent=2, ensure_ascii=False) + "\n"
