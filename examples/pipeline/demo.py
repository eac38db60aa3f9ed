"""A workflow survives kill -9 of its app and of its engine, and this program proves it.

Everything is real: an engine process with an embedded SQLite store, an app process, SIGKILL for both. The engine dies
at a fault point of its own (`TENUTO_FAULT`), which lies between the commit that records `assign_task`'s result and the
hand-over of `send_notification` to the app; nothing sleeps, and the app knows nothing of it.

Exit code 0: the workflow completed and every activity ran exactly once. 1: it did not, and the logs are shown.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import selectors
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console
from rich.panel import Panel
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

import tenuto as wf

APP = Path(__file__).with_name("app.py")
BIN = Path(sys.executable).parent
ACTIVITIES = ("validate_task", "assign_task", "send_notification")
FAULT = {"TENUTO_FAULT": "activity:before@send_notification", "TENUTO_ALLOW_FAULTS": "1"}
# How long any single step may take before something is certainly wrong; each takes about a second.
PATIENCE_S = 60
# Two seconds rather than ten: on a shared store the second engine waits for the first one's leases to run out.
LEASE_S = 2

# What is not a terminal is a log file or a pipe, which cuts no line.
console = Console(highlight=False, emoji=False, width=None if sys.stdout.isatty() else 140)


class DemoFailed(Exception):
    """The demo did not go as promised; the message says where."""


@dataclass(frozen=True)
class Stage:
    """Where the demo plays: a temporary folder, the engine's address in it, the store."""

    folder: Path
    store: str
    key_prefix: str

    @property
    def address(self) -> str:
        return f"unix:{self.folder}/engine.sock"

    @property
    def ledger(self) -> Path:
        return self.folder / "ledger.jsonl"

    @property
    def environment(self) -> dict[str, str]:
        """The caller's environment, with nothing in it that would point a program at another engine or store."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TENUTO_")}
        return kept | {"TENUTO_ENGINE": self.address, "PYTHONUNBUFFERED": "1"}

    def start_engine(self, **variables: str) -> subprocess.Popen[bytes]:
        """Start an engine and wait until it says that it listens."""
        options = {
            "--state-store": self.store,
            "--key-prefix": self.key_prefix,
            "--lease-seconds": str(LEASE_S),
            "--listen": self.address,
            "--http": "127.0.0.1:0",
        }
        command = [str(BIN / "tenuto-engine"), *(word for option in options.items() for word in option)]
        with (self.folder / "engine.log").open("ab") as log:
            process = subprocess.Popen(
                command, env=self.environment | variables, cwd=self.folder, stdout=subprocess.PIPE, stderr=log
            )
        if not first_line(process):
            end(process)
            raise DemoFailed("the engine did not start")
        return process

    def start_app(self) -> subprocess.Popen[bytes]:
        """Start the app; it finds the engine by itself, now or later."""
        with (self.folder / "app.log").open("ab") as log:
            return subprocess.Popen([sys.executable, str(APP)], env=self.environment, stdout=log, stderr=log)

    def tenuto(self, *words: str) -> None:
        """Run the command line as a user would, its output on this program's."""
        say(Text(f"$ tenuto {' '.join(words)}", style="dim"))
        environment = self.environment | {"COLUMNS": str(console.width)}
        done = subprocess.run([BIN / "tenuto", *words], env=environment, timeout=PATIENCE_S, check=False)
        if done.returncode:
            raise DemoFailed(f"`tenuto {' '.join(words)}` ended with exit code {done.returncode}")

    def runs(self) -> list[dict[str, Any]]:
        """The ledger: one entry for each time an activity ran."""
        lines = self.ledger.read_text(encoding="utf-8").splitlines() if self.ledger.exists() else []
        return [json.loads(line) for line in lines]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; answer its exit code."""
    parser = argparse.ArgumentParser(description="See a workflow survive kill -9 of its app and of its engine.")
    parser.add_argument(
        "--store",
        metavar="URL",
        help="redis://HOST:PORT/DB or another state store; default: a SQLite file in a temporary folder",
    )
    store = parser.parse_args(arguments).store
    began = time.monotonic()
    # A short folder name, for a socket's path must fit into 108 bytes.
    with TemporaryDirectory(prefix="tenuto-", ignore_cleanup_errors=True) as folder:
        prefix = f"tenuto-demo-{secrets.token_hex(4)}"
        stage = Stage(Path(folder), store or f"sqlite:///{folder}/state.db", prefix)
        try:
            play(stage)
        except (DemoFailed, wf.TenutoError, subprocess.TimeoutExpired) as error:
            say(Panel(Text(str(error)), title="the demo failed", border_style="red"))
            show_logs(stage.folder)
            return 1
    left = (
        f"the instance is purged; leases and layout stay under the prefix {prefix}"
        if store
        else "nothing is left behind"
    )
    say(Text(f"Done in {time.monotonic() - began:.1f} s; {left}.", style="dim"))
    return 0


def play(stage: Stage) -> None:
    """The story, from the first start to the proof."""
    with ExitStack() as cast, wf.WorkflowClient(engine=stage.address) as client:
        chapter("1. Start", f"engine and app are two processes; state is kept in {kind_of(stage.store)}")
        with step("start the engine, told to die by SIGKILL right before it hands over send_notification"):
            engine = cast.enter_context(running(stage.start_engine(**FAULT)))
        with step("start the app"):
            app = cast.enter_context(running(stage.start_app()))
        task = {"id": "T-1042", "title": "Rotate the signing keys", "ledger": str(stage.ledger)}
        with step("start the workflow task_pipeline: validate_task, assign_task, send_notification"):
            instance_id = client.schedule_new_workflow("task_pipeline", input=task, instance_id="task-T-1042")

        chapter("2. Crash", "assign_task is recorded, send_notification has not started")
        with step("wait until the engine is dead"):
            require_killed(engine, "the engine")
        with step("kill the app with SIGKILL, too"):
            app.kill()
            require_killed(app, "the app")
        show_ledger(stage, "The ledger now: two activities ran, nobody is left to run the third")
        require_runs(stage, ACTIVITIES[:2])

        chapter("3. Look", "a new engine on the same store, still without an app: what is left, what will happen")
        with step("start the engine again, without the fault"):
            cast.enter_context(running(stage.start_engine()))
        stage.tenuto("workflow", "history", instance_id)
        stage.tenuto("trace", instance_id)
        require_runs(stage, ACTIVITIES[:2])

        chapter("4. Go on", "a new app process replays the workflow and does only what is missing")
        with step("start the app again"):
            second = cast.enter_context(running(stage.start_app()))
        with step("wait for the workflow to complete"):
            state = client.wait_for_workflow_completion(instance_id, timeout_in_seconds=PATIENCE_S)
        show_result(state)

        chapter("5. Proof", "each activity wrote one line to the ledger whenever it ran")
        show_ledger(stage, "The ledger", {app.pid: "first", second.pid: "second"})
        require_runs(stage, ACTIVITIES)
        say(Text("Every activity ran exactly once, though app and engine both died.", style="bold green"))
        client.purge_workflow(instance_id)


def require_killed(process: subprocess.Popen[bytes], name: str) -> None:
    """Wait for the end of a process, which must be by SIGKILL."""
    code = process.wait(PATIENCE_S)
    if code != -signal.SIGKILL:
        raise DemoFailed(f"{name} was to die by SIGKILL, but ended with {code}")


def require_runs(stage: Stage, expected: Sequence[str]) -> None:
    """Check the ledger: these activities ran, once each, and no other."""
    found = Counter(run["activity"] for run in stage.runs())
    if found != Counter(expected):
        raise DemoFailed(f"the ledger counts {dict(found)}; expected each of {', '.join(expected)} exactly once")


def show_result(state: wf.WorkflowState) -> None:
    """Print the final result; anything but a completed workflow is a failure."""
    state.raise_if_failed()
    text = json.dumps(state.output, indent=2, ensure_ascii=False)
    say(Panel(Text(text, style="green"), title=f"{state.instance_id}: {state.runtime_status.name}", title_align="left"))


def show_ledger(stage: Stage, title: str, names: dict[int, str] | None = None) -> None:
    """Print the ledger, one line per run of an activity."""
    table = Table(title=title, title_justify="left", title_style="bold", box=None, padding=(0, 3, 0, 0))
    for heading in ("activity", "runs", "by app process", "idempotency key: instance/execution/operation"):
        table.add_column(heading, header_style="dim", overflow="fold")
    runs = stage.runs()
    counts = Counter(run["activity"] for run in runs)
    for run in runs:
        name = (names or {}).get(run["pid"], "")
        table.add_row(run["activity"], str(counts[run["activity"]]), f"{run['pid']} {name}".strip(), run["key"])
    say(table)


def show_logs(folder: Path) -> None:
    """Print the ends of the processes' logs."""
    for log in sorted(folder.glob("*.log")):
        text = log.read_text(encoding="utf-8", errors="replace")[-3000:]
        say(Panel(Text.from_ansi(text.strip() or "(empty)"), title=log.name, title_align="left", border_style="dim"))


