"""An application of Dapr's workflow SDK, unmodified: every feature it has, one scenario after another.

    python dapr_features.py HOST PORT [SCENARIO]

Prints one JSON object a line: {"scenario": ..., "value": ...} or {"scenario": ..., "error": ...}. Runs on each of the
SDK's releases from 1.17 on; what a release does not have is reported as {"scenario": ..., "absent": true}.
"""

import asyncio
import json
import os
import sys
import threading
import time
import traceback
import uuid
from datetime import datetime, timedelta, timezone

import dapr.ext.workflow as wf
from dapr.ext.workflow.aio import DaprWorkflowClient as AsyncClient

# "-" leaves it to the SDK, which reads its own variables.
HOST, PORT, *WANTED = (None if word == "-" else word for word in sys.argv[1:])
WAIT = 30
runtime = wf.WorkflowRuntime(host=HOST, port=PORT)
failures: dict[str, int] = {}


@runtime.activity(name="double")
def double(ctx, number):
    return number * 2


@runtime.activity(name="fail_twice")
def fail_twice(ctx, key):
    failures[key] = failures.get(key, 0) + 1
    if failures[key] < 3:
        raise ValueError(f"failure {failures[key]}")
    return failures[key]


@runtime.activity(name="always_fails")
def always_fails(ctx, _):
    raise ValueError("it never works")


@runtime.activity(name="identity")
def identity(ctx, _):
    return [ctx.workflow_id, ctx.task_id]


@runtime.workflow(name="chain")
def chain(ctx, number):
    for _ in range(3):
        number = yield ctx.call_activity(double, input=number)
    return number


@runtime.workflow(name="fan_out")
def fan_out(ctx, count):
    results = yield wf.when_all([ctx.call_activity(double, input=i) for i in range(count)])
    return sum(results)


@runtime.workflow(name="race")
def race(ctx, _):
    event = ctx.wait_for_external_event("never")
    timer = ctx.create_timer(timedelta(milliseconds=50))
    winner = yield wf.when_any([event, timer])
    return "timer" if winner == timer else "event"


@runtime.workflow(name="parent")
def parent(ctx, number):
    return (yield ctx.call_child_workflow(chain, input=number))


@runtime.workflow(name="child_fails")
def child_fails(ctx, _):
    yield ctx.call_activity(always_fails, input="")


@runtime.workflow(name="parent_of_failing")
def parent_of_failing(ctx, _):
    try:
        yield ctx.call_child_workflow(child_fails, input="")
    except Exception as error:
        return f"caught: {error}"


@runtime.workflow(name="retried")
def retried(ctx, key):
    policy = wf.RetryPolicy(
        first_retry_interval=timedelta(milliseconds=10), max_number_of_attempts=5, backoff_coefficient=1
    )
    return (yield ctx.call_activity(fail_twice, input=key, retry_policy=policy))


@runtime.workflow(name="retried_child")
def retried_child(ctx, key):
    policy = wf.RetryPolicy(
        first_retry_interval=timedelta(milliseconds=10), max_number_of_attempts=5, backoff_coefficient=1
    )
    return (yield ctx.call_child_workflow(fails_twice, input=key, retry_policy=policy))


@runtime.workflow(name="fails_twice")
def fails_twice(ctx, key):
    failures[key] = failures.get(key, 0) + 1
    if failures[key] < 3:
        raise ValueError(f"failure {failures[key]}")
    return "third time"
    yield


@runtime.workflow(name="exhausted")
def exhausted(ctx, _):
    policy = wf.RetryPolicy(first_retry_interval=timedelta(milliseconds=5), max_number_of_attempts=2)
    yield ctx.call_activity(always_fails, input="", retry_policy=policy)


@runtime.workflow(name="waits")
def waits(ctx, _):
    ctx.set_custom_status("waiting")
    first = yield ctx.wait_for_external_event("go")
    ctx.set_custom_status("second")
    second = yield ctx.wait_for_external_event("go")
    return [first, second]


@runtime.workflow(name="counts_down")
def counts_down(ctx, left):
    event = yield ctx.wait_for_external_event("tick")
    if left > 0:
        ctx.continue_as_new(left - 1, save_events=True)
        return None
    return event


@runtime.workflow(name="waiting_parent")
def waiting_parent(ctx, child_id):
    yield ctx.call_child_workflow(waits, input="", instance_id=child_id)


@runtime.workflow(name="clock")
def clock(ctx, _):
    before = ctx.current_utc_datetime
    yield ctx.create_timer(timedelta(milliseconds=80))
    return (ctx.current_utc_datetime - before) >= timedelta(milliseconds=80)


@runtime.workflow(name="who")
def who(ctx, _):
    called = yield ctx.call_activity(identity, input="")
    return [ctx.instance_id == called[0], called[1]]


