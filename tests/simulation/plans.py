"""What a seed stands for: engines, settings, the clients' commands and the faults, as data that can be cut down."""

from __future__ import annotations

from random import Random
from typing import Any

import msgspec

from simulation.workloads import GATHERING

SHARDS = 6


class Command(msgspec.Struct):
    """One command of one client; a client sends its commands one after another, each until it is answered.

    `kind`: start, again (the same start, with its command id), event, suspend, resume, terminate, purge, read.
    `twice`: through two engines at once.
    """

    at_s: float
    client: int
    kind: str
    target: str
    name: str = ""
    given: Any = None
    delay_ms: int = 0
    twice: bool = False


class Fault(msgspec.Struct):
    """One disturbance: what, whom (an engine's number, -1 for all), from when, for how long, and how strong."""

    at_s: float
    kind: str
    engine: int = -1
    for_s: float = 1.0
    amount: float = 0.0
    detail: str = ""


class Plan(msgspec.Struct):
    """A run, whole. Equal plans give equal runs, to the byte."""

    seed: int
    engines: int
    durability: str
    horizon_s: float
    settings: dict[str, Any]
    limits: dict[str, Any]
    commands: list[Command]
    faults: list[Fault]


_NAMES = (
    "chain",
    "fan",
    "sleeper",
    "race",
    "collect",
    "collect_renewing",
    "counter",
    "parent",
    "twins",
    "renewing_parent",
    "sender",
    "flaky",
    "hopeless",
    "impatient",
    "beating",
    "bounded",
)


def _given(random: Random, name: str) -> Any:
    match name:
        case "chain":
            return random.randint(1, 8)
        case "fan":
            return random.choice((3, 12, 40))
        case "sleeper":
            return [random.choice((1, 80, 900, 3_000)) for _ in range(random.randint(1, 3))]
        case "race":
            return random.choice((10, 500))
        case "counter":
            return random.randint(1, 4)
        case "parent":
            kinds = ("chain", "sleeper", "race", "counter", "flaky", "fan")
            chosen = [random.choice(kinds) for _ in range(random.randint(1, 3))]
            return [[kind, _given(random, kind)] for kind in chosen]
        case "renewing_parent":
            return random.randint(0, 2)
        case "flaky":
            return random.randint(0, 3)
        case "hopeless":
            return random.randint(1, 3)
        case "collect" | "collect_renewing":
            return []
        case _:
            return None


def _commands(random: Random, horizon_s: float) -> list[Command]:
    commands: list[Command] = []
    clients = random.randint(1, 4)
    gatherers: list[str] = []
    # As with the faults: where few kinds meet, rare meetings become likely.
    names = random.sample(_NAMES, random.choice((2, 4, len(_NAMES))))
    for number in range(random.choice((4, 8, 12, 20))):
        at_s = random.uniform(0.5, horizon_s * 0.6)
        client = random.randrange(clients)
        name = random.choice(names)
        target = f"{name}-{number}"
        given = _given(random, name)
        if name == "sender":
            if not gatherers:
                name, given = "collect", []
            else:
                given = [random.choice(gatherers), random.randint(1, 4)]
        if name in {"collect", "collect_renewing"}:
            gatherers.append(target)
        delay_ms = random.choice((0, 0, 0, 0, 700, 4_000))
        commands.append(Command(at_s, client, "start", target, name, given, delay_ms, twice=random.random() < 0.2))
        commands += _further(random, Command(at_s, client, "", target, name, given), clients, horizon_s)
    commands.sort(key=lambda command: command.at_s)
    return commands


def _further(random: Random, start: Command, clients: int, horizon_s: float) -> list[Command]:
    """What clients do with an instance after they started it."""
    made: list[Command] = []

    def later() -> float:
        return random.uniform(start.at_s, horizon_s)

    if start.name in GATHERING:
        made += [
            Command(later(), random.randrange(clients), "event", start.target, given=f"p{number}")
            for number in range(random.randint(0, 7))
        ]
    chance = random.random()
    if chance < 0.2:
        at_s = later()
        made.append(Command(at_s, start.client, "suspend", start.target))
        made.append(Command(random.uniform(at_s, horizon_s), start.client, "resume", start.target))
    elif chance < 0.32:
        made.append(Command(later(), start.client, "terminate", start.target))
    elif chance < 0.4:
        made.append(Command(later(), start.client, "purge", start.target, given=random.random() < 0.7))
    if random.random() < 0.2:
        made.append(Command(later(), random.randrange(clients), "read", start.target))
    if start.name == "parent" and random.random() < 0.3:
        made.append(Command(later(), start.client, "terminate", f"{start.target}.0"))
    if random.random() < 0.2:
        made.append(Command(later(), start.client, "again", start.target, start.name, start.given))
    for command in made:
        command.twice = command.kind in {"event", "terminate", "suspend", "resume"} and random.random() < 0.2
    return made


