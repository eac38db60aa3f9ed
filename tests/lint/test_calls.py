"""Calls are followed, and names resolved, by whatever way the code takes to them."""

from __future__ import annotations

from pathlib import Path

import pytest

from lint.sources import brief, lint, write
from tenuto._lint.config import Config

WAYS = {
    "an import under another name": "from time import time as t\n@w\n{t()}",
    "a module under another name": "import time as t\n@w\n{t.time()}",
    "an alias at module level": "import time\nnow = time.time\n@w\n{now()}",
    "an alias inside": "import time\n@w\nclock = time\n{clock.time()}",
    "an import inside": "@w\nimport time\n{time.time()}",
    "getattr": 'import time\n@w\n{getattr(time, "time")()}',
    "__import__": '@w\n{__import__("time").time()}',
    "import_module": 'import importlib\n@w\n{importlib.import_module("time").time()}',
    "a star import": "from time import *\n@w\n{monotonic()}",
    "a lambda": "import time\n@w\n{(lambda: time.time())()}",
    "a comprehension": "import time\n@w\n{[time.time() for _ in range(2)]}",
    "a walrus": "import time\n@w\n{(t := time).time()}",
    "a branch": "import time\n@w\nf = time.time if x else len\n{f()}",
    "a loop over functions": "import time\n@w\nfor f in (len, time.time):\n    {f()}",
    "a dictionary of functions": 'import time\n@w\n{{"a": time.time}["a"]()}',
    "a tuple assignment": "import time\n@w\na, b = len, time.time\n{b()}",
    "a partial": "import time, functools\n@w\nf = functools.partial(time.time)\n{f()}",
    "a key function": "import time\n@w\n{sorted([x], key=lambda _: time.time())}",
    "an import in try": "try:\n    from time import time\nexcept ImportError:\n    time = None\n@w\n{time()}",
    "an undefined name": "@w\n{time.time()}",
    "an instance": "import httpx\nc = httpx.Client()\n@w\n{c.get('u')}",
    "an instance in with": "import httpx\n@w\nwith httpx.Client() as c:\n    {c.get('u')}",
    "an instance by annotation": "import httpx\n@w\nc: httpx.Client = x\n{c.get('u')}",
}
NO_WAYS = {
    "a parameter of that name": "import time\nclass T:\n    def time(self): return 1\n@w\ntime = T()\nx = time.time()",
    "a class of that name": "class time:\n    @staticmethod\n    def time(): return 1\n@w\nx = time.time()",
    "a local function of that name": "from time import time\n@w\ndef time(): return 1\nx = time()",
    "a rebound alias": "import time\n@w\nf = time.time\nf = len\nx = f([])",
    "a loop's variable": "import time\n@w\nfor time in x:\n    y = time.time()",
    "the context's": "import random\n@w\nrandom = ctx.random()\nx = random.random()",
    "a lambda's parameter": "import time\n@w\nx = (lambda time: time.time())(x)",
    "an attribute of the input": "import datetime\n@w\nx = x.datetime.now()",
}


def program(code: str) -> tuple[str, int | None]:
    """A module with one workflow: what follows `@w` is its body; `{...}` marks what must be found."""
    head, _, body = code.partition("@w\n")
    lines = [*head.splitlines(), "def flow(ctx, x):", *(f"    {line}" for line in body.splitlines())]
    expected = next((number for number, line in enumerate(lines, 1) if line.strip().startswith("{")), None)
    lines.append("    yield ctx.call_activity('a')")
    text = "\n".join(
        line.replace("{", "", 1)[::-1].replace("}", "", 1)[::-1] if number == expected else line
        for number, line in enumerate(lines, 1)
    )
    return text, expected


@pytest.mark.parametrize("way", WAYS)
def test_a_call_is_found_by(way: str, tmp_path: Path) -> None:
    """The call is found, once, whatever way leads to it."""
    text, expected = program(WAYS[way])
    write(tmp_path, {"flow.py": text})
    assert [one.line for one in lint(tmp_path).findings] == [expected]


@pytest.mark.parametrize("way", NO_WAYS)
def test_no_call_is_found_by(way: str, tmp_path: Path) -> None:
    """What only looks like the call is left alone."""
    text, _ = program(NO_WAYS[way])
    write(tmp_path, {"flow.py": text})
    assert brief(lint(tmp_path).findings) == []


