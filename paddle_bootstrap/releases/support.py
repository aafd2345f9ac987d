"""The README's table of what is supported, made from releases.toml."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from paddle_bootstrap.releases.model import Mark, Release

BEGIN, END = "<!-- builds: made by `make releases` -->\n", "<!-- /builds -->\n"


def table(known: Sequence[Release]) -> str:
    """Of every minor version the newest builds that ``auto`` may take, and the CPU builds whose lock is shipped."""
    return "".join(f"| {' | '.join(cells)} |\n" for cells in map(_cells, shown(known)))


def shown(known: Sequence[Release]) -> Iterator[Release]:
    """The builds that have a row."""
    seen: set[tuple[str, str]] = set()
    for each in known:
        key = (each.public.rpartition(".")[0], each.build)
        usable = each.served in ("pypi", "paddle") and each.libraries != "host" and not each.is_prerelease
        if usable and (each.code or each.lock) and key not in seen:
            seen.add(key)
            yield each


def replaced(text: str, known: Sequence[Release]) -> str:
    """``text`` with the rows between the two marks made anew; the head of the table stays."""
    before, _, rest = text.partition(BEGIN)
    rows, _, after = rest.partition(END)
    head = "".join(line for line in rows.splitlines(keepends=True)[:2])
    return before + BEGIN + head + table(known) + END + after


def _cells(each: Release) -> tuple[str, ...]:
    pythons = f"{each.pythons[0]}-{each.pythons[-1]}"
    if each.device == "cpu":
        return each.id, pythons, "", "", "", each.glibc or "", _lock(each)
    floor = each.min_driver or each.toolkit_driver or ""
    attested = _listed(each, "measured") or _listed(each, "reported")
    return each.id, pythons, attested, _listed(each, "inferred"), _drivers(floor, each), each.glibc or "", _lock(each)


def _listed(each: Release, mark: Mark) -> str:
    found = sorted({code.capability for code in each.code or () if code.mark == mark})
    return " ".join(f"{major}.{minor}" for major, minor in found)


def _drivers(floor: str, each: Release) -> str:
    full = max(
        (each.toolkit_driver, each.paddle_driver), key=lambda has: [int(part) for part in (has or "0").split(".")]
    )
    return f"{floor} ({full})" if full and full != floor else floor


def _lock(each: Release) -> str:
    return f"`{each.lock}`" if each.lock else ""
