"""Which proxy, if any, stands between this host and an address."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]  # documented nowhere, used by requests

from paddle_bootstrap.errors import UsageError
from paddle_bootstrap.fetch.failure import MirrorFailure
from paddle_bootstrap.mirrors.credentials import Login, split
from paddle_bootstrap.mirrors.model import Mirror


def proxy_for(url: str, mirror: Mirror, environ: Mapping[str, str]) -> tuple[str, int, Login | None] | None:
    """Host, port and credentials of the proxy: the mirror's own, else ``HTTPS_PROXY``, ``HTTP_PROXY``, ``ALL_PROXY``.

    ``no_proxy`` counts for both. Raises MirrorFailure for a proxy that cannot be spoken to.
    """
    parts = urlsplit(url)
    bypass = _variable("no_proxy", environ)
    if bypass and proxy_bypass_environment(parts.netloc.rpartition("@")[2], {"no": bypass}):
        return None
    if mirror.proxy:
        address, login = mirror.proxy, mirror.proxy_login
    else:
        found = _variable(f"{parts.scheme}_proxy", environ) or _variable("all_proxy", environ)
        if not found:
            return None
        try:
            address, login = split(found if "://" in found else f"http://{found}")
        except UsageError as error:
            raise MirrorFailure("unreachable", f"its proxy is {error}") from error
    proxy = urlsplit(address)
    if proxy.scheme != "http" or not proxy.hostname:
        raise MirrorFailure("unreachable", f"its proxy is of a kind that is not spoken here: {proxy.scheme}://")
    return proxy.hostname, proxy.port or 80, login


def _variable(name: str, environ: Mapping[str, str]) -> str | None:
    return environ.get(name) or environ.get(name.upper())
