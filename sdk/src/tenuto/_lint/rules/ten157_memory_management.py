"""TEN157: the garbage collector, weak references, and measures of memory."""

from __future__ import annotations

from tenuto._lint.rule import Profile, Rule, Use

RULE = Rule(
    id="TEN157",
    name="memory-management",
    message="{text}() depends on the memory of this process",
    why="When objects are freed, how many refer to one and how much memory is used differ with everything else "
    "that runs.",
    breaks="A replay finds an object gone that was there, or counts other numbers, and decides differently.",
    instead="Decide by values the workflow holds itself; measure in activities.",
    profile=Profile.STRICT,
    calls={
        "gc.*": Use(),
        "resource.*": Use(),
        "sys.getallocatedblocks": Use(),
        "sys.getrefcount": Use(),
        "sys.getsizeof": Use(),
        "tracemalloc.*": Use(),
        "weakref.*": Use(),
        # That only says what to do at the end.
        "weakref.WeakMethod": Use(),
    },
)
