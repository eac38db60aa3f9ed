"""The one table of what is tested, in which order, and how long each part may take.

A folder under `tests/` belongs to exactly one suite; `tests/architecture` checks that none is forgotten.
"""

from __future__ import annotations

from dataclasses import dataclass

PYTHON = ".venv/bin/python"
BIN = ".venv/bin"


@dataclass(frozen=True, kw_only=True)
class Suite:
    """One line of the report.

    Attributes:
        name: what `make test SUITES="..."` selects it by.
        budget_s: seconds it may take on two cores; more is a failure, twice as much ends it.
        commands: programs that must all succeed; each counts as one test.
        paths: folders given to pytest; each test in them counts.
        needs: files without which the suite cannot run.
        alone: it measures, or needs both cores, so nothing else runs beside it.
    """

    name: str
    budget_s: int
    commands: tuple[tuple[str, ...], ...] = ()
    paths: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    alone: bool = False


# Budgets are about three times what each suite takes on a quiet two-core machine: tight enough to notice a suite
# that doubled, loose enough for a busy neighbour. Raise one knowingly, with the reason in the commit.
SUITES = (
    Suite(
        name="lint",
        budget_s=30,
        commands=(
            (f"{BIN}/ruff", "format", "--check", "."),
            (f"{BIN}/ruff", "check", "."),
            (f"{BIN}/tenuto", "lint", "examples"),
        ),
    ),
    Suite(name="types", budget_s=240, commands=((f"{BIN}/mypy",), (f"{BIN}/pyright",)), paths=("tests/typing",)),
    Suite(name="imports", budget_s=30, commands=((f"{BIN}/lint-imports", "--no-logo"),)),
    Suite(
        name="proto",
        budget_s=30,
        commands=((PYTHON, "proto/generate.py", "--check"),),
        needs=("proto/generate.py",),
    ),
    Suite(
        name="docs",
        budget_s=60,
        commands=(
            (PYTHON, "scripts/metrics_page.py", "--check"),
            (PYTHON, "scripts/lint_page.py", "--check"),
            (PYTHON, "scripts/determinism_page.py", "--check"),
        ),
        needs=("scripts/metrics_page.py", "scripts/lint_page.py", "scripts/determinism_page.py"),
    ),
    Suite(name="unit", budget_s=120, paths=("tests/unit", "tests/architecture")),
    # Every rule's fixtures, the labelled corpus, speed by counts: all of the linter.
    Suite(name="rules", budget_s=180, paths=("tests/lint",)),
    Suite(name="property", budget_s=240, paths=("tests/property",)),
    Suite(name="transcript", budget_s=60, paths=("tests/transcript",)),
    Suite(name="contract", budget_s=600, paths=("tests/contract",)),
    Suite(name="simulation", budget_s=120, paths=("tests/simulation",)),
    # Every crash of some scenarios is a run of its own, hundreds in all.
    Suite(name="kit", budget_s=120, paths=("tests/kit",)),
    # Replays under perturbation start some eighty processes.
    Suite(name="integration", budget_s=900, paths=("tests/integration",)),
    # Applications of other SDKs, each in an environment that the first run makes.
    Suite(name="interop", budget_s=240, paths=("tests/interop",)),
    Suite(name="crash", budget_s=1200, paths=("tests/crash",), alone=True),
    # A minute of faults, up to two of healing, and the tools' own tests.
    Suite(name="chaos", budget_s=400, paths=("tests/chaos",), alone=True),
    Suite(
        name="demo",
        budget_s=120,
        commands=((PYTHON, "examples/pipeline/demo.py"),),
        needs=("examples/pipeline/demo.py",),
        alone=True,
    ),
    Suite(
        name="bench",
        budget_s=240,
        commands=(
            (PYTHON, "benchmarks/run.py", "--smoke"),
            (PYTHON, "benchmarks/guard_cost.py", "--smoke"),
            (PYTHON, "benchmarks/kit_speed.py", "--smoke"),
            (PYTHON, "benchmarks/lint_speed.py", "--lines", "2000", "--repeats", "1"),
        ),
        needs=("benchmarks/run.py",),
        alone=True,
    ),
)