SHOP = {
    "src/shop/__init__.py": "",
    "src/shop/flows.py": """
        import tenuto as wf
        from . import prices
        from .prices import Service, service
        from shop.deep.stamps import stamp

        wfr = wf.WorkflowRuntime()

        @wfr.workflow
        def order(ctx: wf.WorkflowContext, item: str):
            prices.look_up(item)
            service.call(item)
            Service().when
            with service:
                stamp()
            yield ctx.call_activity(prices.charge, input=item)

        @wfr.workflow
        async def other(ctx: wf.WorkflowContext, item: str):
            prices.look_up(item)
        """,
    "src/shop/prices.py": """
        from datetime import datetime

        import httpx

        def make() -> httpx.Client:
            return httpx.Client()

        class Base:
            def stamp(self):
                return datetime.now()

        class Service(Base):
            def __init__(self):
                self.http = make()

            def call(self, item):
                self.stamp()
                return self.http.get(item)

            @property
            def when(self):
                return datetime.now()

            def __enter__(self):
                return datetime.now()

            def __exit__(self, *error):
                pass

        service = Service()

        def look_up(item):
            return ask(item)

        def ask(item):
            return httpx.get(item)

        def charge(ctx, item):
            return datetime.now()

        def unused():
            return datetime.now()
        """,
    "src/shop/deep/stamps.py": """
        from shop.deep import clock

        def stamp():
            return clock.now()
        """,
    "src/shop/deep/clock.py": """
        import time

        now = time.time
        """,
}


def test_calls_are_followed_through_the_project(tmp_path: Path) -> None:
    """Helpers elsewhere, methods, base classes, properties, `with` and folders without `__init__` are followed."""
    write(tmp_path, SHOP)
    assert brief(lint(tmp_path).findings) == [
        "src/shop/deep/stamps.py:4 TEN102",
        "src/shop/prices.py:10 TEN101",
        "src/shop/prices.py:18 TEN141",
        "src/shop/prices.py:22 TEN101",
        "src/shop/prices.py:25 TEN101",
        "src/shop/prices.py:36 TEN141",
    ]


def test_a_finding_shows_the_shortest_chain_once(tmp_path: Path) -> None:
    """One finding per place, with the hops from the workflow, and how many other workflows reach it."""
    write(tmp_path, SHOP)
    found = {f"{one.path}:{one.line}": one for one in lint(tmp_path).findings}
    asked = found["src/shop/prices.py:36"]
    assert asked.chain == ("src/shop/flows.py:10 order", "src/shop/prices.py:33 look_up", "src/shop/prices.py:36 ask")
    assert asked.others == 1
    assert found["src/shop/prices.py:22"].others == 0


DECORATED = """
    import time
    import functools
    from dataclasses import dataclass

    def timed(f):
        @functools.wraps(f)
        def inner(*args):
            began = time.time()
            return f(*args), began
        return inner

    def repeated(times):
        def decorate(f):
            def inner(*args):
                return [time.monotonic() for _ in range(times)]
            return inner
        return decorate

    class Traced:
        def __init__(self, f):
            self.f = f

        def __call__(self, *args):
            return time.perf_counter()

    @timed
    def one():
        pass

    @repeated(3)
    def two():
        pass

    @Traced
    def three():
        pass

    @dataclass
    class Stamp:
        at: float = 0

        def __post_init__(self):
            self.at = self.at or time.time_ns()

    class Child(Stamp):
        pass

    def flow(ctx):
        one(), two(), three(), Child()
        yield ctx.create_timer(1)

    @timed
    @wfr.workflow
    def registered_below(ctx):
        yield ctx.create_timer(1)

    def unused(f):
        return lambda: time.thread_time()
    """


def test_what_decorators_make_of_a_helper_is_followed(tmp_path: Path) -> None:
    """Wrappers run when the helper is called, with or without arguments or as a class, and so does `__post_init__`."""
    write(tmp_path, {"flow.py": DECORATED})
    found = lint(tmp_path).findings
    assert [(one.line, one.function) for one in found] == [
        (8, "timed.<locals>.inner"),
        (15, "repeated.<locals>.decorate.<locals>.inner"),
        (24, "Traced.__call__"),
        (43, "Stamp.__post_init__"),
    ]
    assert found[0].chain == ("flow.py:49 flow", "flow.py:26 one", "flow.py:8 timed.<locals>.inner")


