"""TEN122: generators without a seed, and randomness of the operating system."""

from __future__ import annotations

import ast

from tenuto._lint.finding import Fix
from tenuto._lint.fixing import on_context
from tenuto._lint.rule import Rule, Use
from tenuto._lint.sources import SYSTEM_RANDOM
from tenuto._lint.view import Call


def _is_unseeded(call: Call) -> bool:
    if call.is_handed_on:
        return False
    first = call.argument(0, "x")
    return not call.has_arguments or (isinstance(first, ast.Constant) and first.value is None)


def _is_method(call: Call) -> bool:
    """`SystemRandom().choice` is found where the object is made, if that is in the same expression."""
    return not (isinstance(call.target, ast.Attribute) and isinstance(call.target.value, ast.Call))


def _generator(call: Call) -> Fix | None:
    return on_context(call, "random()")


def _bytes(call: Call) -> Fix | None:
    """Bytes that anyone who knows the execution can compute: no replacement for a secret."""
    count = call.argument(0)
    text = "" if count is None else call.function.text_of(count)
    return on_context(call, f"random().randbytes({text})", is_safe=False) if text else None


_SECRET = Use(instead="Make secrets in an activity, and keep them out of history: return a reference, not the secret.")

RULE = Rule(
    id="TEN122",
    name="system-random",
    message="{text}() takes randomness from the operating system",
    why="It cannot be seeded: nothing in the program can make it give the same again.",
    breaks="A replay gets other values, and what is decided, named or passed on by them differs from what history "
    "records.",
    instead="Use ctx.random(), which gives the same numbers in every replay; make secrets in an activity.",
    calls={
        **dict.fromkeys(SYSTEM_RANDOM, _SECRET),
        "os.urandom": Use(fix=_bytes),
        "os.getrandom": Use(),
        "random.Random": Use(when=_is_unseeded, message="{text}() is seeded by the operating system", fix=_generator),
        "random.SystemRandom": Use(fix=_generator),
        "random.SystemRandom.*": Use(when=_is_method),
        "secrets.SystemRandom": Use(fix=_generator),
        "secrets.SystemRandom.*": Use(when=_is_method),
        "numpy.random.default_rng": Use(when=_is_unseeded, message="{text}() is seeded by the operating system"),
        "numpy.random.RandomState": Use(when=_is_unseeded, message="{text}() is seeded by the operating system"),
    },
)
