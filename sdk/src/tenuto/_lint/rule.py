"""What a rule is. Read this to write one.

A rule is one module `rules/ten101_wall_clock.py` that exposes `RULE`, one page `rules/ten101_wall_clock.md` and the
fixtures `tests/lint/fixtures/TEN101/`. Nothing else lists rules. A rule is a `Rule(...)` with any of these parts:

**Tables**, `calls` and `reads`: qualified name -> `Use`. A call is looked up in one merged dictionary of all rules, so
a table costs nothing; prefer it. Names are resolved before: through imports, aliases, local rebinding, instances
(`client = httpx.Client()`, then `client.get` is `httpx.Client.get`), `partial`, `getattr` with a literal, helpers that
return an instance. Builtins are `builtins.open`. Methods of results are named by what was called
(`hashlib.md5(x).hexdigest` is `hashlib.md5.hexdigest`) unless `names.RETURNS` knows the class. `"requests.*"` matches
every name below `requests`, at any depth; an exact name goes before a pattern, and a longer pattern before a
shorter one; `None` as value exempts: `{"requests.*": USE, "requests.exceptions.*": None}`. The context is `@ctx`: its
methods are `@ctx.call_activity`. `calls` also match functions handed to a higher-order function (`map(hash, xs)`,
`sorted(xs, key=id)`). `reads` match names read anywhere but as the function of a call (`os.environ["A"]`, `sys.argv`).

    RULE = Rule(
        id="TEN101",
        name="wall-clock",
        message="{name}() reads the clock",       # {name}: the qualified name; {text}: the source of the call
        why="...", breaks="...", instead="...",   # whole sentences, shown with each finding
        calls={"datetime.datetime.now": Use(fix=fix_now), "time.localtime": Use(when=lambda call: not call.args)},
    )

A `Use` may override `message` and `instead`; `when(call)` says whether this very call counts; `fix(call)` gives a
`Fix` or None. In a table of reads both get a `Read`.

**Functions**, `check`: called once for each function that runs inside a workflow (`view.FunctionView`: its syntax tree,
resolved calls and reads, operations on the context, the role of what it calls), yields `Hit`s. `scope` says which
functions: `workflow` (the default: workflows and everything they reach, never an activity), `activity`: activities (not
what they reach), `module`: see `check_module`.

    def check(function: FunctionView) -> Iterator[Hit]:
        for call in function.calls:
            if "builtins.hash" in call.names and not is_int(call.node.args[0]):
                yield function.hit(call.node, f"hash({call.text}) ...", fix=...)

**Modules**, `check_module`: called once for each module that holds an activity, a workflow or something that one
reaches, with a `view.ModuleView`. **Projects**, `check_project`: called once per run with a `view.ProjectView`, which
holds facts and no syntax trees (they come from the cache); it yields `Hit`s with `path` set. Prefer functions: their
findings are kept while neither the file nor what it imports changes. **Base revisions**, `check_base`: called once per
run that compares with a revision, with a `drift.view.BaseView`. **Suppressions**, `check_suppressions`: called once per
module after everything else, with all `# tenuto: ignore[...]` comments and whether each was used.

What a rule may rely on: `check` sees every function once, whatever number of workflows reach it; the run adds the chain
of calls, applies suppressions, `select`, `ignore` and severities, and drops a second hit of one rule at one place. So a
rule never asks who calls the function. What it must not do: import or run user code, read files, keep state between
calls (results are cached per file), raise (the run reports a rule that raises, and goes on), or name an API that
`tenuto.WorkflowContext` does not have.

Texts: `message` says what this code does, in one short sentence without a full stop. `why` says why it is not
deterministic, `breaks` what goes wrong at replay, `instead` what to write; whole sentences.

Fixes: build them with `function.replace(node, text)`, `function.insert_before(node, text)`, and
`Fix(title, edits, imports=...)`; the text may use `function.ctx`, the name of the context here, None in a helper that
is not given one (then return None, or a fix with `is_safe=False`). `function.wait` is `yield`, `await` or "" (in a
helper that is neither). Name what must be imported by `function.name_for("datetime", "timedelta")`, which answers the
text to use and the import to add, if any.

Fixtures: `bad*.py` and `good*.py` in the rule's folder, or folders of those names with several modules. A line to be
found carries `# expect: TEN101` (or several ids, with commas); nothing else may be found by this rule or, in profile
`core`, by any other. `good` files hold near misses. Where there is a fix, `bad_x.py` may have `bad_x.fixed`, the text
after `--fix`.

Page sections: `# TEN101 wall-clock: one line`, `## What it finds`, `## Why it breaks on replay`, `## Example`,
`## Use instead`, `## What it misses`.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from tenuto._lint.finding import Fix, Severity

if TYPE_CHECKING:
    from tenuto._lint.drift.view import BaseView
    from tenuto._lint.view import FunctionView, ModuleView, ProjectView, SuppressionsView


class Profile(StrEnum):
    """Which rules run: each profile holds those before it."""

    CORE = "core"
    STRICT = "strict"
    PEDANTIC = "pedantic"

    @property
    def rank(self) -> int:
        """0 for `core`; a profile runs the rules of its rank and below."""
        return list(Profile).index(self)


class Scope(StrEnum):
    """Which functions `Rule.check` and the tables see."""

    WORKFLOW = "workflow"
    ACTIVITY = "activity"


@dataclass(frozen=True, kw_only=True)
class Use:
    """How one name of a table is judged; what is left out comes from the rule.

    Attributes:
        message: `{name}` is the qualified name, `{text}` the source text.
        instead: as in the rule.
        when: whether this very use counts. None: always.
        fix: what would put it right. None: nothing certain.
    """

    message: str | None = None
    instead: str | None = None
    when: Callable[[Any], bool] | None = None
    fix: Callable[[Any], Fix | None] | None = None


@dataclass(frozen=True, kw_only=True)
class Hit:
    """One place that a rule found; made by `FunctionView.hit` and its like.

    Attributes:
        node: what to point at. None: see `line`.
        line: where there is no node: the line, from 1.
        column: beside `line`: the column, from 0, in characters.
        message: None: the rule's.
        why: None: the rule's.
        breaks: None: the rule's.
        instead: None: the rule's.
        severity: None: the rule's.
        fix: what would put it right.
        path: of hits of `check_project`: the module's path; else None.
        function: of hits of `check_project`: the function's qualified name; else None.
    """

    node: ast.AST | None = None
    line: int = 1
    column: int = 0
    message: str | None = None
    why: str | None = None
    breaks: str | None = None
    instead: str | None = None
    severity: Severity | None = None
    fix: Fix | None = None
    path: str | None = None
    function: str | None = None


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One rule; the module's docstring says how its parts work together.

    Attributes:
        id: `TEN` and three digits; never changes once released.
        name: the words of its file name, with hyphens: `wall-clock`.
        message: what the code does; a format of `{name}` and `{text}` for tables.
        why: why that is not deterministic.
        breaks: what goes wrong when the workflow is replayed.
        instead: what to write.
        severity: unless configuration says otherwise.
        profile: the smallest profile that runs it.
        scope: which functions the tables and `check` see.
        calls: qualified names of called functions, or patterns; None exempts.
        reads: qualified names read, or patterns; None exempts.
        extensible: whether configuration may add names to `calls` (`[tool.tenuto.lint.names]`).
        check: looks at one function.
        check_module: looks at one module.
        check_project: looks at the facts of all modules.
        check_base: looks at all modules beside those of a base revision, where the run has one.
        check_suppressions: looks at one module's suppressions, after all else.
    """

    id: str
    name: str
    message: str
    why: str
    breaks: str
    instead: str
    severity: Severity = Severity.ERROR
    profile: Profile = Profile.CORE
    scope: Scope = Scope.WORKFLOW
    calls: Mapping[str, Use | None] = field(default_factory=dict[str, "Use | None"])
    reads: Mapping[str, Use | None] = field(default_factory=dict[str, "Use | None"])
    extensible: bool = False
    check: Callable[[FunctionView], Iterable[Hit]] | None = None
    check_module: Callable[[ModuleView], Iterable[Hit]] | None = None
    check_project: Callable[[ProjectView], Iterable[Hit]] | None = None
    check_base: Callable[[BaseView], Iterable[Hit]] | None = None
    check_suppressions: Callable[[SuppressionsView], Iterable[Hit]] | None = None
