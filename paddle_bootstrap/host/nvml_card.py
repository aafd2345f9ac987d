"""Part of the process that asks NVML: one GPU, the calls on it, and what each kind of failure means."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # it is that file which loads this one
    from paddle_bootstrap.host.nvml_child import Sweep

INVALID_ARGUMENT, NOT_SUPPORTED, FUNCTION_NOT_FOUND, VERSION_MISMATCH = 2, 3, 13, 25
ABSENT = (NOT_SUPPORTED, FUNCTION_NOT_FOUND)


class Lacking(Exception):
    """The GPU or its driver does not have what is asked about, and told so by other means than its usual codes."""


class Card:
    """One GPU and the calls on it. Each is announced before it begins, so that the one that hangs is known."""

    def __init__(self, sweep: Sweep, index: int, handle: Any, say: Callable[..., None]) -> None:
        self.sweep = sweep
        self.pynvml = sweep.pynvml
        self.index = index
        self.handle = handle
        self.say = say
        self.reading = ""
        self.failures = (sweep.pynvml.NVMLError, sweep.pynvml.NVMLLibraryMismatchError)
        self.called = ""
        self.kept: dict[str, Any] = {}

    def call(self, name: str, *arguments: Any, of: str | None = None) -> Any:
        """What pynvml's function answers for this GPU. ``of``: another GPU, whose fault it would be to hang."""
        self.asking(name, of)
        return getattr(self.pynvml, name)(self.handle, *arguments)

    def asking(self, name: str, of: str | None = None) -> None:
        self.called = name
        self.say(asking=self.reading, gpu=self.index, **({"of": of} if of else {}))

    def once(self, name: str) -> Any:
        """The same for a call that several readings share."""
        if name not in self.kept:
            self.kept[name] = self.call(name)
        return self.kept[name]

    def part(self, name: str, *arguments: Any) -> Any:
        """What it answers, or None where that is not supported."""
        try:
            return self.call(name, *arguments)
        except self.failures as error:
            if self.code(error) in ABSENT:
                return None
            raise

    def newest(self, *calls: tuple[Any, ...]) -> Any:
        """The answer of the first call that this driver has; what the last one says when it has none."""
        for number, (name, *arguments) in enumerate(calls, 1):
            try:
                return self.call(name, *arguments)
            except self.failures as error:
                if number == len(calls) or self.code(error) not in (*ABSENT, VERSION_MISMATCH):
                    raise
        return None

    def field(self, number: int) -> Any:
        """One of NVML's fields, whose entry has a code of its own. A driver that does not know the number says so with 2."""
        entry = self.call("nvmlDeviceGetFieldValues", [number])[0]
        if entry.nvmlReturn == INVALID_ARGUMENT:
            raise Lacking(f"this driver has no field {number}")
        if entry.nvmlReturn:
            raise self.pynvml.NVMLError(entry.nvmlReturn)
        double, long_long = self.pynvml.NVML_VALUE_TYPE_DOUBLE, self.pynvml.NVML_VALUE_TYPE_UNSIGNED_LONG_LONG
        return {double: entry.value.dVal, long_long: entry.value.ullVal}.get(entry.valueType, entry.value.uiVal)

    def code(self, error: Exception) -> int:
        """NVML's code; pynvml has an exception outside its family for functions that an old library lacks."""
        return int(getattr(error, "value", FUNCTION_NOT_FOUND))

    def lacks(self, reason: str) -> Lacking:
        return Lacking(reason)

    def answer(self, name: str, read: Callable[[Card], Any]) -> dict[str, Any]:
        """A reading as the line that is said of it: its value, or why there is none."""
        self.reading = name
        about = {"fact": name, "gpu": self.index}
        try:
            return {**about, "value": read(self)}
        except Lacking as error:
            return {**about, "unknown": str(error), "code": None, "unsupported": True}
        except self.sweep.failures as error:
            code = None if isinstance(error, UnicodeDecodeError) else self.code(error)
            return {**about, "unknown": self._reason(error, code), "code": code, "unsupported": code in ABSENT}

    def _reason(self, error: Exception, code: int | None) -> str:
        if code == FUNCTION_NOT_FOUND:
            return f"this driver has no {self.called}"
        reason = self.sweep.reason(error, code)
        return reason if code == NOT_SUPPORTED else f"{self.called}: {reason}"
