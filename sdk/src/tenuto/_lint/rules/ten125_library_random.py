"""TEN125: random functions of libraries, and names by chance of temporary files."""

from __future__ import annotations

from tenuto._lint.rule import Rule, Use
from tenuto._lint.view import Call


def _has_no_key(call: Call) -> bool:
    return not call.has_arguments


def _is_numpy_function(call: Call) -> bool:
    """Whether it is one of the module's own functions, and no method of what one of them gave."""
    return any(name.startswith("numpy.random.") and name.count(".") == 2 for name in call.names)


_TORCH = ("rand", "rand_like", "randint", "randint_like", "randn", "randn_like", "randperm", "normal", "bernoulli")

RULE = Rule(
    id="TEN125",
    name="library-random",
    message="{text}() gives random values",
    why="The library draws from a generator of the process, seeded anew each time.",
    breaks="A replay gets other values, and what is decided or passed on by them differs from what history records.",
    instead="Do it in an activity, whose result is recorded; or take single numbers from ctx.random().",
    calls={
        "numpy.random.*": Use(when=_is_numpy_function),
        # Made with a seed they are deterministic; without one they are TEN122's, shared ones TEN123's.
        "numpy.random.default_rng": None,
        "numpy.random.default_rng.*": None,
        "numpy.random.RandomState": None,
        "numpy.random.RandomState.*": None,
        "numpy.random.Generator": None,
        "numpy.random.Generator.*": None,
        "numpy.random.PCG64": None,
        "numpy.random.Philox": None,
        "numpy.random.SeedSequence": Use(when=_has_no_key),
        "numpy.random.SeedSequence.*": None,
        **{f"torch.{name}": Use() for name in _TORCH},
        "tensorflow.random.*": Use(),
        "faker.Faker.*": Use(),
        "faker.Faker.seed": None,
        "mimesis.*": Use(),
        "tempfile.mktemp": Use(),
    },
    extensible=True,
)
