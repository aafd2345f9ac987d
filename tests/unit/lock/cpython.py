"""A CPython that some host might have, as probing it would tell."""

from __future__ import annotations

from paddle_bootstrap.host.interpreter import Interpreter
from paddle_bootstrap.lock.resolving import tags_of


def cpython(minor: str, *, glibc: str = "2.36", **markers: str) -> Interpreter:
    """CPython ``minor`` ("3.11") on x86-64 Linux with ``glibc``; ``markers`` say what is otherwise."""
    version = f"{minor}.7"
    return Interpreter(
        path=f"/opt/python{minor}/bin/python",
        version=version,
        implementation="cpython",
        markers={
            "implementation_name": "cpython",
            "implementation_version": version,
            "os_name": "posix",
            "platform_machine": "x86_64",
            "platform_python_implementation": "CPython",
            "platform_release": "6.1.0-13-amd64",
            "platform_system": "Linux",
            "platform_version": "#1 SMP Debian 6.1.55-1",
            "python_full_version": version,
            "python_version": minor,
            "sys_platform": "linux",
            **markers,
        },
        tags=tuple(map(str, tags_of(minor, glibc))),
        prefix=f"/opt/python{minor}",
        base_prefix=f"/opt/python{minor}",
        site_packages=f"/opt/python{minor}/lib/python{minor}/site-packages",
    )
