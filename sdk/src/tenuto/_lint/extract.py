"""From a parsed module to the facts that are kept of it."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterable, Iterator

from tenuto._lint.facts import (
    ClassFacts,
    FunctionFacts,
    ModuleFacts,
    Operation,
    Ref,
    Registration,
    Suppression,
)
from tenuto._lint.names import (
    OPERATIONS,
    REGISTRATIONS,
    REQUESTS,
    STANDARD,
    SUBJECT_POSITIONS,
    SUBJECTS,
)
from tenuto._lint.parse import Body, ClassBody, ParsedModule, last_name, marks_of
from tenuto._lint.scopes import Function, Scope, literal

_COMMENT = re.compile(r"#\s*tenuto:\s*ignore(?:\[([^\]]*)\])?[ \t]*(.*)$")


def extract(parsed: ParsedModule, text: str) -> ModuleFacts:
    """Return what is kept of a module.

    Args:
        parsed: the module.
        text: its source.
    """
    functions = {name: _function(parsed, body) for name, body in parsed.bodies.items()}
    return ModuleFacts(
        functions=functions,
        classes={name: _class(parsed, body) for name, body in parsed.classes.items()},
        names=_module_names(parsed),
        stars=parsed.stars,
        imports=parsed.imports,
        registrations=tuple(_registrations(parsed)),
        suppressions=tuple(suppressions(text, parsed)) if "tenuto:" in text else (),
        lines=text.count("\n") + 1,
    )


def _function(parsed: ParsedModule, body: Body) -> FunctionFacts:
    node = body.node
    returns = _returned(parsed, body)
    operations = tuple(_operations(parsed, body))
    refs = tuple(_refs(parsed, body))
    if isinstance(node, ast.Module):
        return FunctionFacts("", 1, False, False, False, "", (), False, False, (), "", refs, (), operations)
    marks = [(mark, decorator) for mark, decorator in marks_of(node) if _is_runtime(parsed, decorator, body)]
    first = body.parameters[0] if body.parameters else None
    return FunctionFacts(
        name=body.name,
        line=node.lineno,
        is_async=isinstance(node, ast.AsyncFunctionDef),
        is_generator=body.is_generator,
        is_property=any("property" in last_name(one) for one in node.decorator_list),
        owner=body.owner,
        parameters=tuple(one.arg for one in body.parameters),
        first_is_activity=first is not None and last_name(first.annotation).endswith("ActivityContext"),
        uses_context=body.uses_context,
        marks=tuple(mark for mark, _ in marks),
        registered_as=next((name for _, one in marks if (name := _keyword_literal(one, "name"))), ""),
        refs=refs,
        returns=returns,
        operations=operations,
    )


def _is_runtime(parsed: ParsedModule, decorator: ast.expr, body: Body) -> bool:
    """Whether what a decorator belongs to can be a runtime of this package, and not another library's object."""
    named = decorator.func if isinstance(decorator, ast.Call) else decorator
    if not isinstance(named, ast.Attribute):
        return False
    holders = parsed.resolver.names(named.value, body.scope.parent or parsed.scope)
    return not holders or any(may_be_runtime(one) for one in holders)


def may_be_runtime(raw: str) -> bool:
    """Whether a raw name can be a runtime: anything but a module or class of another library itself."""
    return raw.startswith(("?", "&")) or raw.endswith("()") or raw.partition(".")[0] not in _OTHERS


# Libraries whose own decorators are called `workflow` or `activity` too.
_OTHERS = frozenset(
    {"temporalio", "dbos", "prefect", "restate", "inngest", "hatchet_sdk", "zenml", "flytekit", "covalent"}
)


def _returned(parsed: ParsedModule, body: Body) -> tuple[str, ...]:
    node = body.node
    if isinstance(node, ast.Module) or body.is_generator:
        return ()
    if node.returns is not None:
        annotated = parsed.resolver.annotated(node.returns, body.scope.parent or parsed.scope)
        # What such an annotation says of the value is less than what the code returns.
        vague = ("builtins.", "typing.", "collections.abc.")
        useful = tuple(f"{one}()" for one in annotated if not one.startswith(vague))
        if useful:
            return useful
    found: dict[str, None] = {}
    for value in body.returns:
        found.update(dict.fromkeys(parsed.resolver.names(value, body.scope)))
    return tuple(found)


