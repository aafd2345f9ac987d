"""Whose word on digests a lock believes: the shipped origins, and those that a user's table names so, over https."""

from __future__ import annotations

from pathlib import Path

import pytest

from paddle_bootstrap import config
from paddle_bootstrap.errors import ConfigError
from paddle_bootstrap.mirrors.model import Mirror
from paddle_bootstrap.mirrors.rows import rows


def origins(tmp_path: Path, text: str = "") -> dict[str, Mirror]:
    path = tmp_path / "paddle-bootstrap.toml"
    path.write_text(text)
    return {mirror.name: mirror for mirror in rows(config.mirror_tables([path])) if mirror.origin}


def test_the_official_index_and_paddles_own_hosts_are_origins(tmp_path: Path) -> None:
    found = origins(tmp_path)
    assert set(found) == {"official", "paddle", "paddle-cdn", "paddle-bj"}
    assert all(mirror.url.startswith("https://") for mirror in found.values())


def test_a_table_that_leads_elsewhere_has_to_say_it_again(tmp_path: Path) -> None:
    elsewhere = '[[mirror]]\nname = "paddle-cdn"\nurl = "https://corp.example/{build}/"\n'
    assert "paddle-cdn" not in origins(tmp_path, elsewhere)
    assert origins(tmp_path, elsewhere + "origin = true\n")["paddle-cdn"].url == "https://corp.example/{build}/"
    assert "paddle-cdn" in origins(tmp_path, '[[mirror]]\nname = "paddle-cdn"\nconnections = 2\n')


def test_an_origin_is_reached_over_https(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="corp is an origin without https"):
        origins(tmp_path, '[[mirror]]\nname = "corp"\nurl = "http://127.0.0.1/simple"\norigin = true\n')
    with pytest.raises(ConfigError, match="origin must be true or false"):
        origins(tmp_path, '[[mirror]]\nname = "corp"\nurl = "https://corp/simple"\norigin = "yes"\n')
