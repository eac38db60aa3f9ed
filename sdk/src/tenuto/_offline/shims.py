"""Other surroundings inside this process: clock, locale, environment, host, memory.

Installed before the application is imported, so that names it takes from these modules (`from time import time as t`)
are the changed ones. The methods of `datetime` are changed in the built-in class itself, which every alias and subclass
shares; a class put in its place would no longer be the one that payloads are decoded to.

What C code reads by itself stays as it is: the clocks of numpy and pandas, `os.urandom`, and `format(x, "n")` where no
other locale is installed.
"""

from __future__ import annotations

import ctypes
import datetime
import gc
import getpass
import locale
import os
import platform
import random
import socket
import sys
import sysconfig
import time
import uuid
from collections.abc import Callable
from inspect import currentframe
from pathlib import Path
from typing import Any, Final

# The clock stands still but for ticks, or two processes could not read the same. So that loops which wait for a moment
# still end, it follows real time in steps longer than any replay should take.
_STEP_NS: Final = 60_000_000_000
_TICK_NS: Final = 1_000
_HOST: Final = "another-host.example"
_HARDWARE_ADDRESS: Final = 0x02_00_5E_10_20_30
_LOCALES: Final = ("de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "tr_TR.UTF-8", "ja_JP.UTF-8", "en_IN.UTF-8", "de_DE")
_DAYS: Final = ("Montag", "Dienstag", "Mittwoch", "Donnerstag", "Freitag", "Samstag", "Sonntag")
_MONTHS: Final = (
    *("Januar", "Februar", "März", "April", "Mai", "Juni", "Juli"),
    *("August", "September", "Oktober", "November", "Dezember"),
)
# Objects of Python code are smaller. CPython's allocator keeps blocks of one size in pools, and takes a fresh pool once
# none has a hole left: it is recognized by a run of blocks from its first one. More holes are not worth the time.
_BYTES_HEAD: Final = sys.getsizeof(b"")
_SETTLED_BYTES: Final = 288
_ROW: Final = 12
_POOL_BYTES: Final = 16_384
_POOL_HEAD: Final = 48
_MAX_FILLED: Final = 40_000
_OPPOSITES: Final = {"true": "false", "yes": "no", "on": "off", "1": "0"}


def set_on_type(kind: type, name: str, value: object) -> None:
    """Replace an attribute of a built-in class, for all who use it."""
    namespace: Any = gc.get_referents(kind.__dict__)[0]
    namespace[name] = value
    ctypes.pythonapi.PyType_Modified(ctypes.py_object(kind))


class Clock:
    """A clock that all replay processes of one run agree on.

    Args:
        origin_ns: what it shows at the beginning of each replay; Unix nanoseconds.
    """

    def __init__(self, origin_ns: int) -> None:
        self._monotonic_ns = time.monotonic_ns
        self._origin_ns = origin_ns
        self._started_ns = 0
        self._ticks = 0
        self._shift_ns = 0
        self.reset()

    def reset(self) -> None:
        """Begins again, before each replay."""
        self._started_ns = self._monotonic_ns()
        self._ticks = 0

    def shift(self, seconds: int) -> None:
        """Moves this clock, and the monotonic ones with it."""
        self._shift_ns = seconds * 1_000_000_000
        if seconds:
            self._shift_monotonic()

    def now_ns(self) -> int:
        """Unix nanoseconds."""
        self._ticks += 1
        waited = (self._monotonic_ns() - self._started_ns) // _STEP_NS * _STEP_NS
        return self._origin_ns + self._shift_ns + waited + self._ticks * _TICK_NS

    def now(self) -> float:
        """Unix seconds."""
        return self.now_ns() / 1e9

    def install(self) -> None:
        """Makes everybody read this clock."""
        replaced: dict[str, Callable[..., Any]] = {
            "time": self.now,
            "time_ns": self.now_ns,
            "localtime": self._with_now(time.localtime),
            "gmtime": self._with_now(time.gmtime),
            "ctime": self._with_now(time.ctime),
            "asctime": self._with_local(time.asctime, position=0),
            "strftime": self._with_local(time.strftime, position=1),
        }
        for name, function in replaced.items():
            setattr(time, name, function)
        if hasattr(time, "clock_gettime"):
            self._install_clock_gettime()
        utc, own = datetime.UTC, self.now

        def now(cls: Any, tz: Any = None) -> Any:
            return cls.fromtimestamp(own(), tz)

        def utcnow(cls: Any) -> Any:
            return cls.fromtimestamp(own(), utc).replace(tzinfo=None)

        def today(cls: Any) -> Any:
            return cls.fromtimestamp(own())

        set_on_type(datetime.datetime, "now", classmethod(now))
        set_on_type(datetime.datetime, "utcnow", classmethod(utcnow))
        set_on_type(datetime.date, "today", classmethod(today))

    def _with_now(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def shimmed(seconds: float | None = None) -> Any:
            return original(self.now() if seconds is None else seconds)

        return shimmed

    def _with_local(self, original: Callable[..., Any], *, position: int) -> Callable[..., Any]:
        def shimmed(*arguments: Any) -> Any:
            given = arguments if len(arguments) > position else (*arguments, time.localtime())
            return original(*given)

        return shimmed

    def _install_clock_gettime(self) -> None:
        seconds, nanoseconds, own = time.clock_gettime, time.clock_gettime_ns, time.CLOCK_REALTIME

        def clock_gettime(clock: int) -> float:
            return self.now() if clock == own else seconds(clock)

        def clock_gettime_ns(clock: int) -> int:
            return self.now_ns() if clock == own else nanoseconds(clock)

        time.clock_gettime = clock_gettime
        time.clock_gettime_ns = clock_gettime_ns

    def _shift_monotonic(self) -> None:
        shift = abs(self._shift_ns)
        for name in ("monotonic", "perf_counter", "process_time"):
            setattr(time, name, _moved(getattr(time, name), shift / 1e9))
            setattr(time, f"{name}_ns", _moved(getattr(time, f"{name}_ns"), shift))


def _moved(original: Callable[[], Any], shift: float) -> Callable[[], Any]:
    return lambda: original() + shift


def change_locale() -> None:
    """Another locale: a real one where one is installed, else numbers and names as German ones look."""
    for name in _LOCALES:
        try:
            locale.setlocale(locale.LC_ALL, name)
        except locale.Error:
            continue
        os.environ["LC_ALL"] = os.environ["LANG"] = name
        return
    appearance = {"decimal_point": ",", "thousands_sep": ".", "grouping": [3, 3, 0], "mon_decimal_point": ","}
    appearance |= {
        "mon_thousands_sep": ".",
        "mon_grouping": [3, 3, 0],
        "currency_symbol": "€",
        "int_curr_symbol": "EUR ",
    }
    replaced = {"_override_localeconv": appearance, "getlocale": _german, "getdefaultlocale": _german}
    for name, value in replaced.items():
        setattr(locale, name, value)
    _change_names()


def _german(*_asked: object) -> tuple[str, str]:
    return "de_DE", "UTF-8"


def _change_names() -> None:
    by_date, by_tuple = datetime.date.strftime, time.strftime

    def strftime(self: Any, format: str) -> str:  # noqa: A002  # the parameter's name in the standard library
        return by_date(self, _with_names(format, self.weekday(), self.month))

    def strftime_of_tuple(format: str, moment: Any = None) -> str:  # noqa: A002  # as above
        parts = time.localtime() if moment is None else moment
        return by_tuple(_with_names(format, parts[6], parts[1]), parts)

    set_on_type(datetime.date, "strftime", strftime)
    time.strftime = strftime_of_tuple


def _with_names(form: str, weekday: int, month: int) -> str:
    """A format with what depends on the locale filled in."""
    day, name = _DAYS[weekday], _MONTHS[month - 1]
    filled = {"%A": day, "%a": day[:2], "%B": name, "%b": name[:3], "%h": name[:3], "%p": "", "%r": "%H:%M:%S"}
    filled |= {"%x": "%d.%m.%Y", "%X": "%H:%M:%S Uhr", "%c": f"{day[:2]} %d {name[:3]} %Y %T"}
    parts = form.split("%%")
    for short, long in filled.items():
        parts = [part.replace(short, long) for part in parts]
    return "%%".join(parts)


class ChangedEnvironment:
    """Other values for application code that reads the environment; libraries read what is there.

    Args:
        application: folder of the application, which counts as its code even among installed packages.
    """

    def __init__(self, application: Path | None) -> None:
        self._application = None if application is None else str(application)
        paths = sysconfig.get_paths()
        own = Path(__file__).parents[1]
        self._foreign = tuple({paths["stdlib"], paths["platstdlib"], paths["purelib"], paths["platlib"], str(own)})
        self._passages = (__file__, os.__file__, "<frozen os>", "<frozen _collections_abc>")

    def install(self) -> None:
        """Changes what `os.environ` and `os.getenv` answer."""
        kind: Any = type(os.environ)
        original = kind.__getitem__

        def get(environ: Any, key: Any) -> Any:
            if not isinstance(key, str) or environ is not os.environ or not self._is_application():
                return original(environ, key)
            try:
                return opposite(original(environ, key))
            except KeyError:
                return "perturbed"

        kind.__getitem__ = get
        os.environ["TENUTO_PERTURBED"] = "1"

    def _is_application(self) -> bool:
        """Whether application code reads, which is the first frame that is not of the mapping itself."""
        frame = currentframe()
        while frame is not None and frame.f_code.co_filename in self._passages:
            frame = frame.f_back
        if frame is None:
            return False
        name = frame.f_code.co_filename
        if self._application is not None and name.startswith(self._application):
            return True
        return not name.startswith((*self._foreign, "<frozen"))


def opposite(value: str) -> str:
    """Another value of the same kind: numbers stay numbers, switches switches."""
    known = _OPPOSITES | {right: left for left, right in _OPPOSITES.items()}
    if value.lower() in known:
        return known[value.lower()]
    return str(int(value) + 1) if value.isdecimal() else f"{value}-perturbed"


def change_host() -> None:
    """Another host, as far as Python code asks for it."""
    count = os.cpu_count() or 1
    described = platform.uname()._replace(node=_HOST)
    socket.gethostname = lambda: _HOST
    socket.getfqdn = lambda name="": name or _HOST
    platform.uname = lambda: described
    platform.node = lambda: _HOST
    uuid.getnode = lambda: _HARDWARE_ADDRESS
    getpass.getuser = lambda: "somebody-else"
    os.cpu_count = lambda: count + 1
    if hasattr(os, "uname"):
        facts = os.uname()
        changed = os.uname_result((facts.sysname, _HOST, *facts[2:]))
        os.uname = lambda: changed


def seed_random(seed: int) -> None:
    """Seed the shared generators of `random` and, where the application uses it, numpy."""
    random.seed(seed)
    numpy = sys.modules.get("numpy.random")
    if numpy is not None:
        numpy.seed(seed % 2**32)


def settle_memory() -> list[object]:
    """Let the next objects of every small size get rising addresses, in every process.

    Holes that the application's import left are filled until new blocks follow one another. Else objects ordered by
    `id()` would come in another order in each process, and by chance in the same.

    Returns:
        What fills the holes; hold it as long as that is to last.
    """
    held: list[object] = []
    for step in range(48, _SETTLED_BYTES, 16):
        row, last = 0, 0
        for _ in range(_MAX_FILLED):
            block = bytes(step - _BYTES_HEAD)
            address = id(block)
            row = 1 if address % _POOL_BYTES == _POOL_HEAD else row + 1 if row and address - last == step else 0
            last = address
            held.append(block)
            if row == _ROW:
                break
    return held


def scramble_memory(seed: int) -> list[object]:
    """Let the next objects of every small size get addresses in a random order.

    Returns:
        What keeps the memory scrambled; hold it as long as that is to last.
    """
    chance = random.Random(seed)
    blocks: list[object | None] = [object() for _ in range(3_000)]
    for step in range(48, 512, 16):
        blocks += [bytes(step - _BYTES_HEAD) for _ in range(3 * 16_384 // step)]
    # Dictionaries and lists are handed out again from lists of their own.
    blocks += [dict.fromkeys("ab") for _ in range(200)] + [[1, 2] for _ in range(200)]
    order = list(range(len(blocks)))
    chance.shuffle(order)
    for position in order[: len(order) * 2 // 3]:
        blocks[position] = None
    return [block for block in blocks if block is not None]