@runtime.workflow(name="patched")
def patched(ctx, _):
    first = ctx.is_patched("change")
    yield ctx.create_timer(timedelta(milliseconds=10))
    return [first, ctx.is_patched("change"), ctx.is_patched("later")]


@runtime.versioned_workflow(name="versioned", version_name="one", is_latest=False)
def versioned_one(ctx, _):
    return "one"
    yield


@runtime.versioned_workflow(name="versioned", version_name="two", is_latest=True)
def versioned_two(ctx, _):
    yield ctx.create_timer(timedelta(milliseconds=10))
    return "two"


@runtime.workflow(name="calls_unknown")
def calls_unknown(ctx, _):
    yield ctx.call_activity("nobody_has_this", input="")


@runtime.workflow(name="calls_other_app")
def calls_other_app(ctx, _):
    yield ctx.call_activity("double", input=1, app_id="another")


@runtime.workflow(name="changes_its_mind")
def changes_its_mind(ctx, key):
    failures[key] = failures.get(key, 0) + 1
    yield ctx.call_activity(double if failures[key] == 1 else identity, input=1)


@runtime.workflow(name="fails")
def fails(ctx, _):
    raise RuntimeError("boom")
    yield


client = wf.DaprWorkflowClient(host=HOST, port=PORT)


def fresh() -> str:
    return uuid.uuid4().hex


def finish(workflow, data="", instance_id=None):
    instance_id = client.schedule_new_workflow(workflow, input=data, instance_id=instance_id)
    return client.wait_for_workflow_completion(instance_id, timeout_in_seconds=WAIT)


def result(workflow, data=""):
    state = finish(workflow, data)
    return [state.runtime_status.name, json.loads(state.serialized_output or "null")]


def failure(workflow, data=""):
    state = finish(workflow, data)
    details = state.failure_details
    return [state.runtime_status.name, details.error_type, details.message.splitlines()[0]]


def started(workflow, data="", **options):
    instance_id = client.schedule_new_workflow(workflow, input=data, **options)
    client.wait_for_workflow_start(instance_id, timeout_in_seconds=WAIT)
    return instance_id


def until(condition):
    deadline = time.monotonic() + WAIT
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError("the condition never held")
        threading.Event().wait(0.01)
    return value


def events():
    instance_id = started(waits)
    client.raise_workflow_event(instance_id, "GO", data={"n": 1})
    until(lambda: client.get_workflow_state(instance_id).serialized_custom_status in ("second", '"second"'))
    client.raise_workflow_event(instance_id, "go", data={"n": 2})
    state = client.wait_for_workflow_completion(instance_id, timeout_in_seconds=WAIT)
    return json.loads(state.serialized_output)


def events_before_they_are_awaited():
    instance_id = client.schedule_new_workflow(waits, input="")
    for number in (1, 2):
        client.raise_workflow_event(instance_id, "go", data=number)
    return json.loads(client.wait_for_workflow_completion(instance_id, timeout_in_seconds=WAIT).serialized_output)


def continue_as_new():
    instance_id = client.schedule_new_workflow(counts_down, input=3)
    for number in range(4):
        client.raise_workflow_event(instance_id, "tick", data=number)
    state = client.wait_for_workflow_completion(instance_id, timeout_in_seconds=WAIT)
    return [json.loads(state.serialized_output), json.loads(state.serialized_input)]


def pause_and_resume():
    instance_id = started(waits)
    client.pause_workflow(instance_id)
    client.pause_workflow(instance_id)
    paused = client.get_workflow_state(instance_id).runtime_status.name
    for number in (1, 2):
        client.raise_workflow_event(instance_id, "go", data=number)
    still = client.get_workflow_state(instance_id).runtime_status.name
    client.resume_workflow(instance_id)
    state = client.wait_for_workflow_completion(instance_id, timeout_in_seconds=WAIT)
    return [paused, still, state.runtime_status.name, json.loads(state.serialized_output)]


def terminate():
    instance_id = started(waits)
    client.terminate_workflow(instance_id, output={"why": "enough"})
    state = client.wait_for_workflow_completion(instance_id, timeout_in_seconds=WAIT)
    return [state.runtime_status.name, json.loads(state.serialized_output)]


def terminate_tree():
    child_id = fresh()
    instance_id = started(waiting_parent, child_id)
    until(lambda: client.get_workflow_state(child_id))
    client.terminate_workflow(instance_id)
    client.wait_for_workflow_completion(instance_id, timeout_in_seconds=WAIT)
    child = client.wait_for_workflow_completion(child_id, timeout_in_seconds=WAIT)
    return child.runtime_status.name


def purge():
    state = finish(chain, 1)
    client.purge_workflow(state.instance_id)
    return client.get_workflow_state(state.instance_id)


def missing():
    return client.get_workflow_state(fresh())


