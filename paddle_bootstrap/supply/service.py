"""A service that speaks OSV's API (api.osv.dev, or one of your own): asked for all packages at once, then for each advisory."""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote, urlsplit

from paddle_bootstrap import __version__
from paddle_bootstrap.errors import CouldNotLook
from paddle_bootstrap.mirrors.credentials import split
from paddle_bootstrap.mirrors.redact import redact
from paddle_bootstrap.supply.export import Known
from paddle_bootstrap.supply.osv import ECOSYSTEM, Advisory, parse

SECONDS = 30.0  # for each answer
LONGEST = 64 << 20  # bytes of one
_AT_ONCE = 1000  # queries in one request: the API's limit
_PAGES = 100
CANARY = ("pyyaml", "5.3")  # CVE-2020-14343: whoever has advisories about PyPI has one about this


def ask(url: str, packages: Sequence[tuple[str, str]]) -> Known:
    """What the service says of these (name, version). Raises CouldNotLook for whatever is no whole answer."""
    if not _batch(url, [_query(*CANARY)]):
        raise _refused(url, f"it knows nothing against {' '.join(CANARY)}, so it has no advisories about {ECOSYSTEM}")
    ids: set[str] = set()
    queries = [_query(name, version) for name, version in packages]
    for start in range(0, len(queries), _AT_ONCE):
        ids |= _batch(url, queries[start : start + _AT_ONCE])
    found = tuple(_advisory(url, each) for each in sorted(ids))
    return Known(redact(url), None, max((each.modified for each in found), default=""), found)


def _query(name: str, version: str) -> dict[str, Any]:
    return {"package": {"name": name, "ecosystem": ECOSYSTEM}, "version": version}


def _advisory(url: str, name: str) -> Advisory:
    advisory = parse(_call(url, f"/v1/vulns/{quote(name, safe='')}"), f"{redact(url)}: {name}")
    if not advisory.affected and not advisory.withdrawn:
        raise _refused(url, f"its record {name} does not say which versions it is about")
    return advisory


def _batch(url: str, queries: list[dict[str, Any]]) -> set[str]:
    """The ids for all queries; those whose answer goes on are asked again with their page's token."""
    ids: set[str] = set()
    for _ in range(_PAGES):
        answers = _results(url, _call(url, "/v1/querybatch", {"queries": queries}), len(queries))
        ids.update(vuln["id"] for answer in answers for vuln in answer.get("vulns") or ())
        more = zip(queries, answers, strict=True)
        queries = [{**query, "page_token": token} for query, answer in more if (token := answer.get("next_page_token"))]
        if not queries:
            return ids
    raise _refused(url, f"its answer has more than {_PAGES} pages")


def _results(url: str, answer: Any, count: int) -> list[dict[str, Any]]:
    results = answer.get("results") if isinstance(answer, dict) else None
    if not isinstance(results, list) or len(results) != count or not all(isinstance(item, dict) for item in results):
        raise _refused(url, "its answer to /v1/querybatch is not one for each package that was asked for")
    if not all(
        isinstance(vuln, dict) and isinstance(vuln.get("id"), str)
        for item in results
        for vuln in item.get("vulns") or ()
    ):
        raise _refused(url, "its answer names advisories without id")
    return results


def _call(url: str, path: str, body: Any = None) -> Any:
    if urlsplit(url).scheme not in ("http", "https"):
        raise _refused(url, "its address is not on the web")
    content = None if body is None else json.dumps(body).encode()
    try:
        bare, login = split(url)
        request = urllib.request.Request(bare.rstrip("/") + path, data=content)  # noqa: S310 judged above
        request.add_header("User-Agent", f"paddle-bootstrap/{__version__}")
        request.add_header("Content-Type", "application/json")
        if login:
            request.add_unredirected_header("Authorization", login.header())
        with urllib.request.urlopen(request, timeout=SECONDS) as response:  # noqa: S310
            text = response.read(LONGEST + 1)
    except urllib.error.HTTPError as error:
        error.close()
        raise _refused(url, f"it answers {error.code} to {path}") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _refused(url, redact(str(getattr(error, "reason", error)) or type(error).__name__)) from error
    if len(text) > LONGEST:
        raise _refused(url, f"its answer to {path} is longer than {LONGEST >> 20} MiB")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _refused(url, f"its answer to {path} is not JSON") from error


def _refused(url: str, why: str) -> CouldNotLook:
    return CouldNotLook(
        f"the advisories of {redact(url)} could not be asked for: {why}",
        hint="check the address (it is what stands before /v1/querybatch), or give an export: --osv all.zip",
    )
