"""A service that speaks OSV's API (api.osv.dev, or one of your own): asked for all packages at once, then for each advisory."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from paddle_bootstrap.errors import CouldNotLook
from paddle_bootstrap.fetch.failure import MirrorFailure
from paddle_bootstrap.fetch.logins import Logins
from paddle_bootstrap.fetch.patience import Patience
from paddle_bootstrap.fetch.web import Web
from paddle_bootstrap.mirrors.model import mirror_at
from paddle_bootstrap.mirrors.redact import redact
from paddle_bootstrap.supply.export import Known
from paddle_bootstrap.supply.osv import ECOSYSTEM, Advisory, parse

LONGEST = 64 << 20  # bytes of one answer
_AT_ONCE = 1000  # queries in one request: the API's limit
_PAGES = 100
CANARY = ("pyyaml", "5.3")  # CVE-2020-14343: whoever has advisories about PyPI has one about this


def ask(url: str, packages: Sequence[tuple[str, str]], environ: Mapping[str, str]) -> Known:
    """What the service says of these (name, version). Raises CouldNotLook for whatever is no whole answer."""
    mirror = mirror_at(url)
    with closing(Web(mirror, environ, Patience(), Logins(mirror, environ))) as web:
        if not _batch(web, [_query(*CANARY)]):
            raise _refused(
                web, f"it knows nothing against {' '.join(CANARY)}, so it has no advisories about {ECOSYSTEM}"
            )
        ids: set[str] = set()
        queries = [_query(name, version) for name, version in packages]
        for start in range(0, len(queries), _AT_ONCE):
            ids |= _batch(web, queries[start : start + _AT_ONCE])
        found = tuple(_advisory(web, each) for each in sorted(ids))
    return Known(redact(url), None, max((each.modified for each in found), default=""), found)


def _query(name: str, version: str) -> dict[str, Any]:
    return {"package": {"name": name, "ecosystem": ECOSYSTEM}, "version": version}


def _advisory(web: Web, name: str) -> Advisory:
    advisory = parse(_call(web, f"/v1/vulns/{quote(name, safe='')}"), f"{redact(web.mirror.url)}: {name}")
    if not advisory.affected and not advisory.withdrawn:
        raise _refused(web, f"its record {name} does not say which versions it is about")
    return advisory


def _batch(web: Web, queries: list[dict[str, Any]]) -> set[str]:
    """The ids for all queries; those whose answer goes on are asked again with their page's token."""
    ids: set[str] = set()
    for _ in range(_PAGES):
        answers = _results(web, _call(web, "/v1/querybatch", {"queries": queries}), len(queries))
        ids.update(vuln["id"] for answer in answers for vuln in answer.get("vulns") or ())
        more = zip(queries, answers, strict=True)
        queries = [{**query, "page_token": token} for query, answer in more if (token := answer.get("next_page_token"))]
        if not queries:
            return ids
    raise _refused(web, f"its answer has more than {_PAGES} pages")


def _results(web: Web, answer: Any, count: int) -> list[dict[str, Any]]:
    results = answer.get("results") if isinstance(answer, dict) else None
    if not isinstance(results, list) or len(results) != count or not all(isinstance(item, dict) for item in results):
        raise _refused(web, "its answer to /v1/querybatch is not one for each package that was asked for")
    found = [item.get("vulns") or [] for item in results]
    if not all(isinstance(vulns, list) and all(map(_has_id, vulns)) for vulns in found):
        raise _refused(web, "its answer names advisories without id")
    return results


def _has_id(vuln: Any) -> bool:
    return isinstance(vuln, dict) and isinstance(vuln.get("id"), str) and vuln["id"].isprintable()


def _call(web: Web, path: str, body: Any = None) -> Any:
    url, headers = web.mirror.url.rstrip("/") + path, {"Content-Type": "application/json"}
    try:
        answer = web.get(url, headers) if body is None else web.post(url, headers, json.dumps(body).encode())
        with closing(answer):
            if answer.status != HTTPStatus.OK:
                raise _refused(web, f"it answers {answer.status} to {path}")
            text = answer.read(LONGEST, web.patience)
    except MirrorFailure as error:
        raise _refused(web, error.reason) from error
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _refused(web, f"its answer to {path} is not JSON") from error


def _refused(web: Web, why: str) -> CouldNotLook:
    return CouldNotLook(
        f"the advisories of {redact(web.mirror.url)} could not be asked for: {why}",
        hint="check the address (it is what stands before /v1/querybatch), or give an export: --osv all.zip",
    )
