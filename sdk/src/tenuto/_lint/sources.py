"""Names whose calls give something else each time, and whether an expression holds one of them.

Several rules ask the same question of a value (a default, a child's id, a branch); the tables of the rules about
clocks, randomness and ids are made of these sets.
"""

from __future__ import annotations

import ast

from tenuto._lint.scopes import Scope
from tenuto._lint.view import FunctionView

CLOCKS = frozenset(
    {
        "datetime.date.today",
        "datetime.datetime.now",
        "datetime.datetime.today",
        "datetime.datetime.utcnow",
    }
)
READINGS = frozenset(
    {
        "asyncio.AbstractEventLoop.time",
        "time.clock_gettime",
        "time.clock_gettime_ns",
        "time.monotonic",
        "time.monotonic_ns",
        "time.perf_counter",
        "time.perf_counter_ns",
        "time.process_time",
        "time.process_time_ns",
        "time.thread_time",
        "time.thread_time_ns",
        "time.time",
        "time.time_ns",
        "timeit.default_timer",
    }
)
LIBRARY_CLOCKS = frozenset(
    {
        "arrow.now",
        "arrow.utcnow",
        "django.utils.timezone.localdate",
        "django.utils.timezone.localtime",
        "django.utils.timezone.now",
        "maya.now",
        "pandas.Timestamp.now",
        "pandas.Timestamp.today",
        "pandas.Timestamp.utcnow",
        "pendulum.DateTime.now",
        "pendulum.now",
        "pendulum.today",
        "pendulum.tomorrow",
        "pendulum.yesterday",
        "whenever.Instant.now",
        "whenever.SystemDateTime.now",
        "whenever.ZonedDateTime.now",
    }
)
RANDOM = frozenset(
    f"random.{name}"
    for name in (
        "betavariate",
        "binomialvariate",
        "choice",
        "choices",
        "expovariate",
        "gammavariate",
        "gauss",
        "getrandbits",
        "lognormvariate",
        "normalvariate",
        "paretovariate",
        "randbytes",
        "randint",
        "random",
        "randrange",
        "sample",
        "shuffle",
        "triangular",
        "uniform",
        "vonmisesvariate",
        "weibullvariate",
    )
)
SYSTEM_RANDOM = frozenset(
    {
        "os.getrandom",
        "os.urandom",
        "secrets.choice",
        "secrets.randbelow",
        "secrets.randbits",
        "secrets.token_bytes",
        "secrets.token_hex",
        "secrets.token_urlsafe",
        "ssl.RAND_bytes",
    }
)
IDS = frozenset(
    {
        "bson.ObjectId",
        "bson.objectid.ObjectId",
        "cuid.cuid",
        "cuid2.cuid_wrapper",
        "ksuid.Ksuid",
        "nanoid.generate",
        "shortuuid.ShortUUID.random",
        "shortuuid.ShortUUID.uuid",
        "shortuuid.random",
        "shortuuid.uuid",
        "ulid.ULID",
        "ulid.new",
        "uuid.getnode",
        "uuid.uuid1",
        "uuid.uuid4",
        "uuid.uuid6",
        "uuid.uuid7",
        "uuid6.uuid6",
        "uuid6.uuid7",
        "uuid_utils.uuid1",
        "uuid_utils.uuid4",
        "uuid_utils.uuid7",
        "xid.Xid",
    }
)
CHANGING = CLOCKS | READINGS | LIBRARY_CLOCKS | RANDOM | SYSTEM_RANDOM | IDS | {"builtins.id", "builtins.hash"}
_DEEPEST = 4


def changing_name(function: FunctionView, node: ast.expr, scope: Scope | None = None) -> str:
    """Return the name of a call inside an expression that gives something else each time; empty where there is none.

    Values of local names are looked into. `scope`: where the expression stands, if not in the function's own scope.
    """
    return _search(function, node, scope, _DEEPEST)


def _search(function: FunctionView, node: ast.expr, scope: Scope | None, depth: int) -> str:
    parts = list(ast.walk(node))
    for part in parts:
        if isinstance(part, ast.Call):
            found = next((name for name in function.names(part.func, scope) if name in CHANGING), "")
            if found:
                return found
    for part in parts if depth else ():
        for value in _values(function, part, scope):
            if found := _search(function, value, scope, depth - 1):
                return found
    return ""


def _values(function: FunctionView, node: ast.AST, scope: Scope | None) -> list[ast.expr]:
    if not isinstance(node, ast.Name) or not isinstance(node.ctx, ast.Load):
        return []
    return [one.node for one in function.bindings(node, scope) if one.kind == "value" and one.node is not None]
