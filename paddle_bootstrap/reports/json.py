"""The results document itself."""

from __future__ import annotations

from paddle_bootstrap.results import store
from paddle_bootstrap.results.model import Results


def render(results: Results) -> str:
    """The JSON document of ``results``, as its schema has it."""
    return store.text(results)
