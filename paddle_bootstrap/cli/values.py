"""What the values of flags must look like: one that cannot be meant is told with its flag, before anything is done."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click

from paddle_bootstrap.lock.asked import requirement


class _Path(click.Path):
    """An empty value would quietly mean the working directory."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if str(value) == "" or "\0" in str(value):
            self.fail("it is empty or no path: leave it out, or give one", param, ctx)
        return super().convert(value, param, ctx)


class _Text(click.types.StringParamType):
    """A script's variable that is empty would quietly mean the default."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not str(value).strip() or "\0" in str(value):
            self.fail("it is empty: leave it out, or give a value", param, ctx)
        return super().convert(value, param, ctx)


PATH = _Path(path_type=Path)
TEXT = _Text()


def rate(_ctx: click.Context, _param: click.Parameter, value: str | None) -> float | None:
    """Bytes per second, as curl and wget write them: 800k, 10M, 1.5G; decimal units."""
    if value is None:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([kKmMgG]?)B?(?:/s)?", value.strip())
    speed = float(found[1]) * {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9}[found[2].lower()] if found else 0.0
    if speed < 1000:
        raise click.BadParameter(f"{value!r} is no rate of at least 1k: write 500k, 10M or 1.5G")
    return speed


def seconds(_ctx: click.Context, _param: click.Parameter, value: str | None) -> float | None:
    """Seconds, as a scheduler writes them: 90, 60s, 2m, 1h."""
    if value is None:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", value.strip())
    time = float(found[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[found[2]] if found else 0.0
    if time <= 0:
        raise click.BadParameter(f"{value!r} is no time above 0: write 90, 60s or 2m")
    return time


def hosts(_ctx: click.Context, _param: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    """Host names as they stand in an address: anything else would match none and be without effect."""
    for host in value:
        if not re.fullmatch(
            r"([^\s/:@\[\]*?]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*", host
        ):
            raise click.BadParameter(f"{host!r} is no host: write mirror.example or mirror.example:8443")
    return value


def extras(_ctx: click.Context, _param: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    for text in value:
        requirement(text, "--extra")
    return value


def gpus(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    """GPUs as CUDA_VISIBLE_DEVICES names them, each once; whether this host has them is seen later."""
    names = [name.strip() for name in (value or "0").split(",")]
    if len(set(names)) < len(names) or not all(re.fullmatch(r"\d+|GPU-[0-9a-fA-F-]+", name) for name in names):
        raise click.BadParameter(f"{value!r} names no GPUs: write 0,1 or GPU-2c5c..., each once")
    return value and ",".join(names)
