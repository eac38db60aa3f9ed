"""`tenuto workflow ...`: start, watch and steer instances."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from tenuto._cli.arguments import parse_duration, parse_moment, parse_statuses, read_json
from tenuto._cli.exits import Exit
from tenuto._cli.session import Session, session_of
from tenuto._cli.tables import history_table, page_table, state_table
from tenuto._wire.history import export_json
from tenuto._wire.management import UNSET
from tenuto.client import DEFAULT_RETRY_WINDOW, WorkflowIdReusePolicy, WorkflowPage, WorkflowState, WorkflowStatus

app = typer.Typer(name="workflow", help="Start, watch and steer workflow instances.", no_args_is_help=True)

InstanceId = Annotated[str, typer.Argument(metavar="INSTANCE", help="The instance id.", show_default=False)]
Input = Annotated[str | None, typer.Option("--input", metavar="JSON", help="The input.")]
InputFile = Annotated[str | None, typer.Option("--input-file", metavar="FILE", help="The input; -: standard input.")]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Recorded and shown.")]
Recursive = Annotated[bool, typer.Option("--recursive/--no-recursive", help="Child workflows too.")]
Timeout = Annotated[
    str | None, typer.Option("--timeout", metavar="DURATION", help="Wait at most so long, e.g. 90s or 5m (exit 6).")
]


class Reuse(StrEnum):
    """The names of the reuse policies on the command line."""

    REJECT = "reject"
    REPLACE_TERMINAL = "replace-terminal"
    REPLACE_FAILED = "replace-failed"
    IGNORE = "ignore"


@app.command()
def start(
    context: typer.Context,
    *,
    name: Annotated[str, typer.Argument(metavar="WORKFLOW", help="The workflow's registered name.")],
    input_text: Input = None,
    input_file: InputFile = None,
    instance_id: Annotated[
        str | None, typer.Option("--id", metavar="ID", help="The instance id; a random one by default.")
    ] = None,
    start_at: Annotated[
        str | None, typer.Option("--at", metavar="MOMENT", help="Not before: ISO 8601, or a duration from now.")
    ] = None,
    reuse: Annotated[Reuse, typer.Option("--reuse", help="If an ended instance has this id.")] = Reuse.REJECT,
    version: Annotated[str | None, typer.Option("--version", metavar="VERSION", help="Pin it to this version.")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for its end, and show it.")] = False,
    timeout: Timeout = None,
) -> None:
    """Start a workflow and print its instance id."""
    session = session_of(context)
    started = session.client.schedule_new_workflow(
        name,
        input=read_json(input_text, input_file, option="input"),
        instance_id=instance_id,
        start_at=parse_moment(start_at, sign=1),
        reuse_id_policy=WorkflowIdReusePolicy[reuse.name],
        version=version,
    )
    if wait:
        _wait(session, started, timeout, for_start=False)
    else:
        session.show({"instance_id": started}, started)


@app.command("list")
def list_(
    context: typer.Context,
    *,
    name: Annotated[str, typer.Option("--name", metavar="WORKFLOW", help="Only of this workflow.")] = "",
    status: Annotated[
        list[str] | None, typer.Option("--status", metavar="STATUS", help="Only in this status; may be repeated.")
    ] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="MOMENT", help="Started since: ISO 8601, or a duration back.")
    ] = None,
    until: Annotated[str | None, typer.Option("--until", metavar="MOMENT", help="Started before.")] = None,
    id_prefix: Annotated[str, typer.Option("--id-prefix", metavar="PREFIX", help="Only ids that begin so.")] = "",
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=1000, help="Instances per page.")] = 100,
    page_token: Annotated[str, typer.Option("--page-token", metavar="TOKEN", help="Go on after an earlier page.")] = "",
    all_pages: Annotated[bool, typer.Option("--all", help="All pages.")] = False,
) -> None:
    """List instances, newest first."""
    session = session_of(context)
    statuses = parse_statuses(status or [])
    created_from, created_to = parse_moment(since, sign=-1), parse_moment(until, sign=-1)
    found: list[WorkflowState] = []
    while True:
        page = session.client.list_workflows(
            name=name,
            statuses=statuses,
            created_from=created_from,
            created_to=created_to,
            page_size=limit,
            page_token=page_token,
            id_prefix=id_prefix,
        )
        found += page.workflows
        page_token = page.next_page_token
        if not all_pages or not page_token:
            break
    listed = WorkflowPage(found, page_token)
    value = {"workflows": [state.to_json() for state in listed], "next_page_token": page_token}
    session.show(value, page_table(listed))
    if page_token and not session.is_json:
        session.notice(f"there are more: --page-token {page_token}, or --all")


@app.command()
def get(
    context: typer.Context,
    instance_id: InstanceId,
    *,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Exit 1 if it failed or was terminated.")] = False,
) -> None:
    """Show one instance."""
    session = session_of(context)
    state = session.state_of(instance_id)
    session.show(state.to_json(), state_table(state))
    if exit_code:
        _exit_by(state)


@app.command()
def wait(
    context: typer.Context,
    instance_id: InstanceId,
    *,
    started: Annotated[bool, typer.Option("--started", help="Only until it has started.")] = False,
    timeout: Timeout = None,
) -> None:
    """Wait for an instance's end and show it; exit 1 if it failed or was terminated, 6 at the timeout."""
    session = session_of(context)
    # An engine that restarts, or moves, does not end a wait.
    session.patience = DEFAULT_RETRY_WINDOW
    _wait(session, instance_id, timeout, for_start=started)


