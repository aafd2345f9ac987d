"""A key and its self-signed certificate for 127.0.0.1, in one file, made by openssl."""

from __future__ import annotations

import subprocess
from pathlib import Path


def self_signed(folder: Path) -> Path:
    """``folder``/both.pem: good for a server's ``load_cert_chain`` and for a client's list of trusted ones."""
    names = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", folder / "key", "-out", folder / "certificate"]
    kind = [
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=127.0.0.1",
    ]
    subprocess.run(["openssl", "req", "-x509", *kind, *names], check=True, capture_output=True)
    both = folder / "both.pem"
    both.write_bytes((folder / "key").read_bytes() + (folder / "certificate").read_bytes())
    return both


def issued(folder: Path) -> tuple[Path, Path]:
    """A server's key and certificate in one file, and the authority that issued it: uv believes no server that is its own."""
    authority = self_signed(folder)
    request: list[str | Path] = [
        "openssl",
        "req",
        "-new",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
    ]
    request += ["-subj", "/CN=loopback", "-keyout", folder / "server.key", "-out", folder / "server.csr"]
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1\nbasicConstraints=critical,CA:FALSE\n")
    sign: list[str | Path] = [
        "openssl",
        "x509",
        "-req",
        "-in",
        folder / "server.csr",
        "-CA",
        folder / "certificate",
        "-CAkey",
    ]
    sign += [
        folder / "key",
        "-CAcreateserial",
        "-days",
        "2",
        "-extfile",
        folder / "names",
        "-out",
        folder / "server.crt",
    ]
    for command in (request, sign):
        subprocess.run(command, check=True, capture_output=True)
    server = folder / "server.pem"
    server.write_bytes((folder / "server.key").read_bytes() + (folder / "server.crt").read_bytes())
    return server, authority.with_name("certificate")
