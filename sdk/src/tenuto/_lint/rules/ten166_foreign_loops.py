"""TEN166: event loops of other libraries."""

from __future__ import annotations

from tenuto._lint.rule import Profile, Rule, Use

RULE = Rule(
    id="TEN166",
    name="foreign-loops",
    message="{text}() belongs to an event loop of another library",
    why="The worker steps a workflow by hand; what other libraries wait for is no task of the context, and what they "
    "schedule no history holds.",
    breaks="The wait fails with TypeError; greenlets and nested loops interrupt a turn by another one.",
    instead="Use ctx.create_timer, wf.when_all and wf.when_any, and do what needs that library in an activity.",
    profile=Profile.STRICT,
    calls={
        "anyio.*": Use(),
        "anyio.to_process.*": None,
        "anyio.to_thread.*": None,
        "anyio.Path.*": None,
        "anyio.create_task_group.*": None,
        # Another rule's, which knows what to write instead.
        "anyio.sleep": None,
        "anyio.sleep_forever": None,
        "anyio.sleep_until": None,
        "curio.sleep": None,
        "trio.sleep": None,
        "trio.sleep_forever": None,
        "trio.sleep_until": None,
        "trio.open_nursery.*": None,
        "curio.*": Use(),
        "eventlet.*": Use(),
        "gevent.*": Use(),
        "nest_asyncio.*": Use(),
        "trio.*": Use(),
    },
)