def _fault(random: Random, kind: str, engines: int, moments: list[float], *, durability: str) -> Fault:
    # Near a command, mostly: a fault while nothing happens finds nothing.
    at_s = max(0.0, random.choice(moments) + random.uniform(-0.3, 1.5))
    fault = Fault(round(at_s, 3), kind, random.randrange(engines))
    fault.for_s = round(random.choice((random.uniform(0.05, 1.0), random.uniform(1.0, 9.0))), 3)
    match kind:
        case "crash_at":
            fault.amount = random.randint(1, 12)
            fault.detail = (
                random.choice(("before", "after"))
                + ":"
                + random.choice(
                    (
                        "Commit",
                        "Commit",
                        "Commit",
                        "Append",
                        "Create",
                        "Deliver",
                        "FireReminder",
                        "RemoveOutbox",
                        "Purge",
                        "ReplaceActivity",
                    )
                )
            )
        case "stuck":
            fault.amount = random.randint(1, 6)
            fault.for_s = round(random.uniform(2.0, 9.0), 3)
            fault.detail = random.choice(("", "frozen"))
        case "crash_step":
            fault.amount = random.randint(1, 3_000)
        case "pause":
            fault.for_s = round(random.choice((random.uniform(0.1, 2), random.uniform(2, 8), random.uniform(5, 14))), 3)
            fault.detail = random.choice(("", "frozen"))
        case "cut" | "lease_cut":
            fault.detail = random.choice(("both", "in", "out"))
        case "flaky":
            fault.engine = random.choice((-1, fault.engine))
            fault.amount = random.choice((0.02, 0.1, 0.4))
            fault.detail = random.choice(("lost", "lost_reply", "late", "rejected", "slow", "all"))
        case "nudges":
            fault.engine = -1
            fault.amount = random.choice((0.3, 1.0))
        case "store_restart":
            fault.for_s = round(random.uniform(0.05, 2.0), 3)
            fault.amount = random.choice((0, 1_000)) if durability == "D1" else 0
        case "rate":
            fault.amount = random.choice((0.9, 0.98, 1.02, 1.1))
        case "store_clock":
            fault.amount = random.choice((-5_000, -500, -200, 500, 5_000))
        case "worker_slow":
            fault.amount = random.choice((0.1, 0.8))
        case "worker_twice":
            fault.amount = 0.5
        case _:
            pass
    return fault


FAULTS = (
    "crash",
    "crash",
    "crash_at",
    "crash_at",
    "crash_step",
    "stuck",
    "stuck",
    "pause",
    "pause",
    "pause",
    "cut",
    "lease_cut",
    "flaky",
    "flaky",
    "nudges",
    "store_restart",
    "rate",
    "store_clock",
    "worker_dies",
    "worker_leaves",
    "worker_slow",
    "worker_twice",
    "drain",
)


def make_plan(seed: int) -> Plan:
    """The run that a seed stands for."""
    random = Random(f"plan {seed}")
    engines = random.choice((1, 2, 2, 3, 3, 4, 5))
    durability = random.choice(("D0", "D0", "D0", "D1"))
    horizon_s = random.choice((4.0, 8.0, 20.0))
    settings = {
        "shards": SHARDS,
        "lease_seconds": random.choice((2.0, 5.0)),
        "sweep_seconds": random.choice((0.5, 1.0)),
        "turn_timeout_seconds": 6.0,
        "reconnect_grace_seconds": random.choice((0.2, 1.0)),
        "drain_seconds": 3.0,
        "loads": random.choice((1, 32)),
        "live_instances": random.choice((1, 5_000)),
        "max_turn_failures": 100,
        "max_deliveries": 100,
    }
    if random.random() < 0.3:
        settings |= {
            "retain_completed_seconds": random.uniform(1, 60),
            "retain_failed_seconds": random.uniform(1, 60),
            "dedup_window_seconds": 20.0,
        }
    limits = {"commit_records": random.choice((4, 10, 1_000, 1_000))}
    count = random.choice((0, 1, 2, 4, 8, 14))
    commands = _commands(random, horizon_s)
    moments = [command.at_s for command in commands]
    kinds = sorted(set(FAULTS))
    # Some seeds know all faults, others few kinds, which meet the more often (swarm testing).
    chosen = FAULTS if random.random() < 0.4 else random.sample(kinds, random.randint(1, 6))
    faults = [_fault(random, random.choice(chosen), engines, moments, durability=durability) for _ in range(count)]
    faults.sort(key=lambda fault: fault.at_s)
    return Plan(seed, engines, durability, horizon_s, settings, limits, commands, faults)
