"""A worker of Dapr's workflow SDK, unmodified, that serves until it is ended.

    python dapr_worker.py HOST PORT

Its workflows: `quote` calls an activity that it has not registered itself; `survivor` waits for two events, `asked`
for one.
"""

import signal
import sys

import dapr.ext.workflow as wf

runtime = wf.WorkflowRuntime(host=sys.argv[1], port=sys.argv[2])


@runtime.activity(name="double")
def double(ctx, number):
    return number * 2


@runtime.workflow(name="quote")
def quote(ctx, item):
    price = yield ctx.call_activity("price_of", input=item)
    return (yield ctx.call_activity(double, input=price))


@runtime.workflow(name="survivor")
def survivor(ctx, _):
    first = yield ctx.wait_for_external_event("go")
    number = yield ctx.call_activity(double, input=first)
    second = yield ctx.wait_for_external_event("go")
    return [number, second]


@runtime.workflow(name="asked")
def asked(ctx, _):
    return (yield ctx.wait_for_external_event("go"))


runtime.start()
print("serving", flush=True)
signal.sigwait({signal.SIGTERM})
runtime.shutdown()
