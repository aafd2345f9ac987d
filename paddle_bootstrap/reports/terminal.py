"""The report a person reads: the verdict first, every check on a line, every failure explained."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any

from paddle_bootstrap.progress import human_bytes
from paddle_bootstrap.results.model import CheckResult, Outcome, Results

_MARKS: Mapping[Outcome, tuple[str, str, str]] = {  # unicode, ASCII, colour
    "passed": ("✓", "ok", "32"),
    "warned": ("!", "!!", "33"),
    "failed": ("✗", "XX", "31"),
    "error": ("?", "??", "35"),
    "skipped": ("·", "--", "2"),
}
_VERDICT_COLOURS = {"accepted": "1;32", "rejected": "1;31", "inconclusive": "1;33"}
_EVIDENCE_LINES = 12


def render(
    results: Results, *, width: int = 80, color: bool = False, verbose: bool = False, ascii: bool = False  # noqa: A002
) -> str:
    """``results`` as text of at most ``width`` columns."""
    page = _Page(width, color, ascii)
    lines = [*_head(page, results), *_body(page, results, verbose=verbose), "", *_foot(page, results)]
    text = "\n".join(line.rstrip() for line in lines)
    return text.encode("ascii", "replace").decode() if ascii else text


class _Page:
    def __init__(self, width: int, color: bool, plain: bool) -> None:
        self.width, self.color, self.plain = width, color, plain

    def paint(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.color else text

    def mark(self, outcome: Outcome) -> str:
        sign, plain, code = _MARKS[outcome]
        return self.paint(plain if self.plain else sign, code)

    def wrap(self, text: str, first: str) -> list[str]:
        lines = textwrap.wrap(text, self.width - len(first), break_on_hyphens=False) or [""]
        return [(first if index == 0 else " " * len(first)) + line for index, line in enumerate(lines)]


def _head(page: _Page, results: Results) -> Iterator[str]:
    verdict = page.paint(results.verdict.upper(), _VERDICT_COLOURS[results.verdict])
    rehearsal = page.paint("REHEARSAL on the CPU, no GPU was judged: ", "1;33") if results.device == "cpu" else ""
    where = " before anything was downloaded" if results.stage == "preflight" else ""
    yield f"{rehearsal}{verdict}{where}"
    yield from page.wrap(_host(results.host), "  host    ")
    for name, text in (("lock", _lock(results)), ("target", _target(results)), ("fetched", _fetched(results))):
        if text:
            yield from page.wrap(text, f"  {name:<8}")


def _host(host: Mapping[str, Any]) -> str:
    driver = host.get("driver", {})
    module = driver.get("kernel_module")
    gpus = host.get("gpus")
    parts = [str(host.get("hostname", "?")), _value(host.get("os"))]
    parts.append(f"driver {module}" if isinstance(module, str) else "no NVIDIA driver")
    if isinstance(gpus, list) and gpus:
        names = [_value(gpu.get("name")) for gpu in gpus]
        parts.append(", ".join(f"{names.count(name)} x {name}" for name in dict.fromkeys(names)))
    else:
        parts.append("no GPU")
    return ", ".join(parts)


def _value(value: Any) -> str:
    return value if isinstance(value, str) else "unknown"


def _lock(results: Results) -> str:
    build = (results.lock or {}).get("build") or {}
    if not results.lock:
        return "none: the environment was not installed by paddle-bootstrap" if results.target else ""
    cuda = f", CUDA {build['cuda']}" if build.get("cuda") else ""
    return f"{results.lock['name']}: {build.get('package')} {build.get('version')}{cuda}"


def _target(results: Results) -> str:
    target = results.target or {}
    python = f", Python {target['python']}" if target.get("python") else ""
    libraries = {"wheels": ", CUDA libraries from NVIDIA's wheels", "system": ", CUDA libraries of the system"}
    return f"{target['env']}{python}{libraries.get(target.get('cuda_runtime', ''), '')}" if target else ""


def _fetched(results: Results) -> str:
    served = [item for item in results.transfers if item["outcome"] == "fetched"]
    if not served:
        return ""
    size = human_bytes(sum(item["bytes"] for item in results.transfers))
    mirrors = ", ".join(dict.fromkeys(item["mirror"] for item in served))
    wheels = len({item["filename"] for item in served})  # several mirrors may have had a part in one
    return f"{wheels} wheels, {size} from {mirrors}"


def _body(page: _Page, results: Results, *, verbose: bool) -> Iterator[str]:
    column = min(max((len(_name(check)) for check in results.checks), default=0), page.width // 3)
    told: dict[str, str] = {}  # a missing requirement -> the check that explained it first
    for group, checks in groupby(results.checks, key=lambda check: check.id.partition(".")[0]):
        yield ""
        yield page.paint(group, "1")
        for check in checks:
            yield from _check(page, check, column, told, verbose=verbose)


def _name(check: CheckResult) -> str:
    return check.id.partition(".")[2] or check.id


def _check(page: _Page, check: CheckResult, column: int, told: dict[str, str], *, verbose: bool) -> Iterator[str]:
    signs = len(_MARKS[check.outcome][1 if page.plain else 0])
    said = check.title if check.outcome == "passed" else check.summary
    if check.cause == "requirement" and check.outcome == "failed" and told.setdefault(said, check.id) != check.id:
        said = f"{said.split(':')[0]}: see {told[said]}"
    time = f"{check.seconds:.1f} s" if check.seconds >= 0.05 else ""
    lead = " " * (3 + signs + column + 2)
    lines = textwrap.wrap(said, page.width - len(lead) - 7, break_on_hyphens=False) or [""]
    yield f"  {page.mark(check.outcome)} {_name(check):<{column}}  {lines[0]:<{page.width - len(lead) - 7}}{time:>7}"
    yield from (lead + line for line in lines[1:])
    for measured in check.measurements if verbose else ():
        floor = f" (floor {measured.floor:g})" if measured.floor is not None else ""
        yield f"{lead}{measured.name} {measured.value:g} {measured.unit}{floor}"
    if check.outcome in ("failed", "error"):
        yield from _explained(page, check)
    if verbose:
        yield from _evidence(page, check)


def _explained(page: _Page, check: CheckResult) -> Iterator[str]:
    bar = page.paint("|" if page.plain else "\u2502", _MARKS[check.outcome][2])
    said = (("measured", check.measured), ("expected", check.expected), ("likely", check.likely), ("next", check.fix))
    for name, text in said:
        for index, line in enumerate(textwrap.wrap(text or "", page.width - 16, break_on_hyphens=False)):
            yield f"    {bar} {name if index == 0 else '':<10}{line}"


def _evidence(page: _Page, check: CheckResult) -> Iterator[str]:
    for name, text in check.evidence.items():
        yield f"      {name}:"
        for line in text.strip().splitlines()[-_EVIDENCE_LINES:]:
            yield f"        {line[: page.width - 8]}"


def _foot(page: _Page, results: Results) -> Iterator[str]:
    count = {outcome: sum(check.outcome == outcome for check in results.checks) for outcome in _MARKS}
    words = {"error": "in error"}
    told = ", ".join(f"{number} {words.get(outcome, outcome)}" for outcome, number in count.items() if number)
    yield f"{told or 'no check ran'} in {results.seconds:.1f} s; level {results.level}; exit code {results.exit_code}"
    if results.verdict == "inconclusive":
        open_ = [check.id for check in results.checks if check.required and check.outcome in ("skipped", "error")]
        why = f"required, but without an answer: {', '.join(open_)}" if open_ else "no check ran: nothing was proved"
        yield from page.wrap(why, "inconclusive: ")