def chapter(title: str, text: str) -> None:
    """Begin a part of the story."""
    say("")
    say(Rule(Text(title, style="bold cyan"), align="left"))
    say(Text(text, style="italic"))


@contextmanager
def step(text: str) -> Iterator[None]:
    """Say what is being done, and how long it took."""
    began = time.monotonic()
    with console.status(text) if console.is_terminal else ExitStack():
        yield
    say(Text.assemble(("  ok ", "green"), text, (f"  {time.monotonic() - began:.1f} s", "dim")))


def say(what: Any) -> None:
    """Print at once: the output of other programs comes between."""
    console.print(what, soft_wrap=isinstance(what, Text))
    console.file.flush()


@contextmanager
def running(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """Own a process: whatever happens, it is ended."""
    try:
        yield process
    finally:
        end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """Ask a process to stop, and make it stop if it does not."""
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()


def first_line(process: subprocess.Popen[bytes]) -> bytes:
    """The first line that a process prints; empty where it ended or took too long."""
    assert process.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        return process.stdout.readline() if selector.select(PATIENCE_S) else b""


def kind_of(store: str) -> str:
    """A store for the reader's eye; its URL may hold a password."""
    kind = store.partition(":")[0]
    return "a SQLite file" if kind == "sqlite" else f"a store of kind {kind}"


if __name__ == "__main__":
    # As an exception, an interrupt passes through every `finally` that ends a process.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())
