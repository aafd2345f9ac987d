"""``paddle-bootstrap store``: what is kept for the next installation, and whether it is sound."""

from __future__ import annotations

import json
import re
import shlex
from typing import Any

import click

from paddle_bootstrap import progress
from paddle_bootstrap.cli.options import options, wish
from paddle_bootstrap.cli.output import say
from paddle_bootstrap.errors import DamagedStore
from paddle_bootstrap.fetch.inventory import Inventory
from paddle_bootstrap.fetch.soundness import Damage
from paddle_bootstrap.fetch.store import Store
from paddle_bootstrap.progress import human_bytes
from paddle_bootstrap.stages import store as stage
from paddle_bootstrap.stages.store import Uses

_UNITS = {"h": 3600, "d": 86400, "w": 7 * 86400}  # seconds
_SHOWN = 3  # reasons of one damage; -v shows all


@click.group("store")
def command() -> None:
    """Show, prune or verify the store of wheels."""


@command.command("list", short_help="What is there, how big, used by which targets.")
@click.option("--json", "as_json", is_flag=True, help="As one JSON document.")
@options("store")
def show(*, as_json: bool, verbose: bool, **params: Any) -> int:  # noqa: ARG001 every verb takes it
    """Show what is in the store, how big it is, and which targets use it."""
    store = Store(wish(params).store)
    found, uses = stage.list_store(store)
    if as_json:
        say(json.dumps(_document(store, found, uses), indent=2))
        return 0
    for line in _lines(store, found, uses):
        say(line)
    return 0


def _lines(store: Store, found: Inventory, uses: Uses) -> list[str]:
    width = max((len(each.name) for each in found.wheels), default=0)
    lines = []
    for each in found.wheels:
        sizes = f"{_size(each.wheel_bytes):>9}  {_size(each.unpacked_bytes):>9}"
        lines.append(f"{each.name:{width}}  {sizes}  {', '.join(uses.of.get(each.sha256, ())) or 'no target'}")
    lines += [f"{rest.path.name}  {human_bytes(rest.bytes)}  {rest.kind}" for rest in found.rests]
    wheels, unpacked = (sum(getattr(each, key) for each in found.wheels) for key in ("wheel_bytes", "unpacked_bytes"))
    lines += [f"{path}  cannot be read: what its target uses is not known" for path in uses.unread]
    total = f"{len(found.wheels)} wheels: {human_bytes(wheels)} as files, {human_bytes(unpacked)} unpacked"
    head = [f"{'wheel':{width}}  {'file':>9}  {'unpacked':>9}  used by"] if lines else []
    return [*head, *lines, f"{store.root}: {total}"]


def _size(count: int) -> str:
    return human_bytes(count) if count else "-"


def _document(store: Store, found: Inventory, uses: Uses) -> dict[str, Any]:
    wheels = [
        {
            "name": each.name,
            "sha256": each.sha256,
            "wheel_bytes": each.wheel_bytes,
            "unpacked_bytes": each.unpacked_bytes,
            "used_by": list(uses.of.get(each.sha256, ())),
        }
        for each in found.wheels
    ]
    rests = [{"kind": rest.kind, "path": str(rest.path), "bytes": rest.bytes} for rest in found.rests]
    return {"store": str(store.root), "wheels": wheels, "rests": rests, "unread": [str(path) for path in uses.unread]}


def _age(_ctx: click.Context, _param: click.Parameter, value: str | None) -> float | None:
    """Seconds."""
    if value is None:
        return None
    found = re.fullmatch(r"(\d+)([hdw])", value)
    if not found:
        raise click.BadParameter(f"{value!r} is no age: write 12h, 30d or 8w")
    return int(found[1]) * float(_UNITS[found[2]])


@command.command("prune", short_help="Remove what no target uses.")
@click.option("--older-than", callback=_age, metavar="AGE", help="Only what came longer ago: 12h, 30d, 8w.")
@click.option("--all", "everything", is_flag=True, help="Also what targets use: they stay whole, it is fetched again.")
@click.option("--dry-run", is_flag=True, help="Show what would go, remove nothing.")
@options("store")
def prune(*, older_than: float | None, everything: bool, dry_run: bool, verbose: bool, **params: Any) -> int:  # noqa: ARG001
    """Remove what no target uses: wheels, their unpacked copies, parts of downloads, what killed runs left.

    Targets are those that were installed from this store, their kept states included. Files that a target is linked to
    free nothing until that target is gone.
    """
    store = Store(wish(params).store)
    gone, size = stage.prune(store, everything=everything, older_than=older_than, dry_run=dry_run)
    for name in gone:
        say(f"{'would remove' if dry_run else 'removed'} {name}")
    say(f"{store.root}: {human_bytes(size)} {'would be freed' if dry_run else 'freed'}")
    return 0


@command.command("verify", short_help="Compare every byte with sha256 and RECORD.")
@click.option("--remove", is_flag=True, help="Remove what is damaged, so that the next run brings it again.")
@options("store")
def verify(*, remove: bool, verbose: bool, **params: Any) -> int:
    """Compare every wheel with its sha256, and every unpacked file with its RECORD. Exits 13 when something is damaged."""
    store = Store(wish(params).store)
    progress.step(f"comparing every file of {store.root}")
    damages, uses = stage.verify(store, remove=remove)
    for damage in damages:
        for line in _damage(damage, uses, verbose=verbose):
            say(line)
    if damages:
        count = f"{len(damages)} of its wheels and unpacked copies are damaged"
        mend = f"paddle-bootstrap store verify --remove --store {shlex.quote(str(store.root))}"
        hint = "they are removed; the next fetch or install brings them again" if remove else f"take them out: {mend}"
        raise DamagedStore(f"the store {store.root}: {count}", hint=hint)
    say(f"{store.root}: everything is as it was verified")
    return 0


def _damage(damage: Damage, uses: Uses, *, verbose: bool) -> list[str]:
    shown = damage.reasons if verbose else damage.reasons[:_SHOWN]
    lines = [f"damaged: {damage.path}", *(f"  {reason}" for reason in shown)]
    if more := len(damage.reasons) - len(shown):
        lines.append(f"  and {more} more (-v)")
    targets = uses.of.get(damage.stored.sha256, ()) if damage.path == damage.stored.unpacked else ()
    return [*lines, *(f"  {target} may hold the same files: run install --repair there" for target in targets)]
