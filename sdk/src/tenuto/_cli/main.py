"""All commands of `tenuto`: options that hold for each, and errors as sentences with exit codes."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.metadata import version as distribution_version
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from tenuto import errors
from tenuto._cli import dev, explain, journey, lint, replay, verify, workflow
from tenuto._cli.exits import Exit, exit_for
from tenuto._cli.session import Output, Session, session_of
from tenuto._cli.start import LIGHT
from tenuto._cli.tables import raw_text, records_table
from tenuto._trace.build import build_trace
from tenuto._trace.page import html_page
from tenuto._trace.text import print_trace

_EPILOG = (
    "Exit codes: 0 ok; 1 the workflow failed or was terminated (wait, get --exit-code), or verify, lint or replay "
    "found something; 2 wrong usage or invalid request; 3 no such instance; 4 engine unavailable, token refused or "
    "outcome unknown; 5 refused (id taken, status, limit); 6 timeout."
)

app = typer.Typer(
    name="tenuto",
    help="Durable workflows: run a development engine, start and steer instances, explain replays.",
    epilog=_EPILOG,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
app.add_typer(workflow.app)
state = typer.Typer(name="state", help="Look into the state store.", no_args_is_help=True)
app.add_typer(state)
app.command("dev")(dev.dev)
app.command("verify")(verify.verify)
app.command("replay")(replay.replay)
app.command("lint")(lint.lint)
app.command("explain")(explain.explain)

# These may stand anywhere on the line, so that a command can be repeated with one of them added at its end.
_WITH_VALUE = frozenset({"--engine", "--token-file", "--output", "-o"})
_FLAGS = frozenset({"--no-color"})


@app.callback()
def options(
    context: typer.Context,
    *,
    engine: Annotated[
        str | None,
        typer.Option(
            "--engine", envvar="TENUTO_ENGINE", metavar="HOST:PORT|unix:PATH", help="Default 127.0.0.1:50001."
        ),
    ] = None,
    token_file: Annotated[
        str | None,
        typer.Option(
            "--token-file", metavar="FILE", help="File with the engine's token; else TENUTO_TOKEN or TENUTO_TOKEN_FILE."
        ),
    ] = None,
    output: Annotated[Output, typer.Option("--output", "-o", help="How results are written.")] = Output.TABLE,
    no_color: Annotated[bool, typer.Option("--no-color", help="Write without colours; NO_COLOR does too.")] = False,
) -> None:
    """Settle what holds for every command; these options may also stand after the command."""
    session = Session(engine=engine, token_file=token_file, output=output, no_color=no_color)
    context.obj = session
    context.call_on_close(session.close)


@state.command("show")
def show(
    context: typer.Context,
    instance_id: workflow.InstanceId,
    *,
    max_records: Annotated[int, typer.Option("--max-records", metavar="N", min=1, help="At most so many.")] = 1000,
) -> None:
    """Show the raw records of an instance, with the decoded form beside them."""
    session = session_of(context)
    found = session.client.get_workflow_records(instance_id, max_records=max_records)
    value = {
        "store_key": found.store_key,
        "shard": found.shard,
        "truncated": found.is_truncated,
        "records": [
            {"key": one.key, "value": raw_text(one.value, len(one.value)), "decoded": one.json} for one in found.records
        ],
        "related": [{"key": one.key, "decoded": one.json} for one in found.related],
    }
    session.show(value, records_table(found))


@app.command()
def trace(
    context: typer.Context,
    instance_id: workflow.InstanceId,
    *,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write a self-contained timeline page instead.")
    ] = None,
    step: Annotated[
        bool, typer.Option("--step", help="Step through a replay of your code instead: lines and variables.")
    ] = False,
    app_target: Annotated[
        str, typer.Option("--app", metavar="MODULE:RUNTIME", help="With --step: the code that is replayed.")
    ] = "",
) -> None:
    """Explain an instance's replay: what history holds, what is skipped and why, what runs next.

    With --step, INSTANCE may also be the file of an exported history.
    """
    session = session_of(context)
    if step:
        journey.step_through(session, instance_id, app=app_target, html=html)
        return
    if journey.is_file(instance_id):
        session.stop(f"{instance_id} is a file: step through it with --step --app module:runtime", Exit.USAGE)
    found_state = session.state_of(instance_id)
    history = session.client.get_workflow_history(instance_id)
    records = session.client.get_workflow_records(instance_id, max_records=len(history) + 1000)
    explained = build_trace(found_state, history, records)
    if html is not None:
        try:
            html.write_text(html_page(explained), encoding="utf-8")
        except OSError as error:
            session.stop(f"the page cannot be written: {error}", Exit.USAGE)
        session.notice(f"trace of {instance_id} written to {html}")
    elif session.is_json:
        session.show(explained.to_json(), "")
    else:
        print_trace(explained, session.console)


@app.command()
def version(context: typer.Context) -> None:
    """Show this release."""
    session = session_of(context)
    own = distribution_version("tenuto")
    session.show({"tenuto": own, "python": sys.version.split()[0]}, f"tenuto {own}")


def hoist(arguments: Sequence[str]) -> list[str]:
    """Move the options that hold for every command to the front; what follows `--` or `lint` is left alone."""
    front: list[str] = []
    rest: list[str] = []
    words = iter(arguments)
    for word in words:
        # The linter has formats of its own behind --output.
        if word == "--" or (word in LIGHT and not rest):
            rest += [word, *words]
        elif word in _FLAGS or (word.startswith("--") and word.partition("=")[0] in _WITH_VALUE and "=" in word):
            front.append(word)
        elif word in _WITH_VALUE:
            front += [word, *([value] if (value := next(words, None)) is not None else [])]
        else:
            rest.append(word)
    return front + rest


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit the process.

    Args:
        arguments: words after `tenuto`; None: those of the process.
    """
    words = hoist(sys.argv[1:] if arguments is None else arguments)
    try:
        app(args=words, prog_name="tenuto")
    except errors.TenutoError as error:
        Session(no_color="--no-color" in words).notices.print(
            Text.assemble(("error: ", "bold red"), str(error)), soft_wrap=True
        )
        sys.exit(exit_for(error))
    except BrokenPipeError:
        # The reader, such as `head`, has seen enough.
        sys.stderr.close()
        sys.exit(Exit.OK)


if __name__ == "__main__":
    main()
