"""Runs kernels.ptx itself, one thread after the other, by the letter of the ISA: as much of PTX as stands in it."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import floor, log2

BASE = 0x1000_0000
WIDTH = {"u64": 64, "b64": 64, "u32": 32, "b32": 32, "f32": 32, "pred": 1}
_FUNCTION = re.compile(
    r"\.(?:visible \.entry|func(?: \((?P<result>[^)]*)\))?) (?P<name>\w+) \((?P<given>[^)]*)\)\s*\{(?P<body>.*?)\n\}",
    re.S,
)


@dataclass(frozen=True)
class Function:
    result: str | None
    given: tuple[str, ...]
    body: tuple[str, ...]  # statements; a label ends with a colon


@dataclass
class Gpu:
    """Memory from BASE on, and where the thread is that runs."""

    functions: Mapping[str, Function]
    memory: bytearray
    place: dict[str, int] = field(default_factory=dict)

    def launch(self, name: str, blocks: int, threads: int, *arguments: int) -> None:
        for block in range(blocks):
            for thread in range(threads):
                self.place = {
                    "%ctaid.x": block,
                    "%tid.x": thread,
                    "%ntid.x": threads,
                    "%nctaid.x": blocks,
                    "%smid": block % 3,
                }
                _Thread(self, self.functions[name], arguments).run()

    def load(self, at: int, size: int) -> int:
        assert at % size == 0, "misaligned"
        return int.from_bytes(self.memory[at - BASE : at - BASE + size], "little")

    def store(self, at: int, size: int, value: int) -> None:
        assert at % size == 0, "misaligned"
        assert 0 <= at - BASE <= len(self.memory) - size, "outside"
        self.memory[at - BASE : at - BASE + size] = value.to_bytes(size, "little")


def read(text: str) -> dict[str, Function]:
    text = re.sub(r"//.*", "", text)
    return {found["name"]: _function(found) for found in _FUNCTION.finditer(text)}


def _function(found: re.Match[str]) -> Function:
    given = [part.split()[-1] for part in found["given"].split(",") if part.strip()]
    body = re.sub(r"(\w+:)", r"\1;", found["body"]).split(";")
    told = (" ".join(part.split()) for part in body)
    result = found["result"].split()[-1] if found["result"] else None
    return Function(result, tuple(given), tuple(each for each in told if each and not each.startswith(".reg")))


class _Thread:
    """One call of one function."""

    def __init__(self, gpu: Gpu, function: Function, arguments: Sequence[int]) -> None:
        self.gpu, self.function = gpu, function
        self.registers = dict(zip(function.given, arguments, strict=True))

    def run(self) -> int | None:
        at = 0
        while True:
            statement = self.function.body[at]
            at += 1
            if statement.endswith(":"):
                continue
            if statement.startswith("@"):
                guard, statement = statement.split(" ", 1)
                if bool(self.registers[guard.lstrip("@!")]) == guard.startswith("@!"):
                    continue
            if statement == "ret":
                return self.registers[self.function.result] if self.function.result else None
            if statement.startswith("bra "):
                at = self.function.body.index(f"{statement[4:]}:")
                continue
            self.do(statement)

    def do(self, statement: str) -> None:
        operation, rest = statement.split(" ", 1)
        if operation.startswith("call"):
            return self.call(rest)
        kind = operation.split(".")[-1]
        words = [word.strip() for word in re.findall(r"\{[^}]*\}|\[[^]]*\]|[^,\s{[][^,]*", rest)]
        if operation.startswith(("st.", "ld.global")):
            return self.move(operation, kind, words)
        if operation.startswith("red."):
            return self.reduce(operation.split(".")[2], kind, words)
        if operation.startswith("ld.param"):
            self.registers[words[0]] = self.registers[words[1].strip("[]")]
            return None
        values = [self.value(word) for word in words[1:]]
        self.registers[words[0]] = _computed(operation, kind, values)
        return None

    def call(self, rest: str) -> None:
        result, name, given = re.fullmatch(r"(?:\((\w+)\), )?(\w+), \((.*)\)", rest).groups()  # type: ignore[union-attr]
        values = [self.value(word.strip()) for word in given.split(",")]
        back = _Thread(self.gpu, self.gpu.functions[name], values).run()
        if result:
            assert back is not None
            self.registers[result] = back

    def move(self, operation: str, kind: str, words: list[str]) -> None:
        memory, other = words if operation.startswith("st.") else reversed(words)
        size, at = WIDTH[kind] // 8, self.address(memory)
        parts = [part.strip() for part in other.strip("{}").split(",")]
        assert at % (size * len(parts)) == 0, "misaligned"
        for place, part in enumerate(parts):
            if operation.startswith("st."):
                self.gpu.store(at + size * place, size, self.value(part))
            else:
                self.registers[part] = self.gpu.load(at + size * place, size)

    def reduce(self, how: str, kind: str, words: list[str]) -> None:
        size, at = WIDTH[kind] // 8, self.address(words[0])
        before, value = self.gpu.load(at, size), self.value(words[1])
        after = {"add": before + value, "min": min(before, value), "or": before | value}[how]
        self.gpu.store(at, size, after % (1 << 8 * size))

    def address(self, word: str) -> int:
        return sum(self.value(part.strip()) for part in word.strip("[]").split("+"))

    def value(self, word: str) -> int:
        if word.startswith("%"):
            return self.gpu.place[word]
        if word.startswith("0f"):
            return int(word[2:], 16)
        return int(word, 0) if word[0].isdigit() else self.registers[word]


def _computed(operation: str, kind: str, values: list[int]) -> int:
    name = operation.rsplit(".", 1)[0]
    if kind == "f32":
        a, b, c = ([*map(real, values), Fraction(1), Fraction(0)])[:3] if len(values) < 3 else map(real, values)
        exact = {"neg": lambda: -a, "add.rn": lambda: a + b, "mul.rn": lambda: a * b, "fma.rn": lambda: a * b + c}
        return nearest(exact[name]())
    a, b, c = (*values, 0, 0)[:3]
    first = kind if not name.startswith("cvt.") else name.split(".")[1]
    plain = {
        "mov": a,
        "cvta.to.global": a,
        "cvt.u64": a,
        "cvt.u32": a,
        "add": a + b,
        "sub": a - b,
        "xor": a ^ b,
        "or": a | b,
    }
    shifts = {"shl": lambda: a << b, "shr": lambda: a >> b, "mul.lo": lambda: a * b, "mul.hi": lambda: a * b >> 32}
    wide = {"mul.wide": lambda: a * b, "mad.lo": lambda: a * b + c}
    tests = {"setp.ge": lambda: a >= b, "setp.eq": lambda: a == b, "setp.ne": lambda: a != b}
    found = plain[name] if name in plain else {**shifts, **wide, **tests}[name]()
    return found % (1 << (64 if name == "mul.wide" else WIDTH[first]))


def real(bits: int) -> Fraction:
    return Fraction(struct.unpack("<f", struct.pack("<I", bits))[0])


def nearest(value: Fraction) -> int:
    """The bits of the float32 nearest to ``value``, ties to even; a value that is no subnormal."""
    if value == 0:
        return 0
    exponent = floor(log2(abs(value))) - 23
    exponent += (abs(value) >= Fraction(2) ** (exponent + 24)) - (abs(value) < Fraction(2) ** (exponent + 23))
    return int(
        struct.unpack("<I", struct.pack("<f", float(round(value / Fraction(2) ** exponent) * Fraction(2) ** exponent)))[
            0
        ]
    )


def words(memory: bytearray, at: int, count: int) -> Iterator[int]:
    return iter(struct.unpack_from(f"<{count}I", memory, at))