def scheduled():
    moment = datetime.now(timezone.utc) + timedelta(seconds=1)
    instance_id = client.schedule_new_workflow(chain, input=1, start_at=moment)
    before = client.get_workflow_state(instance_id).runtime_status.name
    state = client.wait_for_workflow_completion(instance_id, timeout_in_seconds=WAIT)
    return [before, state.runtime_status.name, datetime.now(timezone.utc) >= moment]


def taken_while_running():
    instance_id = started(waits)
    try:
        client.schedule_new_workflow(waits, input="", instance_id=instance_id)
    except Exception as error:
        return error.code().name if hasattr(error, "code") else repr(error)
    return "accepted"


def taken_after_the_end():
    instance_id = fresh()
    finish(chain, 1, instance_id)
    return json.loads(finish(chain, 2, instance_id).serialized_output)


def wait_runs_out():
    instance_id = started(waits)
    try:
        client.wait_for_workflow_completion(instance_id, timeout_in_seconds=1)
    except TimeoutError:
        return "TimeoutError"


def state_fields():
    state = finish(chain, 1)
    return [
        state.name,
        state.created_at <= state.last_updated_at,
        abs(datetime.now(timezone.utc) - state.created_at.replace(tzinfo=timezone.utc)) < timedelta(minutes=1),
        json.loads(state.serialized_input),
    ]


def asynchronous():
    async def everything():
        other = AsyncClient(host=HOST, port=PORT)
        instance_id = await other.schedule_new_workflow(waits, input="")
        await other.wait_for_workflow_start(instance_id, timeout_in_seconds=WAIT)
        await other.pause_workflow(instance_id)
        paused = (await other.get_workflow_state(instance_id)).runtime_status.name
        await other.resume_workflow(instance_id)
        for number in (1, 2):
            await other.raise_workflow_event(instance_id, "go", data=number)
        state = await other.wait_for_workflow_completion(instance_id, timeout_in_seconds=WAIT)
        second = await other.schedule_new_workflow(waits, input="")
        await other.terminate_workflow(second, output="x")
        ended = await other.wait_for_workflow_completion(second, timeout_in_seconds=WAIT)
        await other.purge_workflow(second)
        gone = await other.get_workflow_state(second)
        return [paused, json.loads(state.serialized_output), ended.runtime_status.name, gone]

    return asyncio.run(everything())


def listed():
    if not hasattr(client, "list_workflow_instance_ids"):
        return ABSENT
    wanted = {finish(chain, 1).instance_id for _ in range(3)}
    return wanted <= set(client.iter_workflow_instance_ids(page_size=2))


def history():
    if not hasattr(client, "get_workflow_history"):
        return ABSENT
    state = finish(chain, 1)
    found = client.get_workflow_history(state.instance_id)
    return [event.event_type.name for event in found]


def rerun():
    if not hasattr(client, "rerun_workflow_from_event"):
        return ABSENT
    state = finish(chain, 1)
    instance_id = client.rerun_workflow_from_event(state.instance_id, 2, input=100)
    again = client.wait_for_workflow_completion(instance_id, timeout_in_seconds=WAIT)
    return json.loads(again.serialized_output)


ABSENT = object()
SCENARIOS = {
    "chain": lambda: result(chain, 1),
    "fan_out": lambda: result(fan_out, 50),
    "race": lambda: result(race),
    "child": lambda: result(parent, 5),
    "failing_child": lambda: result(parent_of_failing),
    "retried": lambda: result(retried, fresh()),
    "retried_child": lambda: result(retried_child, fresh()),
    "exhausted": lambda: failure(exhausted),
    "fails": lambda: failure(fails),
    "unknown_activity": lambda: failure(calls_unknown),
    "other_app": lambda: failure(calls_other_app),
    "non_determinism": lambda: failure(changes_its_mind, fresh()),
    "events": events,
    "early_events": events_before_they_are_awaited,
    "continue_as_new": continue_as_new,
    "pause_and_resume": pause_and_resume,
    "terminate": terminate,
    "terminate_tree": terminate_tree,
    "purge": purge,
    "missing": missing,
    "scheduled": scheduled,
    "taken_while_running": taken_while_running,
    "taken_after_the_end": taken_after_the_end,
    "wait_runs_out": wait_runs_out,
    "clock": lambda: result(clock),
    "who": lambda: result(who),
    "patched": lambda: result(patched),
    "versioned": lambda: result(versioned_two),
    "state_fields": state_fields,
    "asynchronous": asynchronous,
    "listed": listed,
    "history": history,
    "rerun": rerun,
}


def main() -> None:
    # With a wrong token it never connects, and start() would wait for that.
    threading.Thread(target=runtime.start, daemon=True).start()
    for name, scenario in SCENARIOS.items():
        if WANTED and name not in WANTED:
            continue
        line = {"scenario": name}
        try:
            value = scenario()
            line |= {"absent": True} if value is ABSENT else {"value": value}
        except Exception:
            line["error"] = traceback.format_exc()
        print(json.dumps(line), flush=True)
    runtime.shutdown()
    os._exit(0)


main()
