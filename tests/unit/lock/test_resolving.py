"""What uv is asked with, and an index that never answers."""

from __future__ import annotations

import socket

import pytest

from paddle_bootstrap.errors import NoMirrorServes
from paddle_bootstrap.lock.resolving import Question, environment, resolve


def test_an_index_that_never_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://me:secret@127.0.0.1:{silent.getsockname()[1]}/simple"
        with pytest.raises(NoMirrorServes) as caught:
            resolve(Question("demo-1_0", ("demo",), (), "2.17", address, patience=0.3), "3.11")
    assert str(caught.value) == "uv could not resolve demo-1_0 for Python 3.11 in 0.3 s"
    assert "too slowly, or not at all" in caught.value.tried[0]
    assert "secret" not in caught.value.tried[0]


def test_settings_do_not_reach_uv(monkeypatch: pytest.MonkeyPatch) -> None:
    hostile = ("UV_INDEX", "PIP_INDEX_URL", "PYTHONPATH", "VIRTUAL_ENV", "CONDA_PREFIX", "UV_CACHE_DIR", "MINE")
    for name in hostile:
        monkeypatch.setenv(name, "x")
    found = environment("https://index/simple", "/authority.pem")
    assert [name for name in hostile if name in found] == ["UV_CACHE_DIR", "MINE"]
    assert (found["UV_DEFAULT_INDEX"], found["SSL_CERT_FILE"]) == ("https://index/simple", "/authority.pem")