@app.command()
def history(
    context: typer.Context,
    instance_id: InstanceId,
    *,
    export: Annotated[
        Path | None, typer.Option("--export", metavar="FILE", help="Write the JSON that replay tests read.")
    ] = None,
) -> None:
    """Show what is recorded of an instance, event by event."""
    session = session_of(context)
    found = session.client.get_workflow_history(instance_id)
    if export is not None:
        try:
            export.write_text(export_json(found), encoding="utf-8")
        except OSError as error:
            session.stop(f"the history cannot be written: {error}", Exit.USAGE)
        session.notice(f"{len(found)} events of {instance_id} written to {export}")
        return
    value = {
        "instance_id": instance_id,
        "execution_id": found.execution_id,
        "events": [item.to_json() for item in found],
    }
    session.show(value, history_table(found))


@app.command("raise-event")
def raise_event(
    context: typer.Context,
    instance_id: InstanceId,
    name: Annotated[str, typer.Argument(metavar="EVENT", help="The event's name, matched without regard to case.")],
    *,
    data: Annotated[str | None, typer.Option("--data", metavar="JSON", help="The payload.")] = None,
    data_file: Annotated[
        str | None, typer.Option("--data-file", metavar="FILE", help="The payload; -: standard input.")
    ] = None,
) -> None:
    """Send an event to an instance."""
    session = session_of(context)
    session.client.raise_workflow_event(instance_id, name, data=read_json(data, data_file, option="data"))
    _done(session, instance_id, f"event {name!r} sent to {instance_id}")


@app.command()
def suspend(context: typer.Context, instance_id: InstanceId, *, reason: Reason = "") -> None:
    """Pause an instance: no turns until it is resumed."""
    session = session_of(context)
    session.client.pause_workflow(instance_id, reason=reason)
    _done(session, instance_id, f"{instance_id} is being suspended")


@app.command()
def resume(context: typer.Context, instance_id: InstanceId, *, reason: Reason = "") -> None:
    """Let a suspended or stalled instance go on."""
    session = session_of(context)
    session.client.resume_workflow(instance_id, reason=reason)
    _done(session, instance_id, f"{instance_id} is being resumed")


@app.command()
def terminate(
    context: typer.Context,
    instance_id: InstanceId,
    *,
    result: Annotated[str | None, typer.Option("--result", metavar="JSON", help="Becomes its output.")] = None,
    recursive: Recursive = True,
    reason: Reason = "",
) -> None:
    """End an instance now."""
    session = session_of(context)
    output = read_json(result, None, option="result")
    session.client.terminate_workflow(instance_id, output=output, recursive=recursive, reason=reason)
    _done(session, instance_id, f"{instance_id} is being terminated")


@app.command()
def purge(
    context: typer.Context,
    instance_id: InstanceId,
    *,
    recursive: Recursive = True,
    force: Annotated[bool, typer.Option("--force", help="Terminate it first where it still runs.")] = False,
    reason: Reason = "",
) -> None:
    """Erase an ended instance with all its records."""
    session = session_of(context)
    deleted = session.client.purge_workflow(instance_id, recursive, force=force, reason=reason)
    noun = "instance" if deleted == 1 else "instances"
    session.show({"instance_id": instance_id, "deleted": deleted}, f"{deleted} {noun} erased")


@app.command()
def rerun(
    context: typer.Context,
    instance_id: InstanceId,
    event_id: Annotated[int, typer.Argument(metavar="OPERATION", help="Its number: OP in `workflow history`.")],
    *,
    new_instance_id: Annotated[str | None, typer.Option("--id", metavar="ID", help="Id of the new instance.")] = None,
    input_text: Annotated[str | None, typer.Option("--input", metavar="JSON", help="Its new input.")] = None,
    input_file: InputFile = None,
    reason: Reason = "",
) -> None:
    """Start a new instance with the history of an ended one up to an operation, which runs again."""
    session = session_of(context)
    value = read_json(input_text, input_file, option="input", default=UNSET)
    made = session.client.rerun_workflow_from_event(
        instance_id, event_id, new_instance_id=new_instance_id, input=value, reason=reason
    )
    session.show({"instance_id": made}, made)


def _wait(session: Session, instance_id: str, timeout: str | None, *, for_start: bool) -> None:
    limit = parse_duration(timeout) if timeout else timedelta(0)
    if timeout and limit <= timedelta(0):
        raise typer.BadParameter("--timeout must be longer than nothing; leave it out to wait for ever")
    seconds = limit.total_seconds()
    client = session.client
    if for_start:
        state = client.wait_for_workflow_start(instance_id, fetch_payloads=True, timeout_in_seconds=seconds)
    else:
        state = client.wait_for_workflow_completion(instance_id, timeout_in_seconds=seconds)
    session.show(state.to_json(), state_table(state))
    _exit_by(state)


def _exit_by(state: WorkflowState) -> None:
    if state.runtime_status in (WorkflowStatus.FAILED, WorkflowStatus.TERMINATED):
        raise typer.Exit(Exit.FAILED)


def _done(session: Session, instance_id: str, text: str) -> None:
    session.show({"instance_id": instance_id, "accepted": True}, text)