ROLES = {
    "decorated": ("@wfr.workflow\ndef f(ctx):\n    time.time()", True),
    "decorated with a name": ("@wfr.workflow(name='x')\nasync def f(ctx):\n    time.time()", True),
    "one version of several": ("@wfr.versioned_workflow(name='x', is_latest=True)\ndef f(ctx):\n    time.time()", True),
    "below other decorators": ("@other\n@wfr.workflow\n@another(1)\ndef f(ctx):\n    time.time()", True),
    "registered": ("def f(ctx):\n    time.time()\nwfr.register_workflow(f)", True),
    "registered in a loop": ("def f(ctx):\n    time.time()\nfor one in (f,):\n    wfr.register_workflow(one)", True),
    "a child": ("def f(ctx):\n    time.time()\nasync def g(ctx):\n    await ctx.call_child_workflow(f)", True),
    "a generator with operations": ("def f(c):\n    time.time()\n    yield c.create_timer(1)", True),
    "a coroutine with operations": ("async def f(c):\n    time.time()\n    await c.call_activity('x')", True),
    "a method with operations": (
        "class C:\n    async def f(self, c):\n        time.time()\n        c.is_patched('x')",
        True,
    ),
    "a plain function with operations": ("def f(c):\n    time.time()\n    c.call_activity('x')", False),
    "a generator without operations": ("def f(ctx):\n    yield time.time()", False),
    "operations on something else": ("async def f(ctx, c):\n    time.time()\n    await c.call_activity('x')", False),
    "operations on self": (
        "class C:\n    async def f(self):\n        time.time()\n        await self.call_activity('x')",
        False,
    ),
    "another library's": (
        "import temporalio as t\n@t.workflow.defn\nclass C:\n    async def f(self):\n        time.time()",
        False,
    ),
    "another library's runtime": ("from dbos import DBOS\n@DBOS.workflow()\ndef f(ctx):\n    time.time()", False),
    "an activity": ("@wfr.activity\ndef f(ctx):\n    time.time()", False),
    "a registered activity": (
        "def f(ctx):\n    time.time()\nwfr.register_activity(f)\ndef g(ctx):\n    yield ctx.create_timer(f(ctx))",
        False,
    ),
    "a called activity": ("def f(ctx):\n    time.time()\ndef g(ctx):\n    yield ctx.call_activity(f)", False),
    "an activity by its context": (
        "async def f(ctx: wf.WorkflowActivityContext):\n    time.time()\nasync def g(c):\n    c.is_patched('x'); f(c)",
        False,
    ),
}


@pytest.mark.parametrize("role", ROLES)
def test_a_workflow_is(role: str, tmp_path: Path) -> None:
    """Decorated, registered or a child; or a generator or coroutine with operations on its first parameter."""
    code, is_workflow = ROLES[role]
    write(tmp_path, {"flow.py": f"import time\nimport tenuto as wf\nwfr = wf.WorkflowRuntime()\n{code}\n"})
    found = [one.rule for one in lint(tmp_path).findings]
    assert [rule for rule in found if rule == "TEN102"] == ["TEN102"] * is_workflow


CLOCKS = Config(ignore=("TEN126", "TEN127"))
IMPLICIT = {
    "__len__": "len(p)",
    "__add__": "p + 1",
    "__eq__": "p == 2",
    "__lt__": "p < 2",
    "__contains__": "3 in p",
    "__getitem__": "p[3]",
    "__iter__": "[one for one in p]",
    "__next__": "next(p)",
    "__str__": "str(p)",
    "__format__": 'f"{p}"',
    "__hash__": "hash(p)",
    "__call__": "p()",
}


@pytest.mark.parametrize(("method", "use"), IMPLICIT.items(), ids=IMPLICIT)
def test_methods_that_python_calls_by_itself_are_followed(method: str, use: str, tmp_path: Path) -> None:
    """Operators, loops and built-in functions call methods of the project's classes, and only those that they need."""
    text = (
        "import time\nclass P:\n    def {method}(self, *_):\n        return time.time()\n"
        "def flow(ctx, x):\n    p = P()\n    y = {use}\n    yield ctx.call_activity('a')\n"
    )
    write(tmp_path, {"flow.py": text.format(method=method, use=use)})
    assert [one.line for one in lint(tmp_path, CLOCKS).findings] == [4]
    write(tmp_path, {"flow.py": text.format(method="__index__", use=use)})
    assert brief(lint(tmp_path, CLOCKS).findings) == []