def _class(parsed: ParsedModule, body: ClassBody) -> ClassFacts:
    resolver = parsed.resolver
    outside = body.scope.parent or parsed.scope
    bases: list[str] = []
    for base in body.node.bases:
        bases += resolver.annotated(base, outside)
    attributes: dict[str, tuple[str, ...]] = {}
    for name, values in body.attributes.items():
        found: dict[str, None] = {}
        for kind, value, scope in values:
            if kind == "annotation":
                found.update((f"{one}()", None) for one in resolver.annotated(value, scope))
            else:
                found.update(dict.fromkeys(resolver.names(value, scope)))
        attributes[name] = tuple(found)
    return ClassFacts(body.name, body.node.lineno, tuple(bases), attributes)


def _module_names(parsed: ParsedModule) -> dict[str, tuple[str, ...]]:
    end = (1 << 30, 0)
    return {name: parsed.resolver.lookup(name, parsed.scope, end) for name in parsed.scope.bindings}


def _may_be_project(raw: str) -> bool:
    """Whether a raw name can lead to code of the project."""
    if raw[0] in "@?":
        return False
    return raw[0] == "&" or raw.partition(".")[0].removesuffix("()") not in STANDARD


def _refs(parsed: ParsedModule, body: Body) -> Iterator[Ref]:
    """What a body calls or hands on, wrappers around it included.

    What stands as target of an operation is left out, and what no replay runs: it cannot make one differ.
    """
    names = parsed.resolver.names
    # A function somewhere in a subject, as in `call_activity(name_of(f))`, is called by the worker.
    subjects = [subject for call, _ in body.calls if (subject := subject_of(call)) is not None]
    targets = {id(part) for subject in subjects for part in ast.walk(subject)}
    for call, scope in body.calls:
        for raw in names(call.func, scope) if body.is_replayed(call) else ():
            if _may_be_project(raw):
                yield Ref(raw, call.lineno, call.col_offset, True)
    for node, scope in body.loads:
        if id(node) not in targets and body.is_replayed(node):
            for raw in names(node, scope):
                if _may_be_project(raw) and not raw.endswith("()"):
                    yield Ref(raw, node.lineno, node.col_offset, False)
    for decorator in _wrapping(body):
        # Calling the function calls what its decorator made of it.
        for raw in names(decorator, body.scope.parent or parsed.scope):
            if _may_be_project(raw):
                yield Ref(f"{raw}()", decorator.lineno, decorator.col_offset, True)
    for used, scope, methods in body.used:
        for raw in names(used, scope) if body.is_replayed(used) else ():
            if _may_be_project(raw):
                yield from (Ref(f"{raw}.{one}", used.lineno, used.col_offset, False) for one in methods)


def _wrapping(body: Body) -> list[ast.expr]:
    """Decorators that a caller, or the worker, goes through: those below the one that registers the function."""
    if isinstance(body.node, ast.Module):
        return []
    decorators = body.node.decorator_list
    marks = {id(decorator) for _, decorator in marks_of(body.node)}
    last = max((number for number, one in enumerate(decorators) if id(one) in marks), default=-1)
    return decorators[last + 1 :]


def subject_of(call: ast.Call) -> ast.expr | None:
    """Return the argument that an operation, request or registration is about; None for other calls."""
    method = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    if method in REGISTRATIONS:
        return call.args[0] if call.args else keyword(call, "fn")
    if method not in SUBJECTS:
        return None
    position = SUBJECT_POSITIONS.get(method, 0)
    return call.args[position] if len(call.args) > position else keyword(call, SUBJECTS[method])


def keyword(call: ast.Call, name: str) -> ast.expr | None:
    """Return a keyword argument; None where it is not given."""
    return next((one.value for one in call.keywords if one.arg == name), None)


def _keyword_literal(node: ast.expr, name: str) -> str:
    value = keyword(node, name) if isinstance(node, ast.Call) else None
    return "" if value is None else literal(value)


def _operations(parsed: ParsedModule, body: Body) -> Iterator[Operation]:
    for call, scope in body.calls:
        found = operation_of(parsed, call, scope)
        if found is not None:
            yield found


