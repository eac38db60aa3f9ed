"""Writes `docs/determinism-errors.md`: a workflow edited in six ways under running instances, with the real reports.

    python scripts/determinism_page.py            plays the edits against a real engine and writes the page
    python scripts/determinism_page.py --check    plays them too, writes nothing; exits 1 where the page differs

The edits are those that the tests play (`tests/determinism_edits.py`). Execution ids and code hashes are replaced by
fixed ones: the former are random, the latter depend on the release of Python.
"""

from __future__ import annotations

import argparse
import difflib
import logging
import re
import subprocess
import sys
import tempfile
import time
import types
from collections.abc import Callable, Generator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import tenuto as wf

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "determinism-errors.md"
PARTS = Path(__file__).with_name("determinism_page.md")
SECONDS = 60.0  # until something is certainly wrong

TITLES = {
    "renamed": "An activity renamed",
    "reordered": "Two activities in another order",
    "removed": "An activity removed",
    "added": "An activity added",
    "timer": "A timer added",
    "clock": "A branch on the clock",
}
EXECUTION, HASHES = "execution 7c1f4e0b93d25a6880d1e6f2", ("5a1c0e93d47b2f68", "e07d34b1c95a8f26")


@contextmanager
def running_engine(folder: Path) -> Generator[str]:
    """An engine over memory; gives its address."""
    address = f"unix:{folder}/engine.sock"
    command = [sys.executable, "-m", "tenuto_engine", "--state-store", "memory:", "--listen", address]
    with (folder / "engine.log").open("wb") as log:
        process = subprocess.Popen([*command, "--http", "127.0.0.1:0"], stdout=subprocess.PIPE, stderr=log)
    try:
        assert process.stdout is not None
        if not process.stdout.readline():
            raise SystemExit(f"the engine did not start:\n{(folder / 'engine.log').read_text()}")
        yield address
    finally:
        process.terminate()
        process.communicate(timeout=SECONDS)


def runtime_of(module: types.ModuleType, activities: list[Any], address: str) -> wf.WorkflowRuntime:
    """One release of the app."""
    # Where the guard refuses calls, the clock would never be read.
    runtime = wf.WorkflowRuntime(engine=address, guard="warn")
    runtime.register_workflow(module.order)
    for activity in activities:
        runtime.register_activity(activity)
    return runtime


def until(holds: Callable[[], Any]) -> Any:
    """Wait until something holds; gives it."""
    last = time.monotonic() + SECONDS
    while not (found := holds()):
        if time.monotonic() > last:
            raise SystemExit("the page's workflows did not get where they should")
        time.sleep(0.01)
    return found


def play(edit: str, edits: Any, folder: Path, address: str) -> tuple[str, str, Any]:
    """Play one edit. Gives the report, the corrected text, and the result of the instance that went on."""
    instance_id = f"order-{edit}"

    def release(text: str) -> wf.WorkflowRuntime:
        module = edits.load(folder / "shop", text)
        return runtime_of(module, edits.activities_of(module), address)

    with wf.WorkflowClient(engine=address) as client:

        def state() -> Any:
            return client.get_workflow_state(instance_id)

        def has_packed() -> bool:
            history = client.get_workflow_history(instance_id)
            return sum(item.type == "ActivityCompleted" for item in history) == 3

        with release(edits.ORIGINAL):
            client.schedule_new_workflow("order", input="tea", instance_id=instance_id)
            until(has_packed)
        with release(edits.EDITS[edit]):
            client.raise_workflow_event(instance_id, "picked up")
            report: str = until(lambda: state().status_reason if state().runtime_status.name == "STALLED" else "")
        corrected: str = edits.ORIGINAL if edit == "clock" else edits.paste(report, edits.EDITS[edit])
        with release(corrected):
            client.resume_workflow(instance_id)
            result = client.wait_for_workflow_completion(instance_id, timeout_in_seconds=int(SECONDS)).result()
    return report, corrected, result


def fixed(report: str) -> str:
    """The report with ids and hashes that are the same in every run."""
    report = re.sub(r"execution [0-9a-f]{8,}", EXECUTION, report)
    for found, shown in zip(dict.fromkeys(re.findall(r"\b[0-9a-f]{16}\b(?= when| now)", report)), HASHES, strict=False):
        report = report.replace(found, shown)
    return report


def changed_lines(before: str, after: str) -> str:
    """What an edit changes, as a diff without its head."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=1)
    return "\n".join(line for line in lines if not line.startswith(("---", "+++", "@@")))


def section(edit: str, edits: Any, folder: Path, address: str) -> str:
    """One edit of the page."""
    report, _, result = play(edit, edits, folder, address)
    how = "With the code as it was" if edit == "clock" else "With the snippet pasted"
    return (
        f"### {TITLES[edit]}\n\n```diff\n{changed_lines(edits.ORIGINAL, edits.EDITS[edit])}\n```\n\n"
        f"```text\n{fixed(report)}\n```\n\n"
        f"{how}, `tenuto workflow resume order-{edit}` let it go on, and it completed with `{result}`.\n"
    )


def render() -> str:
    """The page's text."""
    sys.path.insert(0, str(ROOT / "tests"))
    edits = import_module("determinism_edits")
    with tempfile.TemporaryDirectory(prefix="tenuto-") as name, running_engine(Path(name)) as address:
        sections = [section(edit, edits, Path(name), address) for edit in edits.EDITS]
    workflow = edits.BODY.strip()
    return PARTS.read_text(encoding="utf-8").format(workflow=workflow, sections="\n".join(sections))


def main() -> int:
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="only compare with the page in the tree")
    arguments = parser.parse_args()
    logging.disable()  # The workers would log every report.
    text = render()
    if arguments.check:
        if not PAGE.exists() or PAGE.read_text(encoding="utf-8") != text:
            print(f"docs/{PAGE.name}: not what scripts/determinism_page.py writes; run it and commit the result")
            return 1
        return 0
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
