"""Run by the target's Python: compiles its share of the modules of unpacked wheels. Standard library only, Python 3.8 syntax.

Arguments: which share, of how many, then pairs: an unpacked wheel, and the folder that its bytecode goes to.
Exits with the number of the error when the file system refuses (28: no room).
"""

# ruff: noqa: UP035, UP006, PTH103, PTH118, PTH120, B905, SIM105
import os
import py_compile
import sys
from typing import Iterator, List, Tuple


def modules(pairs: List[str]) -> Iterator[Tuple[str, str, str]]:
    """Wheel, folder for its bytecode, path of a module below both."""
    for wheel, into in zip(pairs[::2], pairs[1::2]):
        for here, names, files in os.walk(wheel):
            names.sort()
            for name in sorted(files):
                if name.endswith(".py"):
                    yield wheel, into, os.path.relpath(os.path.join(here, name), wheel)


def compile_one(wheel: str, into: str, module: str) -> None:
    folder, name = os.path.split(module)
    compiled = os.path.join(into, folder, f"{name[:-3]}.{sys.implementation.cache_tag}.pyc")
    os.makedirs(os.path.dirname(compiled), exist_ok=True)
    mode = py_compile.PycInvalidationMode.TIMESTAMP
    try:
        py_compile.compile(os.path.join(wheel, module), compiled, module, doraise=True, invalidation_mode=mode)
    except (py_compile.PyCompileError, UnicodeError):
        pass  # templates, other Pythons' syntax: none of our business


def main() -> None:
    share, shares = int(sys.argv[1]), int(sys.argv[2])
    for number, one in enumerate(modules(sys.argv[3:])):
        if number % shares == share:
            compile_one(*one)


try:
    main()
except OSError as error:
    sys.stderr.write(f"{error.filename}: {error.strerror}\n")
    sys.exit(error.errno)