def operation_of(parsed: ParsedModule, call: ast.Call, scope: Scope) -> Operation | None:
    """Return a call as an operation or request; None for other calls."""
    function = call.func
    method = function.attr if isinstance(function, ast.Attribute) else ""
    on_context = False
    if method not in OPERATIONS and method not in REQUESTS:
        if not isinstance(function, ast.Name) or function.id in _PLAIN:
            return None
        raw = parsed.resolver.names(function, scope)
        method = next((one.removeprefix("@ctx.") for one in raw if one.startswith("@ctx.")), "")
        if method not in OPERATIONS:
            return None
        on_context = True
    elif method in OPERATIONS:
        raw = parsed.resolver.names(function, scope)
        on_context = any(one.startswith("@ctx.") for one in raw)
    subject = _subject(call, method)
    names = () if subject is None else parsed.resolver.names(subject, scope)
    text = "" if subject is None else literal(subject)
    return Operation(method, text, names, call.lineno, call.col_offset, on_context)


_PLAIN = frozenset({"len", "print", "str", "int", "isinstance", "range", "dict", "list", "set", "tuple", "super"})


def _subject(call: ast.Call, method: str) -> ast.expr | None:
    if method not in SUBJECTS:
        return None
    position = SUBJECT_POSITIONS.get(method, 0)
    return call.args[position] if len(call.args) > position else keyword(call, SUBJECTS[method])


def _registrations(parsed: ParsedModule) -> Iterator[Registration]:
    """Functions that calls make workflows or activities, anywhere in the module."""
    for body in parsed.bodies.values():
        decorators: set[int] = set()
        for call, scope in body.calls:
            function = call.func
            method = function.attr if isinstance(function, ast.Attribute) else ""
            if method in REGISTRATIONS:
                yield from _registered(parsed, call, scope, REGISTRATIONS[method])
            elif method in ("call_activity", "call_child_workflow"):
                subject = _subject(call, method)
                kind = "activity" if method == "call_activity" else "workflow"
                names = () if subject is None else parsed.resolver.names(subject, scope)
                if names:
                    yield Registration(kind, names, "", True, call.lineno)
        del decorators


def _registered(parsed: ParsedModule, call: ast.Call, scope: Scope, kind: str) -> Iterable[Registration]:
    subject = subject_of(call)
    if subject is None or not isinstance(call.func, ast.Attribute):
        return ()
    holders = parsed.resolver.names(call.func.value, scope)
    if holders and not any(may_be_runtime(one) for one in holders):
        return ()
    names = parsed.resolver.names(subject, scope)
    return (Registration(kind, names, _keyword_literal(call, "name"), False, call.lineno),) if names else ()


def suppressions(text: str, parsed: ParsedModule | None) -> Iterator[Suppression]:
    """Return the comments that suppress rules, each with the lines it holds for.

    At the end of a line it holds for the statement there; alone on a line for the next statement; on a `def` line or
    the line before a definition for the whole function.
    """
    lines = text.splitlines()
    reach = _reaches(parsed)
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
    except (tokenize.TokenError, SyntaxError, IndentationError):
        return
    for token in tokens:
        match = _COMMENT.search(token.string) if token.type == tokenize.COMMENT else None
        if match is None:
            continue
        line, column = token.start
        alone = not lines[line - 1][:column].strip()
        target = _next_code(lines, line) if alone else line
        first, last = reach.get(target, (target, target))
        rules = tuple(one.strip() for one in (match[1] or "").split(",") if one.strip())
        yield Suppression(line, column, rules, match[2].strip(), first, last)


def _next_code(lines: list[str], line: int) -> int:
    for number in range(line + 1, len(lines) + 1):
        stripped = lines[number - 1].strip()
        if stripped and not stripped.startswith("#"):
            return number
    return line


def _reaches(parsed: ParsedModule | None) -> dict[int, tuple[int, int]]:
    """For each line the first and last line of its statement: of functions to the end, of other blocks none."""
    reach: dict[int, tuple[int, int]] = {}
    for node in ast.walk(parsed.tree) if parsed is not None else ():
        if isinstance(node, Function):
            first = min((one.lineno for one in node.decorator_list), default=node.lineno)
            header = range(first, node.lineno + 1)
        elif isinstance(node, ast.stmt) and not hasattr(node, "body"):
            first = node.lineno
            header = range(first, (node.end_lineno or first) + 1)
        else:
            continue
        reach.update((line, (first, node.end_lineno or node.lineno)) for line in header)
    return reach
