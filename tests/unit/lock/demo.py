"""A small lock of ours, to be damaged in one place at a time."""

from __future__ import annotations

from pathlib import Path

SHA = "0123456789abcdef" * 4
WHEEL = "demo-1.0-py3-none-any.whl"
ROW = f'{{ name = "{WHEEL}", path = "{WHEEL}", size = 2000, hashes = {{ sha256 = "{SHA}" }} }}'
LIBRARY = "library-2.0-py3-none-any.whl"
LOCK = f"""\
lock-version = "1.0"
environments = ["sys_platform == 'linux'"]
requires-python = ">=3.9"
dependency-groups = ["cuda"]
default-groups = ["cuda"]
created-by = "test"

[[packages]]
name = "demo"
version = "1.0"
wheels = [{ROW}]

[[packages]]
name = "library"
version = "2.0"
marker = "'cuda' in dependency_groups"
wheels = [{{ name = "{LIBRARY}", path = "{LIBRARY}", size = 9000000, hashes = {{ sha256 = "{SHA}" }} }}]

[tool.paddle-bootstrap]
schema = 1
id = "demo"
package = "demo"
version = "1.0"
device = "gpu"
sass = [80, 86]
ptx = []
cpu_flags = ["avx"]
unpacked_bytes = 5000

[tool.paddle-bootstrap.libraries]
group = "cuda"
link = true

[tool.paddle-bootstrap.libraries.needs]
"libcudnn.so" = "8"
"""


def write(folder: Path, text: str = LOCK) -> Path:
    path = folder / "pylock.demo.toml"
    path.write_text(text, encoding="utf-8")
    return path


def changed(old: str, new: str, text: str = LOCK) -> str:
    """``text`` with its first ``old`` replaced; a damage that does not happen would test nothing."""
    assert old in text, old
    return text.replace(old, new, 1)
