"""Names that the analysis itself must know: operations, results of well-known calls, what undefined names mean."""

from __future__ import annotations

import builtins
import sys

BUILTINS = frozenset(dir(builtins))
STANDARD = frozenset(sys.stdlib_module_names)

# Methods of a workflow's context that ask for something.
OPERATIONS = frozenset(
    {
        "call_activity",
        "call_child_workflow",
        "continue_as_new",
        "create_timer",
        "is_patched",
        "raise_event",
        "set_custom_status",
        "wait_for_external_event",
    }
)
# Those that make an undecorated function a workflow: the others are names that clients have too.
TELLING = OPERATIONS - {"raise_event", "set_custom_status"}
# Operations whose task must be waited for.
TASKS = frozenset({"call_activity", "call_child_workflow", "create_timer", "wait_for_external_event"})
# Requests of a client that name a workflow or an event.
REQUESTS = frozenset({"schedule_new_workflow", "raise_workflow_event"})
# Keyword by which the subject of an operation or a request may be given.
SUBJECTS = {
    "call_activity": "activity",
    "call_child_workflow": "workflow",
    "is_patched": "patch_name",
    "wait_for_external_event": "name",
    "raise_event": "name",
    "schedule_new_workflow": "workflow",
    "raise_workflow_event": "event_name",
}
# Its position among the arguments, where it is not the first.
SUBJECT_POSITIONS = {"raise_event": 1, "raise_workflow_event": 1}

REGISTRATIONS = {
    "register_workflow": "workflow",
    "register_versioned_workflow": "workflow",
    "workflow": "workflow",
    "versioned_workflow": "workflow",
    "register_activity": "activity",
    "activity": "activity",
}
RUNTIMES = frozenset(
    {
        "tenuto.WorkflowRuntime",
        "tenuto.worker.WorkflowRuntime",
        "dapr.ext.workflow.WorkflowRuntime",
    }
)

# A bare first parameter of one of these names is taken for a context.
CONTEXT_NAMES = frozenset({"ctx", "context", "wf_ctx", "workflow_context"})

# What a well-known call gives, where the name of the class is not the name of what was called.
RETURNS = {
    "boto3.Session": "boto3.session.Session",
    "concurrent.futures.thread.ThreadPoolExecutor": "concurrent.futures.ThreadPoolExecutor",
    "datetime.datetime.combine": "datetime.datetime",
    "datetime.datetime.fromisoformat": "datetime.datetime",
    "datetime.datetime.fromtimestamp": "datetime.datetime",
    "datetime.datetime.now": "datetime.datetime",
    "datetime.datetime.replace": "datetime.datetime",
    "datetime.datetime.astimezone": "datetime.datetime",
    "datetime.datetime.strptime": "datetime.datetime",
    "datetime.datetime.today": "datetime.datetime",
    "datetime.datetime.utcnow": "datetime.datetime",
    "datetime.date.today": "datetime.date",
    "logging.getLogger": "logging.Logger",
    "pathlib.Path.absolute": "pathlib.Path",
    "pathlib.Path.cwd": "pathlib.Path",
    "pathlib.Path.expanduser": "pathlib.Path",
    "pathlib.Path.home": "pathlib.Path",
    "pathlib.Path.joinpath": "pathlib.Path",
    "pathlib.Path.resolve": "pathlib.Path",
    "pathlib.Path.with_name": "pathlib.Path",
    "pathlib.Path.with_suffix": "pathlib.Path",
    "pathlib.PosixPath": "pathlib.Path",
    "requests.session": "requests.Session",
    "requests.sessions.Session": "requests.Session",
    "sqlite3.dbapi2.connect": "sqlite3.connect",
    "asyncio.get_event_loop": "asyncio.AbstractEventLoop",
    "asyncio.get_running_loop": "asyncio.AbstractEventLoop",
    "asyncio.new_event_loop": "asyncio.AbstractEventLoop",
}

# Attributes that hold an instance of a class.
ATTRIBUTES = {"pathlib.Path.parent": "pathlib.Path"}

# What a name means that is bound nowhere, as in code on a page: by its usual import.
CONVENTIONS = {
    "Path": "pathlib.Path",
    "date": "datetime.date",
    "datetime": "datetime.datetime",
    "defaultdict": "collections.defaultdict",
    "np": "numpy",
    "pd": "pandas",
    "sleep": "time.sleep",
    "timedelta": "datetime.timedelta",
    "uuid1": "uuid.uuid1",
    "uuid4": "uuid.uuid4",
}
_INSIDE_DATETIME = frozenset({"datetime", "date", "time", "timedelta", "timezone", "tzinfo", "UTC"})

# Functions that call a function they are given.
HIGHER_ORDER = frozenset(
    {
        "builtins.filter",
        "builtins.iter",
        "builtins.map",
        "builtins.max",
        "builtins.min",
        "builtins.sorted",
        "collections.defaultdict",
        "functools.reduce",
        "itertools.accumulate",
        "itertools.groupby",
        "itertools.starmap",
    }
)


def tidy(name: str) -> str:
    """Make one spelling of the several that a qualified name may have."""
    head, _, rest = name.partition(".")
    if head == "datetime" and rest.startswith("datetime."):
        # `datetime` bound nowhere was taken for the class; here it must have been the module.
        inner = rest[len("datetime.") :]
        if inner.partition(".")[0] in _INSIDE_DATETIME and inner.partition(".")[0] != "time":
            return f"datetime.{inner}"
    if head == "time" and rest == "time.time":
        return "time.time"
    return name
