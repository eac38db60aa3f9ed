"""What a perturbation changes, what it finds, and how a replay process is told.

A replay must not depend on anything here. Each perturbation changes one kind of surrounding and nothing else; where
a replay then asks for something else, that kind is the cause.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import msgspec

_DAY_S: Final = 86_400
# POSIX notation, since images without a time zone database know no names: 14 hours before and 10:30 behind UTC. At any
# moment, one of them has another day.
_ZONES: Final = ("XST-14", "YST10:30")
# Noon and midnight change places, and with them day, month and day of the week; then another year and season.
_SHIFTS_S: Final = (47 * _DAY_S + 43_211, -(400 * _DAY_S + 19_867))


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """The surroundings of one replay process; the defaults are those that the others are compared with.

    Args:
        hash_seed: PYTHONHASHSEED.
        zone: TZ.
        random_seed: of `random`, and of numpy where the application uses it; set again before each replay.
        clock_shift_s: seconds that the clock is moved by.
        memory_seed: free memory is handed out in an order drawn from this; None: as it comes.
        has_locale: another locale, real where one is installed, else of German appearance.
        has_environment: what application code reads from the environment is changed.
        has_host: another host name, hardware address, user name and number of processors.
        has_folder: another working folder, an empty one.
        is_late: clock, environment, host, locale and folder change only once the application is imported.
        origin_ns: the moment at which the clock of every replay begins, before it is moved; Unix nanoseconds.
    """

    hash_seed: int = 0
    zone: str = "UTC0"
    random_seed: int = 0
    clock_shift_s: int = 0
    memory_seed: int | None = None
    has_locale: bool = False
    has_environment: bool = False
    has_host: bool = False
    has_folder: bool = False
    is_late: bool = False
    origin_ns: int = 0


@dataclass(frozen=True, slots=True)
class Perturbation:
    """One kind of change.

    Args:
        name: short, as in reports and JSON.
        changed: what is other, as it follows "with".
        likely: what depends on it in practice, and what to do.
        rules: of the linter, most likely first.
    """

    name: str
    changed: str
    likely: str
    rules: tuple[str, ...]


HASH_SEED: Final = Perturbation(
    "hash-seed",
    "another PYTHONHASHSEED",
    "the order of a set decides, or hash() of a text; iterate over sorted(...), and hash with zlib.crc32 or hashlib",
    ("TEN181", "TEN182", "TEN126"),
)
CLOCK: Final = Perturbation(
    "clock",
    "another time",
    "the clock is read; use ctx.current_utc_datetime",
    ("TEN101", "TEN102", "TEN103"),
)
ZONE: Final = Perturbation(
    "time-zone",
    "another time zone",
    "local time is computed with; give tz=UTC, or do it in an activity",
    ("TEN104", "TEN150"),
)
LOCALE: Final = Perturbation(
    "locale",
    "another locale",
    "numbers, names of days or months are formatted; format in an activity, or with fixed names",
    ("TEN150",),
)
RANDOM: Final = Perturbation(
    "random-seed",
    "another seed of random",
    "random numbers are drawn; use ctx.random()",
    ("TEN121", "TEN123", "TEN125"),
)
ENVIRONMENT: Final = Perturbation(
    "environment",
    "other environment variables",
    "the environment is read; pass settings as the workflow's input, or read them in an activity",
    ("TEN148",),
)
HOST: Final = Perturbation(
    "host",
    "another host",
    "the host's name, address, user or number of processors is read; read it in an activity",
    ("TEN149",),
)
FOLDER: Final = Perturbation(
    "folder",
    "another working folder",
    "files are looked for, or the folder itself; read files in an activity",
    ("TEN144", "TEN149"),
)
MEMORY: Final = Perturbation(
    "memory",
    "another order of memory addresses",
    "objects are ordered or told apart by id(), or by the default hash() of their class; use a key of your own",
    ("TEN127", "TEN126"),
)
PROCESS: Final = Perturbation(
    "process",
    "nothing but another process",
    "something differs in every process: uuid4, secrets, os.urandom, the process id, memory addresses in a default "
    "repr, monotonic clocks; use ctx.new_uuid() and ctx.random(), and give classes a __repr__",
    ("TEN124", "TEN122", "TEN127", "TEN102", "TEN149"),
)
STATE: Final = Perturbation(
    "state",
    "a second replay in the same process",
    "state outside the workflow changes from run to run: a global, a class attribute, a cache, an iterator; keep it in "
    "local variables",
    ("TEN201", "TEN202", "TEN204"),
)
TOGETHER: Final = Perturbation(
    "together",
    "several of these changed at once, but none of them alone",
    "more than one of: hash seed, clock, time zone, locale, random seed, environment, host, folder, memory",
    (),
)


def variants(seed: int, rounds: int) -> dict[Perturbation, list[Surroundings]]:
    """Each perturbation alone.

    Args:
        seed: what all seeds are made from.
        rounds: how many seeds for those that need luck: two set members come in the same order under half of them.
    """
    seeds = [1 + (seed * 1_000_003 + 7_919 * number) % 4_294_967_291 for number in range(1, rounds + 1)]
    return {
        HASH_SEED: [Surroundings(hash_seed=one) for one in seeds],
        CLOCK: [Surroundings(clock_shift_s=one) for one in _SHIFTS_S],
        ZONE: [Surroundings(zone=one) for one in _ZONES],
        LOCALE: [Surroundings(has_locale=True)],
        RANDOM: [Surroundings(random_seed=one) for one in seeds[:2]],
        ENVIRONMENT: [Surroundings(has_environment=True)],
        HOST: [Surroundings(has_host=True)],
        FOLDER: [Surroundings(has_folder=True)],
        MEMORY: [Surroundings(memory_seed=one) for one in seeds],
    }


def all_together(seed: int, rounds: int) -> list[Surroundings]:
    """Everything changed at once, once for each round."""
    alone = variants(seed, rounds)
    return [
        Surroundings(
            hash_seed=alone[HASH_SEED][number].hash_seed,
            zone=_ZONES[number % 2],
            random_seed=alone[HASH_SEED][number].hash_seed,
            clock_shift_s=_SHIFTS_S[number % 2],
            memory_seed=alone[MEMORY][number].memory_seed,
            has_locale=True,
            has_environment=True,
            has_host=True,
            has_folder=True,
        )
        for number in range(rounds)
    ]
