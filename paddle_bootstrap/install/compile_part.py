"""Run by the target's Python: compiles its share of the modules in a folder. Standard library only, Python 3.8 syntax.

Arguments: the folder, the path that it will have, which share, of how many.
"""

# ruff: noqa: UP035, UP006, PTH118
import compileall
import os
import py_compile
import sys
from typing import Iterator, Tuple


def modules(folder: str) -> Iterator[Tuple[str, str]]:
    for here, names, files in os.walk(folder):
        names.sort()
        for name in sorted(files):
            if name.endswith(".py"):
                yield here, name


def main() -> None:
    folder, final, share, shares = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    for number, (here, name) in enumerate(modules(folder)):
        if number % shares == share:
            shown = os.path.normpath(os.path.join(final, os.path.relpath(here, folder)))
            mode = py_compile.PycInvalidationMode.TIMESTAMP
            # what cannot be compiled (templates, other Pythons' syntax) is none of our business; current files are left alone
            compileall.compile_file(os.path.join(here, name), ddir=shown, quiet=2, invalidation_mode=mode)


main()
