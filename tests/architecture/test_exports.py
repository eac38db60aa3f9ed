"""What `import tenuto` offers, and nothing by accident."""

from __future__ import annotations

import inspect
import subprocess
import sys

import tenuto
from architecture.tree import ROOT

# The names of the Dapr Python SDK that a moved application expects to find.
DAPR_NAMES = {
    "DaprWorkflowClient",
    "DaprWorkflowContext",
    "RetryPolicy",
    "WorkflowActivityContext",
    "WorkflowRuntime",
    "WorkflowStatus",
    "when_all",
    "when_any",
}


def test_public_names_are_listed() -> None:
    """`tenuto.__all__` is sorted, free of duplicates and private names, and each of its names exists."""
    names = list(tenuto.__all__)
    assert names == sorted(set(names), key=names.index)
    assert [name for name in names if name.startswith("_") and name != "__version__"] == []
    assert [name for name in names if not hasattr(tenuto, name)] == []


def test_nothing_is_exported_by_accident() -> None:
    """Every public object that `tenuto` itself holds is listed in `__all__`."""
    held = {
        name
        for name, value in vars(tenuto).items()
        if not name.startswith("_") and not inspect.ismodule(value) and name != "annotations"
    }
    assert held - set(tenuto.__all__) == set()


def test_dapr_names_are_there() -> None:
    """An application written for the Dapr SDK finds every name it imports from it."""
    assert DAPR_NAMES - set(tenuto.__all__) == set()


def test_public_classes_and_functions_are_documented() -> None:
    """Everything exported explains itself in `help()`."""
    exported = {name: getattr(tenuto, name) for name in tenuto.__all__}
    described = {name: value for name, value in exported.items() if inspect.isclass(value) or inspect.isfunction(value)}
    assert [name for name, value in described.items() if not inspect.getdoc(value)] == []


def test_importing_the_sdk_is_cheap() -> None:
    """`import tenuto` loads neither the engine nor the command line's libraries."""
    program = "import sys, tenuto; print(*sorted({'typer', 'rich', 'tenuto_engine', 'redis'} & set(sys.modules)))"
    loaded = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == ""
