"""Who else watches this thread: debuggers, for which the guard stands aside, and coverage, which it does not mind."""

from __future__ import annotations

import sys
from typing import Any, Final, cast

_monitoring: Final[Any] = getattr(sys, "monitoring", None)


def aside_for_debugger() -> str:
    """Why the guard should see nothing at all now; empty where nobody debugs.

    What a person types at a breakpoint reads files and clocks within the turn.
    """
    tracer = sys.gettrace()
    if tracer is not None:
        module = _module_of(tracer)
        if module.partition(".")[0] != "coverage":
            return f"{module or 'a debugger'} traces this thread"
    if _monitoring is not None and (tool := _monitoring.get_tool(_monitoring.DEBUGGER_ID)) is not None:
        return f"the debugger '{tool}' is attached"
    return ""


def _module_of(tracer: Any) -> str:
    """Where a trace function comes from: a function, a method, or an object of a C type."""
    holder: Any = getattr(tracer, "__self__", None)
    named = cast("Any", tracer if holder is None else type(holder))
    return str(getattr(named, "__module__", "") or type(tracer).__module__)
