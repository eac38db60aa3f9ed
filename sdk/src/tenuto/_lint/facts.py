"""What is known of a module without its syntax tree: small, complete enough for the call graph, and kept in the cache.

Names are *raw*: resolved within their module only. `a.b` is what an import calls it, `&f` something defined in this
module (`&C.run`, `&f/<locals>/g`), `?x` something bound nowhere, `x()` the result of calling x, `@ctx` the context of a
workflow, `@activity` that of an activity. `project` makes
qualified names of them.
"""

from __future__ import annotations

import msgspec


class Ref(msgspec.Struct, frozen=True, array_like=True):
    """A name that a function calls, or hands to something that may call it."""

    name: str
    line: int
    column: int
    is_call: bool


class Operation(msgspec.Struct, frozen=True, array_like=True):
    """A call of a method whose name an operation or a client's request has, with the literal it names, if it does.

    Attributes:
        method: `call_activity`, `raise_workflow_event` ...
        target: the literal text of its subject (activity, child, event, patch); empty where that is no literal.
        names: raw names of its subject where it is a function.
        on_context: whether the method is one of a workflow's context.
    """

    method: str
    target: str
    names: tuple[str, ...]
    line: int
    column: int
    on_context: bool


class FunctionFacts(msgspec.Struct, frozen=True, array_like=True):
    """One function or method, lambdas and comprehensions inside it included, nested functions not.

    Attributes:
        name: qualified within the module: `f`, `C.run`, `f.<locals>.g`.
        line: of its `def`.
        is_async: it is an `async def`.
        is_generator: it yields.
        is_property: reading it calls it.
        owner: the class that it is a method of; empty for none.
        parameters: names, without self.
        first_is_activity: its first parameter is annotated as an activity's context.
        uses_context: it calls operations on its first parameter.
        marks: `workflow` or `activity`, by its decorators.
        registered_as: the literal name that a decorator gives it; empty for none.
        refs: what it calls or hands on, in order.
        returns: raw names of what it returns; empty where that is unknown.
        operations: on a context or a client, in order.
    """

    name: str
    line: int
    is_async: bool
    is_generator: bool
    is_property: bool
    owner: str
    parameters: tuple[str, ...]
    first_is_activity: bool
    uses_context: bool
    marks: tuple[str, ...]
    registered_as: str
    refs: tuple[Ref, ...]
    returns: tuple[str, ...]
    operations: tuple[Operation, ...]


class ClassFacts(msgspec.Struct, frozen=True, array_like=True):
    """One class: raw names of its bases, and of what its attributes hold, on the class or by `self.x = ...`."""

    name: str
    line: int
    bases: tuple[str, ...]
    attributes: dict[str, tuple[str, ...]]


class Registration(msgspec.Struct, frozen=True, array_like=True):
    """A function made a workflow or an activity by a call: `register_activity(f)`, `ctx.call_activity(f)`.

    Attributes:
        kind: `workflow` or `activity`.
        names: raw names of the function; several where a loop registers several.
        registered_as: the literal name given; empty for none.
        by_call: it is the target of an operation rather than registered.
    """

    kind: str
    names: tuple[str, ...]
    registered_as: str
    by_call: bool
    line: int


class Suppression(msgspec.Struct, frozen=True, array_like=True):
    """A comment `# tenuto: ignore[TEN101, TEN102] reason`.

    Attributes:
        line: of the comment, from 1.
        column: of the comment, from 0.
        rules: the ids, as written; empty for a comment without brackets, which suppresses nothing.
        reason: what follows; empty for none.
        first: first line that it holds for.
        last: last line that it holds for.
    """

    line: int
    column: int
    rules: tuple[str, ...]
    reason: str
    first: int
    last: int


class ModuleFacts(msgspec.Struct, frozen=True, array_like=True):
    """One module.

    Attributes:
        functions: by qualified name, all of them, the code at module level under the empty name.
        classes: by qualified name.
        names: raw names of what a name at module level holds.
        stars: modules of `from m import *`, as absolute names.
        imports: modules that are imported anywhere, as absolute names.
        registrations: in order.
        suppressions: in order.
        lines: how many lines the source has.
    """

    functions: dict[str, FunctionFacts]
    classes: dict[str, ClassFacts]
    names: dict[str, tuple[str, ...]]
    stars: tuple[str, ...]
    imports: tuple[str, ...]
    registrations: tuple[Registration, ...]
    suppressions: tuple[Suppression, ...]
    lines: int
