"""An application of Microsoft's Durable Task SDK, unmodified: every feature it has, one scenario after another.

    python durabletask_features.py HOST:PORT [SCENARIO]     # with a scenario: it names what it has by filters, too

Prints one JSON object a line: {"scenario": ..., "value": ...} or {"scenario": ..., "error": ...}.
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

import grpc
from durabletask import client, entities, task, worker
from durabletask.internal import orchestrator_service_pb2 as pb

ADDRESS, *WANTED = sys.argv[1:]
WAIT = 30
failures: dict[str, int] = {}


def double(ctx, number):
    return number * 2


def fail_twice(ctx, key):
    failures[key] = failures.get(key, 0) + 1
    if failures[key] < 3:
        raise ValueError(f"failure {failures[key]}")
    return failures[key]


def always_fails(ctx, _):
    raise ValueError("it never works")


def chain(ctx, number):
    for _ in range(3):
        number = yield ctx.call_activity(double, input=number)
    return number


def fan_out(ctx, count):
    results = yield task.when_all([ctx.call_activity(double, input=i) for i in range(count)])
    return sum(results)


def race(ctx, _):
    event = ctx.wait_for_external_event("never")
    timer = ctx.create_timer(timedelta(milliseconds=50))
    winner = yield task.when_any([event, timer])
    return "timer" if winner == timer else "event"


def parent(ctx, number):
    return (yield ctx.call_sub_orchestrator(chain, input=number))


def child_fails(ctx, _):
    yield ctx.call_activity(always_fails, input="")


def parent_of_failing(ctx, _):
    try:
        yield ctx.call_sub_orchestrator(child_fails, input="")
    except task.TaskFailedError as error:
        return f"caught: {error.details.error_type}"


def policy(attempts):
    return task.RetryPolicy(
        first_retry_interval=timedelta(milliseconds=10), max_number_of_attempts=attempts, backoff_coefficient=1
    )


def retried(ctx, key):
    return (yield ctx.call_activity(fail_twice, input=key, retry_policy=policy(5)))


def fails_twice(ctx, key):
    failures[key] = failures.get(key, 0) + 1
    if failures[key] < 3:
        raise ValueError(f"failure {failures[key]}")
    return "third time"
    yield


def retried_child(ctx, key):
    return (yield ctx.call_sub_orchestrator(fails_twice, input=key, retry_policy=policy(5)))


def exhausted(ctx, _):
    yield ctx.call_activity(always_fails, input="", retry_policy=policy(2))


def waits(ctx, _):
    ctx.set_custom_status("waiting")
    first = yield ctx.wait_for_external_event("go")
    ctx.set_custom_status("second")
    second = yield ctx.wait_for_external_event("go")
    return [first, second]


def counts_down(ctx, left):
    event = yield ctx.wait_for_external_event("tick")
    if left > 0:
        ctx.continue_as_new(left - 1, save_events=True)
        return None
    return event


def waiting_parent(ctx, child_id):
    yield ctx.call_sub_orchestrator(waits, input="", instance_id=child_id)


def clock(ctx, _):
    before = ctx.current_utc_datetime
    yield ctx.create_timer(timedelta(milliseconds=80))
    return (ctx.current_utc_datetime - before) >= timedelta(milliseconds=80)


def sends(ctx, target):
    ctx.send_event(target, "go", data=1)
    yield ctx.create_timer(timedelta(milliseconds=10))
    ctx.send_event(target, "go", data=2)
    yield ctx.create_timer(timedelta(milliseconds=10))
    return "sent"


def ids(ctx, _):
    first = ctx.new_uuid()
    yield ctx.create_timer(timedelta(milliseconds=10))
    return [str(first), str(ctx.new_uuid()), ctx.version]


def calls_unknown(ctx, _):
    yield ctx.call_activity("nobody_has_this", input="")


def changes_its_mind(ctx, key):
    failures[key] = failures.get(key, 0) + 1
    yield ctx.call_activity(double if failures[key] == 1 else always_fails, input=1)


def fails(ctx, _):
    raise RuntimeError("boom")
    yield


def many(ctx, count):
    for number in range(count):
        yield ctx.call_activity(double, input=number)
    return count


def counter(ctx, _):
    return 1


def uses_entity(ctx, _):
    yield ctx.call_entity(entities.EntityInstanceId("counter", "a"), "add", 1)


ORCHESTRATORS = (
    chain, fan_out, race, parent, child_fails, parent_of_failing, retried, fails_twice, retried_child, exhausted,
    waits, counts_down, waiting_parent, clock, sends, ids, calls_unknown, changes_its_mind, fails, many,
    uses_entity,
)  # fmt: skip
hub = client.TaskHubGrpcClient(host_address=ADDRESS)


def fresh() -> str:
    return uuid.uuid4().hex


def finish(orchestrator, data="", **options):
    instance_id = hub.schedule_new_orchestration(orchestrator, input=data, **options)
    return hub.wait_for_orchestration_completion(instance_id, timeout=WAIT)


def result(orchestrator, data="", **options):
    state = finish(orchestrator, data, **options)
    return [state.runtime_status.name, json.loads(state.serialized_output or "null")]


def failure(orchestrator, data=""):
    state = finish(orchestrator, data)
    details = state.failure_details
    return [state.runtime_status.name, details.error_type.rpartition(".")[2], details.message.splitlines()[0]]


def started(orchestrator, data="", **options):
    instance_id = hub.schedule_new_orchestration(orchestrator, input=data, **options)
    hub.wait_for_orchestration_start(instance_id, timeout=WAIT)
    return instance_id


def until(condition):
    deadline = time.monotonic() + WAIT
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError("the condition never held")
        threading.Event().wait(0.01)
    return value


def status_of(call):
    try:
        call()
    except grpc.RpcError as error:
        return error.code().name
    except Exception as error:
        return repr(error)
    return "OK"


def events():
    instance_id = started(waits)
    hub.raise_orchestration_event(instance_id, "GO", data={"n": 1})
    until(lambda: hub.get_orchestration_state(instance_id).serialized_custom_status == '"second"')
    hub.raise_orchestration_event(instance_id, "go", data={"n": 2})
    return json.loads(hub.wait_for_orchestration_completion(instance_id, timeout=WAIT).serialized_output)


def continue_as_new():
    instance_id = hub.schedule_new_orchestration(counts_down, input=3)
    for number in range(4):
        hub.raise_orchestration_event(instance_id, "tick", data=number)
    state = hub.wait_for_orchestration_completion(instance_id, timeout=WAIT)
    return [json.loads(state.serialized_output), json.loads(state.serialized_input)]


def suspend_and_resume():
    instance_id = started(waits)
    hub.suspend_orchestration(instance_id)
    hub.suspend_orchestration(instance_id)
    paused = hub.get_orchestration_state(instance_id).runtime_status.name
    for number in (1, 2):
        hub.raise_orchestration_event(instance_id, "go", data=number)
    hub.resume_orchestration(instance_id)
    state = hub.wait_for_orchestration_completion(instance_id, timeout=WAIT)
    return [paused, state.runtime_status.name, json.loads(state.serialized_output)]


def terminate():
    instance_id = started(waits)
    hub.terminate_orchestration(instance_id, output={"why": "enough"})
    state = hub.wait_for_orchestration_completion(instance_id, timeout=WAIT)
    return [state.runtime_status.name, json.loads(state.serialized_output)]


def terminate_tree(recursive):
    child_id = fresh()
    instance_id = started(waiting_parent, child_id)
    until(lambda: hub.get_orchestration_state(child_id))
    hub.terminate_orchestration(instance_id, recursive=recursive)
    hub.wait_for_orchestration_completion(instance_id, timeout=WAIT)
    if recursive:
        return hub.wait_for_orchestration_completion(child_id, timeout=WAIT).runtime_status.name
    return hub.get_orchestration_state(child_id).runtime_status.name


def purge_tree():
    child_id = fresh()
    instance_id = started(waiting_parent, child_id)
    until(lambda: hub.get_orchestration_state(child_id))
    running = hub.purge_orchestration(instance_id).deleted_instance_count
    hub.terminate_orchestration(instance_id, recursive=True)
    for one in (instance_id, child_id):
        hub.wait_for_orchestration_completion(one, timeout=WAIT)
    deleted = hub.purge_orchestration(instance_id, recursive=True).deleted_instance_count
    return [running, deleted, hub.get_orchestration_state(child_id), hub.purge_orchestration(fresh()).deleted_instance_count]


def purge_by_filter():
    before = datetime.now(timezone.utc)
    state = finish(chain, 1)
    deleted = hub.purge_orchestrations_by(
        created_time_from=before - timedelta(seconds=1),
        created_time_to=datetime.now(timezone.utc) + timedelta(seconds=5),
        runtime_status=[client.OrchestrationStatus.COMPLETED],
    )
    return [deleted.deleted_instance_count >= 1, hub.get_orchestration_state(state.instance_id)]


def scheduled():
    moment = datetime.now(timezone.utc) + timedelta(seconds=1)
    instance_id = hub.schedule_new_orchestration(chain, input=1, start_at=moment)
    before = hub.get_orchestration_state(instance_id).runtime_status.name
    state = hub.wait_for_orchestration_completion(instance_id, timeout=WAIT)
    return [before, state.runtime_status.name, datetime.now(timezone.utc) >= moment]


def reuse():
    def start(instance_id, *statuses):
        options = pb.OrchestrationIdReusePolicy(replaceableStatus=statuses)
        return lambda: hub.schedule_new_orchestration(
            waits, input="", instance_id=instance_id, reuse_id_policy=options if statuses else None
        )

    running, ended = started(waits), finish(chain, 1).instance_id
    found = [status_of(start(running)), status_of(start(ended))]
    found.append(status_of(start(ended, pb.ORCHESTRATION_STATUS_FAILED)))
    found.append(status_of(start(ended, pb.ORCHESTRATION_STATUS_COMPLETED)))
    found.append(status_of(start(running, pb.ORCHESTRATION_STATUS_RUNNING)))
    return found


def restart():
    state = finish(chain, 1)
    again = hub.restart_orchestration(state.instance_id)
    hub.wait_for_orchestration_completion(again, timeout=WAIT)
    other = hub.restart_orchestration(state.instance_id, restart_with_new_instance_id=True)
    results = [
        json.loads(hub.wait_for_orchestration_completion(one, timeout=WAIT).serialized_output) for one in (again, other)
    ]
    return [again == state.instance_id, other != state.instance_id, results, status_of(lambda: hub.restart_orchestration(fresh()))]


def tags_and_version():
    state = finish(ids, tags={"team": "blue"}, version="1.2")
    return [state.tags if hasattr(state, "tags") else None, json.loads(state.serialized_output)[2]]


def queries():
    wanted = {finish(chain, 1).instance_id for _ in range(3)}
    query = client.OrchestrationQuery(runtime_status=[client.OrchestrationStatus.COMPLETED], fetch_inputs_and_outputs=True)
    found = {state.instance_id: state for state in hub.get_all_orchestration_states(query)}
    page = hub.list_instance_ids(page_size=2)
    return [wanted <= set(found), json.loads(found[wanted.pop()].serialized_output), len(page.items) == 2]


def history():
    state = finish(chain, 1)
    return [type(event).__name__ for event in hub.get_orchestration_history(state.instance_id)]


def long_history():
    state = finish(many, 300)
    return len(hub.get_orchestration_history(state.instance_id))


def deterministic_ids():
    first, second, _ = json.loads(finish(ids).serialized_output)
    return [first != second, bool(uuid.UUID(first))]


def sent():
    target = started(waits)
    status = finish(sends, target).runtime_status.name
    state = hub.wait_for_orchestration_completion(target, timeout=WAIT)
    return [status, json.loads(state.serialized_output)]


def asynchronous():
    async def everything():
        other = client.AsyncTaskHubGrpcClient(host_address=ADDRESS)
        instance_id = await other.schedule_new_orchestration(waits, input="")
        await other.wait_for_orchestration_start(instance_id, timeout=WAIT)
        for number in (1, 2):
            await other.raise_orchestration_event(instance_id, "go", data=number)
        state = await other.wait_for_orchestration_completion(instance_id, timeout=WAIT)
        await other.close()
        return json.loads(state.serialized_output)

    return asyncio.run(everything())


def wait_runs_out():
    instance_id = started(waits)
    try:
        hub.wait_for_orchestration_completion(instance_id, timeout=1)
    except TimeoutError:
        return "TimeoutError"


def left_out():
    identifier = entities.EntityInstanceId("counter", "a")
    return [
        status_of(lambda: hub.signal_entity(identifier, "add", input=1)),
        failure(uses_entity)[1],
    ]


def rewind():
    key = fresh()
    failures[key] = 0
    state = finish(fails_then_works, key)
    failures[key] = 1
    hub.rewind_orchestration(state.instance_id, reason="mended")
    again = hub.wait_for_orchestration_completion(state.instance_id, timeout=WAIT)
    return [state.runtime_status.name, again.runtime_status.name, json.loads(again.serialized_output or "null")]


def works_when_mended(ctx, key):
    if not failures[key]:
        raise ValueError("not mended")
    return "mended"


def fails_then_works(ctx, key):
    number = yield ctx.call_activity(double, input=1)
    text = yield ctx.call_activity(works_when_mended, input=key)
    return [number, text]


def rewind_tree():
    key = fresh()
    failures[key] = 0
    state = finish(calls_fails_then_works, key)
    failures[key] = 1
    hub.rewind_orchestration(state.instance_id, reason="mended")
    again = hub.wait_for_orchestration_completion(state.instance_id, timeout=WAIT)
    return [state.runtime_status.name, again.runtime_status.name, json.loads(again.serialized_output or "null")]


def rewind_beside_child():
    key = fresh()
    child = f"{key}-child"
    failures[key] = 0
    state = finish(fails_beside_child, key)
    raise_both(child)
    failures[key] = 1
    hub.rewind_orchestration(state.instance_id, reason="mended")
    # The child's result was for the execution that failed: it starts anew.
    until(lambda: hub.get_orchestration_state(child).runtime_status.name == "RUNNING")
    raise_both(child)
    again = hub.wait_for_orchestration_completion(state.instance_id, timeout=WAIT)
    return [state.runtime_status.name, again.runtime_status.name, json.loads(again.serialized_output or "null")]


def raise_both(instance_id):
    for number in (1, 2):
        hub.raise_orchestration_event(instance_id, "go", data=number)
    hub.wait_for_orchestration_completion(instance_id, timeout=WAIT)


def calls_fails_then_works(ctx, key):
    return (yield ctx.call_sub_orchestrator(fails_then_works, input=key))


def fails_beside_child(ctx, key):
    child = ctx.call_sub_orchestrator(waits, instance_id=f"{key}-child")
    text = yield ctx.call_activity(works_when_mended, input=key)
    return [(yield child), text]


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
    "non_determinism": lambda: failure(changes_its_mind, fresh()),
    "events": events,
    "continue_as_new": continue_as_new,
    "suspend_and_resume": suspend_and_resume,
    "terminate": terminate,
    "terminate_tree": lambda: terminate_tree(True),
    "terminate_root": lambda: terminate_tree(False),
    "purge_tree": purge_tree,
    "purge_by_filter": purge_by_filter,
    "missing": lambda: hub.get_orchestration_state(fresh()),
    "scheduled": scheduled,
    "reuse": reuse,
    "restart": restart,
    "rewind": rewind,
    "rewind_tree": rewind_tree,
    "rewind_beside_child": rewind_beside_child,
    "tags_and_version": tags_and_version,
    "queries": queries,
    "history": history,
    "long_history": long_history,
    "deterministic_ids": deterministic_ids,
    "sent": sent,
    "clock": lambda: result(clock),
    "asynchronous": asynchronous,
    "wait_runs_out": wait_runs_out,
    "left_out": left_out,
}


def main() -> None:
    with worker.TaskHubGrpcWorker(host_address=ADDRESS) as hosted:
        for orchestrator in (*ORCHESTRATORS, fails_then_works, calls_fails_then_works, fails_beside_child):
            hosted.add_orchestrator(orchestrator)
        for activity in (double, fail_twice, always_fails, works_when_mended):
            hosted.add_activity(activity)
        if WANTED:
            hosted.use_work_item_filters()
        hosted.start()
        for name, scenario in SCENARIOS.items():
            if WANTED and name not in WANTED:
                continue
            line = {"scenario": name}
            try:
                line["value"] = scenario()
            except Exception:
                line["error"] = traceback.format_exc()
            print(json.dumps(line), flush=True)
        os._exit(0)


main()
