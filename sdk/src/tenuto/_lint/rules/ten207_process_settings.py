"""TEN207: settings of the whole process."""

from __future__ import annotations

import ast

from tenuto._lint.rule import Profile, Rule, Use
from tenuto._lint.shared import is_imported
from tenuto._lint.view import Call


def _is_of_others(call: Call) -> bool:
    """Whether `setattr` and its like are used on a module or class, rather than on an object of the workflow's own."""
    target = call.argument(0)
    if target is None:
        return False
    found = call.function.found(target, call.scope)
    is_class = bool(found) and all(one.kind == "class" for one in found)
    return is_class or (isinstance(target, ast.Name | ast.Attribute) and is_imported(call.function, target))


RULE = Rule(
    id="TEN207",
    name="process-settings",
    message="{text}() changes a setting of the whole process",
    why="It holds for all other instances of the worker, for its activities and for the SDK, and only in this process.",
    breaks="It is made again at each replay, and it is missing where the instance goes on without a replay of that "
    "line; what the workflow does then depends on the process it is in.",
    instead="Make settings where the program starts; what only this code needs can be local: decimal.localcontext(), "
    "an argument, an object of its own.",
    profile=Profile.STRICT,
    calls={
        "asyncio.set_event_loop": Use(),
        "asyncio.set_event_loop_policy": Use(),
        "atexit.register": Use(),
        "builtins.delattr": Use(when=_is_of_others),
        "builtins.setattr": Use(when=_is_of_others),
        "decimal.setcontext": Use(),
        "faulthandler.disable": Use(),
        "faulthandler.enable": Use(),
        "logging.basicConfig": Use(),
        "logging.config.dictConfig": Use(),
        "logging.config.fileConfig": Use(),
        "logging.disable": Use(),
        "mock.patch": Use(),
        "mock.patch.*": Use(),
        "os.chdir": Use(),
        "os.umask": Use(),
        "signal.alarm": Use(),
        "signal.signal": Use(),
        "socket.setdefaulttimeout": Use(),
        "sys.modules.pop": Use(),
        "sys.path.append": Use(),
        "sys.path.extend": Use(),
        "sys.path.insert": Use(),
        "sys.path.remove": Use(),
        "sys.setprofile": Use(),
        "sys.setrecursionlimit": Use(),
        "sys.setswitchinterval": Use(),
        "sys.settrace": Use(),
        "unittest.mock.patch": Use(),
        "unittest.mock.patch.*": Use(),
        "warnings.filterwarnings": Use(),
        "warnings.simplefilter": Use(),
    },
)
