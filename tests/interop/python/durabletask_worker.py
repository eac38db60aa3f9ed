"""A worker of Microsoft's Durable Task SDK, unmodified, that serves until it is ended.

    python durabletask_worker.py HOST:PORT [VERSION]

With a version it gives instances of others back. Its orchestrators: `which` says by whom it was run; `quote` calls an
activity that it has not registered itself; `asked` waits for an event.
"""

import signal
import sys

from durabletask import worker

VERSION = sys.argv[2] if len(sys.argv) > 2 else None


def which(ctx, _):
    return VERSION


def quote(ctx, item):
    return (yield ctx.call_activity("price_of", input=item))


def asked(ctx, _):
    return (yield ctx.wait_for_external_event("go"))


with worker.TaskHubGrpcWorker(host_address=sys.argv[1]) as served:
    for orchestrator in (which, quote, asked):
        served.add_orchestrator(orchestrator)
    if VERSION is not None:
        served.use_versioning(
            worker.VersioningOptions(
                version=VERSION,
                match_strategy=worker.VersionMatchStrategy.STRICT,
                failure_strategy=worker.VersionFailureStrategy.REJECT,
            )
        )
    served.start()
    print("serving", flush=True)
    signal.sigwait({signal.SIGTERM})
