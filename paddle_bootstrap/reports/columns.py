"""Text in columns of a terminal, where a Chinese character takes two and a combining one none."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator


def cells(text: str) -> int:
    """How many columns ``text`` takes."""
    return sum(map(_cell, text))


def _cell(char: str) -> int:
    if unicodedata.category(char) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def pad(text: str, width: int) -> str:
    """``text`` and blanks up to ``width`` columns."""
    return text + " " * (width - cells(text))


def printable(text: str, encoding: str = "utf-8") -> str:
    """``text`` with no character that ``encoding`` lacks, and none that would move the cursor or change colours.

    It may come from a driver, a path or a check.
    """
    text = text.encode(encoding, "replace").decode(encoding)
    return "".join(" " if char.isspace() else char if char.isprintable() else "?" for char in text)


def wrap(text: str, room: int, *, whole_words: bool = False) -> list[str]:
    """``text`` as lines of at most ``room`` columns, broken at blanks and between Chinese characters, never at a hyphen.

    A word longer than a line is broken, after a slash if it can be; with ``whole_words`` it is left whole, because a
    command that was broken cannot be copied, and one that the terminal folds can.
    """
    lines = [""]
    for glue, word in _words(text):
        joined = f"{lines[-1]}{glue}{word}" if lines[-1] else word
        if cells(joined) <= room:
            lines[-1] = joined
            continue
        pieces = [word] if whole_words else list(fold(word, room))
        lines[-1:] = [*([lines[-1]] if lines[-1] else []), *pieces]
    return lines


def _words(text: str) -> Iterator[tuple[str, str]]:
    """What may not be broken, each with what stands before it on a line."""
    for word in text.split():
        start = 0
        for index in range(1, len(word) + 1):
            ends = index == len(word) or (_cell(word[index]) and 2 in (_cell(word[index - 1]), _cell(word[index])))
            if ends:
                yield "" if start else " ", word[start:index]
                start = index


def fold(text: str, room: int) -> Iterator[str]:
    """``text`` in pieces of at most ``room`` columns, cut after a slash in the piece's second half, else anywhere."""
    start, slash, used = 0, 0, 0
    for index, char in enumerate(text):
        used += _cell(char)
        if used > room and index > start:
            end = slash if slash - start > room // 2 else index
            yield text[start:end]
            start, slash, used = end, 0, cells(text[end : index + 1])
        if char == "/":
            slash = index + 1
    yield text[start:]
