"""User and password of a mirror: from its address, a variable, netrc, or the user's keyring."""

from __future__ import annotations

import base64
import netrc
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import SplitResult, quote, unquote, urlsplit, urlunsplit

from paddle_bootstrap import progress
from paddle_bootstrap.errors import UsageError
from paddle_bootstrap.mirrors.redact import redact

_UNSENDABLE = re.compile(r"[\x00-\x20\x7f]")  # no request can hold these
KEYRING_SECONDS = 60.0  # a desktop may ask its user to unlock the keyring


class Login:
    """A user and a password that no repr, no ``asdict`` and no JSON writer can show."""

    __slots__ = ("_password", "user")

    def __init__(self, user: str, password: str | None) -> None:
        self.user = user
        self._password = password

    def __repr__(self) -> str:
        return "Login(***)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Login) and (self.user, self._password) == (other.user, other._password)

    def __hash__(self) -> int:
        return hash((self.user, self._password))

    @property
    def complete(self) -> bool:
        """False: only a user name is known."""
        return self._password is not None

    def in_front_of(self, url: str) -> str:
        """``url`` with these credentials in it, quoted: for a tool's own settings file alone."""
        scheme, separator, rest = url.partition("://")
        password = "" if self._password is None else f":{quote(self._password, safe='')}"
        return f"{scheme}{separator}{quote(self.user, safe='')}{password}@{rest}"

    def hidden(self, text: str) -> str:
        """``text``, such as what another program said, without the password in any of its spellings."""
        secret = self._password or self.user  # a token alone is a user without a password
        for spelling in {secret, quote(secret, safe=""), quote(secret)}:
            text = text.replace(spelling, "***") if spelling else text
        return text

    def header(self) -> str:
        """The value of an ``Authorization`` or ``Proxy-Authorization`` header."""
        return "Basic " + base64.b64encode(f"{self.user}:{self._password or ''}".encode()).decode()


def split(url: str) -> tuple[str, Login | None]:
    """``url`` without its credentials, and these. Raises UsageError, which shows no password, for a bad address."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        bad = parts.port == 0 or (parts.scheme in ("http", "https") and not host) or bool(_UNSENDABLE.search(url))
        elsewhere = parts.scheme == "file" and not (parts.netloc in ("", "localhost") and parts.path.startswith("/"))
        host.encode("idna")  # UnicodeError, a ValueError: no name server could be asked for it
    except ValueError:
        bad = True
    if bad:
        raise UsageError(
            f"not a web address: {_shown(url)}",
            hint="write https://host/path; in a user name or password write / as %2F, @ as %40, : as %3A",
        )
    if elsewhere:
        raise UsageError(f"not a folder of this host: {redact(url)}", hint="write file:///FOLDER, from the root on")
    if "@" not in parts.netloc:
        return url, None
    userinfo, _, host = parts.netloc.rpartition("@")
    user, colon, password = userinfo.partition(":")
    bare = urlunsplit(SplitResult(parts.scheme, host, parts.path, parts.query, parts.fragment))
    return bare, Login(unquote(user), unquote(password) if colon else None) if userinfo else None


def _shown(url: str) -> str:
    """What may be told of an address that cannot be taken apart: anything before its host may be part of a password."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://***{redact(rest.rpartition('@')[2]) if '@' in rest else ''}"


def named_by(auth: str, url: str, user: str | None, environ: Mapping[str, str]) -> Login:
    """The login that ``auth`` of a [[mirror]] stands for; ``user`` is the one in its address.

    Raises UsageError, which says what is missing: whoever names a place wants no other one to be asked.
    """
    host, whose = urlsplit(url).hostname or "", " and the user in its address" if user else ""
    if auth.startswith("env:"):
        return _from_variable(auth.removeprefix("env:"), environ)
    if auth == "netrc":
        found = from_netrc(host, environ, default=True)
        if found is None or user not in (None, found.user):
            raise UsageError(
                f"auth = netrc, and {netrc_file(environ)} has no entry for {host}{whose}",
                hint=f"add: machine {host} login USER password PASSWORD",
            )
        return found
    if shutil.which("keyring", path=environ.get("PATH")) is None:
        raise UsageError(
            "auth = keyring, and there is no keyring command on PATH", hint="install it: uv tool install keyring"
        )
    found = from_keyring(url, user, environ)
    if found is None:
        raise UsageError(
            f"auth = keyring, and the keyring knows no password of {redact(url)}{whose}",
            hint=f"tell it: keyring set {redact(url)} USER",
        )
    return found


def _from_variable(name: str, environ: Mapping[str, str]) -> Login:
    """USER:PASSWORD, or a token, which is sent as in ``https://TOKEN@host``."""
    value = environ.get(name, "").strip("\r\n")
    if not value:
        raise UsageError(f"auth = env:{name}, and that variable is not set", hint=f"export {name}=USER:PASSWORD")
    user, _, password = value.partition(":")
    return Login(user, password)


def netrc_file(environ: Mapping[str, str]) -> Path:
    return Path(environ.get("NETRC") or Path(environ.get("HOME") or "/") / ".netrc")


def from_netrc(host: str, environ: Mapping[str, str], *, default: bool) -> Login | None:
    """What netrc says of ``host``; its ``default`` entry counts only for a host that the user named as a mirror."""
    path = netrc_file(environ)
    try:
        if not path.is_file():
            return None
        entries = netrc.netrc(str(path))
    except netrc.NetrcParseError as error:  # its text quotes the file: only the line may be told
        progress.warn(f"{path}: line {error.lineno} cannot be read; no credentials taken from it")
        return None
    except (OSError, UnicodeDecodeError) as error:
        progress.warn(f"{path}: {type(error).__name__}; no credentials taken from it")
        return None
    found = entries.hosts.get(host) or (entries.authenticators(host) if default else None)
    return Login(found[0] or found[1] or "", found[2]) if found else None


def from_keyring(url: str, user: str | None, environ: Mapping[str, str]) -> Login | None:
    """What the ``keyring`` command on PATH knows of ``url`` or its host, asked as pip and uv do."""
    command = shutil.which("keyring", path=environ.get("PATH"))
    if command is None:
        return None
    for service in (url, urlsplit(url).netloc):
        arguments = ["get", service, user] if user else ["--mode", "creds", "get", service]
        lines = _ask([command, *arguments], environ)
        if lines is None:
            continue
        if user and lines:
            return Login(user, lines[0])
        if len(lines) >= 2:
            return Login(lines[0], lines[1])
    return None


def _ask(command: list[str], environ: Mapping[str, str]) -> list[str] | None:
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env={**environ, "PYTHONIOENCODING": "utf-8"},
            timeout=KEYRING_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        progress.warn(f"keyring did not answer within {KEYRING_SECONDS:.0f} s")
        return None
    except OSError as error:
        progress.warn(f"keyring cannot be run: {error.strerror}")
        return None
    return done.stdout.decode("utf-8", "replace").splitlines() if done.returncode == 0 else None
