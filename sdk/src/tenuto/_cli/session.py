"""What every command shares: the options given to `tenuto` itself, the connection, and where output goes."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from functools import cached_property
from typing import Any, NoReturn

import typer
from rich.console import Console, RenderableType
from rich.text import Text

from tenuto._cli.exits import Exit
from tenuto.client import WorkflowClient, WorkflowState
from tenuto.errors import InstanceNotFound

# Whoever sits at a terminal wants to know soon that no engine answers; waits have the client's own patience.
_PATIENCE = timedelta(seconds=5)
# A table for a pipe is cut by nobody: wide enough that ids of usual length stay whole.
_PIPE_WIDTH = 240


class Output(StrEnum):
    """How results are written."""

    TABLE = "table"
    JSON = "json"


@dataclass
class Session:
    """One run of the command line."""

    engine: str | None = None
    token_file: str | None = None
    output: Output = Output.TABLE
    no_color: bool = False
    patience: timedelta = _PATIENCE
    _client: WorkflowClient | None = field(default=None, init=False)

    @property
    def is_json(self) -> bool:
        """Whether results are written as JSON."""
        return self.output is Output.JSON

    @cached_property
    def console(self) -> Console:
        """Standard output, for results."""
        width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else _PIPE_WIDTH
        return Console(no_color=self.no_color, width=width, highlight=False, emoji=False, markup=False)

    @cached_property
    def notices(self) -> Console:
        """Standard error, for everything that is not the result."""
        return Console(stderr=True, no_color=self.no_color, highlight=False, emoji=False, markup=False)

    @property
    def client(self) -> WorkflowClient:
        """The connection to the engine, made when first asked for."""
        if self._client is None:
            try:
                self._client = WorkflowClient(
                    engine=self.engine, token_file=self.token_file, retry_window=self.patience
                )
            except (ValueError, OSError) as error:
                self.stop(str(error), Exit.USAGE)
        return self._client

    def close(self) -> None:
        """Close the connection, if one was made."""
        if self._client is not None:
            self._client.close()

    def show(self, value: Any, table: RenderableType | str) -> None:
        """Write a result: `value` as JSON, or `table` for people."""
        if self.is_json:
            # Escapes where the encoding may not know a letter: what is written must be JSON.
            knows_all = (sys.stdout.encoding or "utf-8").lower().startswith("utf")
            print(json.dumps(value, indent=2, ensure_ascii=not knows_all))
        elif isinstance(table, str):
            # Not through the console: a result that a script reads must never be wrapped or styled.
            print(table)
        else:
            self.console.print(table)

    def notice(self, text: str) -> None:
        """Write a remark to standard error."""
        self.notices.print(Text(text, style="dim"))

    def stop(self, text: str, code: Exit) -> NoReturn:
        """End the command with a message and an exit code."""
        self.notices.print(Text.assemble(("error: ", "bold red"), text), soft_wrap=True)
        raise typer.Exit(code)

    def state_of(self, instance_id: str) -> WorkflowState:
        """Return an instance's state with payloads.

        Raises:
            InstanceNotFound: there is none with this id.
        """
        state = self.client.get_workflow_state(instance_id)
        if state is None:
            raise InstanceNotFound(f"there is no instance {instance_id!r}", instance_id=instance_id)
        return state


def session_of(context: typer.Context) -> Session:
    """Return the session that the command runs in."""
    return context.ensure_object(Session)
