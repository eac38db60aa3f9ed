"""The `ctx.is_patched(...)` snippet that keeps old instances going beside a changed line.

It is made from the text of the file as it stands now, so that it can be pasted: the statement that asks for the
operation is kept in one branch, and the other asks for what history records. Old executions reach the old branch only
while they replay it, or again in a loop; so its inputs matter in loops alone.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from copy import deepcopy
from typing import Any, Final

import msgspec

from tenuto._replay import events
from tenuto._replay.changes import Change, Kind
from tenuto._replay.comparison import ENDINGS, key_of
from tenuto._replay.scene import Recorded, Scene

_ASKING: Final = ("call_activity", "create_timer", "call_child_workflow", "raise_event", "wait_for_external_event")
_COMPREHENSIONS: Final = (ast.ListComp, ast.SetComp, ast.GeneratorExp, ast.DictComp, ast.Lambda)
_PLAIN: Final = frozenset({"str", "int", "float", "bool", "None", "Any", "dict", "list"})
MANY: Final = 1_000_000
_LOOPS: Final = (ast.For, ast.While, ast.AsyncFor)
_MOST_LINES: Final = 40
_MOST_OPERATIONS: Final = 8


class Snippet(msgspec.Struct, frozen=True):
    """Lines of code, and where they go: "in place of line 7 of shop/orders.py". `note`: what else to see to."""

    where: str
    lines: list[str]
    note: str = ""


class _Place(msgspec.Struct):
    """A statement in the text of a file, and the function that it is in."""

    lines: list[str]
    statement: ast.stmt
    siblings: list[ast.stmt]
    is_async: bool
    is_in_loop: bool
    context: str

    @property
    def indent(self) -> str:
        return self.lines[self.statement.lineno - 1][: self.statement.col_offset]

    def text_of(self, statement: ast.stmt) -> list[str]:
        """A statement's lines, without the indentation of its block."""
        found = self.lines[statement.lineno - 1 : statement.end_lineno]
        return [line[len(self.indent) :] if line.startswith(self.indent) else line for line in found]


class Branch(msgspec.Struct, frozen=True):
    """An `if`: where it stands, its condition, and the arm that the code did not take."""

    source: str
    condition: str
    place: _Place
    other: list[ast.stmt]


def make_snippet(scene: Scene, change: Change, text: str, source: str) -> Snippet | None:
    """The patch for a change at `source` ("folder/file.py:12"), a line of the file `text`; None where none can be made.

    Raises:
        SyntaxError, ValueError, RecursionError: the text is no Python that can be read.
    """
    file, _, number = source.rpartition(":")
    is_end = isinstance(scene.difference.attempted, ENDINGS)
    place = _find_end(text, scene) if is_end else _find(text, int(number))
    if place is None:
        return None
    name = _patch_name(scene, change, text)
    head = f"if {place.context}.is_patched({name}):"
    here = _lines_text(place.statement, place.statement, file)
    match change.kind:
        case Kind.RENAMED | Kind.REPLACED | Kind.ADDED | Kind.REMOVED if value := _computed(place, scene):
            lines, note = _by_hand(place, head)
            note = f"put what old instances need in place of `...`: what it calls is the value of `{value}`"
        case Kind.RENAMED | Kind.REPLACED:
            lines, note = _replaced(place, scene, head, change.gone[0])
        case Kind.ADDED:
            lines, note = _added(place, head)
        case Kind.REMOVED if _lost_timeout(place.statement, change.gone):
            lines, note = _without_timeout(place, head)
        case Kind.REMOVED if _is_under_way(place, scene, file):
            lines, note = _by_hand(place, head)
        case Kind.REMOVED if scene.difference.attempted is None and scene.went_on_unasked(change.gone[0]):
            # What it waits for now is new: the code that wrote history did not wait here.
            lines = _branches(
                head, place.text_of(place.statement), [_operation_text(place, scene, each) for each in change.gone]
            )
            note = _loop_note(place)
        case Kind.REMOVED:
            is_behind = is_end and not isinstance(place.statement, ast.Return)
            if (round_end := _round_end(place, scene, text, file)) is not None:
                place, is_behind = round_end, True
                here = _lines_text(place.statement, place.statement, file)
            head = f"if not {place.context}.is_patched({name}):"
            lines, note = _removed(place, scene, head, change.gone[:_MOST_OPERATIONS])
            return _indented(place, f"{'behind' if is_behind else 'before'} {here}", lines, note)
        case Kind.REORDERED if (last := _statement_of(place, change)) is not None:
            return _indented(
                place, f"in place of {_lines_text(place.statement, last, file)}", *_moved(place, head, last)
            )
        case _:
            lines, note = _by_hand(place, head)
    return _indented(place, f"in place of {here}", lines, note)


def _indented(place: _Place, where: str, lines: list[str], note: str) -> Snippet | None:
    return Snippet(where, [place.indent + line for line in lines], note) if 0 < len(lines) <= _MOST_LINES else None


def _lines_text(first: ast.stmt, last: ast.stmt, file: str) -> str:
    end = last.end_lineno or last.lineno
    return f"line {first.lineno} of {file}" if end == first.lineno else f"lines {first.lineno} to {end} of {file}"


def count_later(scene: Scene, text: str, source: str, key: tuple[str, str]) -> int | None:
    """How often the function asks for an operation behind the line `source`; in a loop it counts as `MANY`.

    None where its text cannot tell: the line is in a helper, a helper is called behind it, or a target is a variable.

    Args:
        scene: the difference.
        text: the file.
        source: the line, as "folder/file.py:12".
        key: kind and name of the operation.

    Raises:
        SyntaxError, ValueError, RecursionError: the text is no Python that can be read.
    """
    line = int(source.rpartition(":")[2])
    code: Any = getattr(inspect.unwrap(scene.function), "__code__", None)
    function = None if code is None else _function_of(ast.parse(text), code)
    if function is None or not _holds(function, line):
        return None
    loops = [node for node in ast.walk(function) if isinstance(node, _LOOPS)]
    begins = min((loop.lineno for loop in loops if _holds(loop, line)), default=line + 1)
    known: dict[str, Any] = inspect.unwrap(scene.function).__globals__
    count = 0
    for node in ast.walk(function):
        if getattr(node, "lineno", 0) < begins:
            continue
        if isinstance(node, ast.YieldFrom) or (isinstance(node, ast.Await) and not _asking(node)):
            return None
        if isinstance(node, ast.Call) and _asking_call(node):
            found = _matches(node, *key, known)
            if found is None:
                return None
            repeats = any(_holds(loop, node.lineno) for loop in loops)
            count += found * (MANY if repeats else 1)
    return count


def _matches(call: ast.Call, kind: str, name: str, known: dict[str, Any]) -> bool | None:
    """Whether a call asks for an operation; None where its target is known at run time alone."""
    if kind == "timer":
        return _asks_for_timer(call)
    target = _target(call)
    if target is None:
        return False
    if isinstance(target, ast.Constant):
        return target.value == name
    if not isinstance(target, ast.Name) or target.id not in known:
        return None
    return getattr(known[target.id], "__tenuto_name__", target.id) == name


def _holds(node: ast.stmt, line: int) -> bool:
    return node.lineno <= line <= (node.end_lineno or 0)


def find_branch(scene: Scene, text: str, source: str) -> Branch | None:
    """The `if` around the line that asks for something else, whose other arm asks for what is recorded; else None.

    Raises:
        SyntaxError, ValueError, RecursionError: the text is no Python that can be read.
    """
    recorded = scene.difference.recorded
    if recorded is None:
        return None
    file, _, number = source.rpartition(":")
    line, (kind, name), best = int(number), key_of(recorded), None
    for body, function, is_in_loop in _bodies(ast.parse(text), None, is_in_loop=False):
        for statement in body:
            if not isinstance(statement, ast.If) or function is None:
                continue
            arms = [statement.body, statement.orelse]
            taken = [any(each.lineno <= line <= (each.end_lineno or 0) for each in arm) for arm in arms]
            other = arms[taken.index(False)] if any(taken) else []
            if any(_is_call_of(call, kind, name) for each in other for call in _asking(each)):
                place = _place(text, statement, body, function, is_in_loop=is_in_loop)
                best = Branch(f"{file}:{statement.lineno}", ast.unparse(statement.test), place, other)
    return best


def branch_snippet(scene: Scene, branch: Branch, text: str) -> Snippet | None:
    """The patch for a branch that is new: old instances go where they went without it."""
    place = branch.place
    if any(map(_is_long_text, ast.walk(place.statement))):
        return None
    head = f"if {place.context}.is_patched({_patch_name(scene, Change(Kind.REPLACED), text)}):"
    inner = place.lines[branch.other[0].lineno - 1][: branch.other[0].col_offset]
    old = place.lines[branch.other[0].lineno - 1 : branch.other[-1].end_lineno]
    old = [line[len(inner) :] if line.startswith(inner) else line for line in old]
    where = _lines_text(place.statement, place.statement, branch.source.rpartition(":")[0])
    return _indented(place, f"in place of {where}", _branches(head, place.text_of(place.statement), old), "")


# -- finding the statement


def _find(text: str, line: int) -> _Place | None:
    """The simple statement at a line, if it stands alone on its lines and can be indented further."""
    best: _Place | None = None
    for body, function, is_in_loop in _bodies(ast.parse(text), None, is_in_loop=False):
        for statement in body:
            if function is not None and statement.lineno <= line <= (statement.end_lineno or 0):
                best = _place(text, statement, body, function, is_in_loop=is_in_loop)
    if best is None or _blocks(best.statement) or any(map(_is_long_text, ast.walk(best.statement))):
        return None
    last = best.lines[(best.statement.end_lineno or 1) - 1]
    behind = last.encode()[best.statement.end_col_offset :].decode().strip()
    return None if best.indent.strip() or (behind and not behind.startswith("#")) else best


def _round_end(place: _Place, scene: Scene, text: str, file: str) -> _Place | None:
    """The statement that asked last, if the code came round a loop since: what is gone stood behind it."""
    if not place.is_in_loop or not scene.confirmed:
        return None
    source: str = getattr(scene.confirmed[-1], "source", "")
    last_file, _, number = source.rpartition(":")
    if last_file != file or int(number) < place.statement.lineno:
        return None
    last = _find(text, int(number))
    return last if last is not None and last.is_in_loop else None


def _is_under_way(place: _Place, scene: Scene, file: str) -> bool:
    """Whether the statement has asked for the operation before the difference, which was not waited for: a fan-out."""
    before, _ = scene.operations()
    if not before or scene.is_waited_for(before[-1]) or not scene.confirmed:
        return False
    source: str = getattr(scene.confirmed[-1], "source", "")
    last_file, _, number = source.rpartition(":")
    return last_file == file and _holds(place.statement, int(number))


def _find_end(text: str, scene: Scene) -> _Place | None:
    """The last statement of the workflow function."""
    code: Any = getattr(inspect.unwrap(scene.function), "__code__", None)
    node = None if code is None else _function_of(ast.parse(text), code)
    return None if node is None else _place(text, node.body[-1], node.body, node, is_in_loop=False)


def _function_of(tree: ast.Module, code: Any) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
    """The definition that a code object was made of."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name == code.co_name:
            first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
            if first == code.co_firstlineno:
                return node
    return None


def _place(text: str, statement: ast.stmt, body: list[ast.stmt], function: ast.AST, *, is_in_loop: bool) -> _Place:
    lines = text.replace("\r\n", "\n").split("\n")
    is_async = isinstance(function, ast.AsyncFunctionDef)
    return _Place(lines, statement, body, is_async, is_in_loop, _context_of(statement, function))


def _is_long_text(node: ast.AST) -> bool:
    """A text over several lines, which another indentation would change."""
    is_text = isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))
    return is_text and getattr(node, "end_lineno", None) != getattr(node, "lineno", None)


def _bodies(
    node: ast.AST, function: ast.AST | None, *, is_in_loop: bool
) -> Iterator[tuple[list[ast.stmt], ast.AST | None, bool]]:
    """Every block of statements, outer ones first, with the function around it."""
    for body in _blocks(node):
        yield body, function, is_in_loop
        for statement in body:
            is_function = isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef))
            loops = is_in_loop or isinstance(statement, _LOOPS)
            yield from _bodies(statement, statement if is_function else function, is_in_loop=loops and not is_function)


def _blocks(node: ast.AST) -> list[list[ast.stmt]]:
    parts: list[Any] = [*getattr(node, "handlers", []), *getattr(node, "cases", [])]
    bodies: list[Any] = [getattr(node, name, None) for name in ("body", "orelse", "finalbody")]
    bodies += [part.body for part in parts]
    return [body for body in bodies if body and isinstance(body, list)]  # a lambda's body is no block


def _asking(node: ast.AST) -> list[ast.Call]:
    """Calls of a context's operations inside a statement."""
    return [each for each in ast.walk(node) if isinstance(each, ast.Call) and _asking_call(each)]


def _asking_call(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Attribute) and call.func.attr in _ASKING


def _context_of(statement: ast.stmt, function: ast.AST) -> str:
    for call in _asking(statement):
        assert isinstance(call.func, ast.Attribute)
        return ast.unparse(call.func.value)
    arguments: Any = getattr(function, "args", None)
    names = [each.arg for each in (*arguments.posonlyargs, *arguments.args)] if arguments is not None else []
    return next((name for name in names if name not in ("self", "cls")), "ctx")


# -- the kinds of change


def _branches(head: str, then: list[str], otherwise: list[str]) -> list[str]:
    lines = [head, *(f"    {line}" if line.strip() else line for line in then)]
    return [*lines, "else:", *(f"    {line}" if line.strip() else line for line in otherwise)] if otherwise else lines


def _replaced(place: _Place, scene: Scene, head: str, gone: Recorded) -> tuple[list[str], str]:
    now = place.text_of(place.statement)
    calls = _asking(place.statement)
    if len(calls) != 1 or any(isinstance(each, _COMPREHENSIONS) for each in ast.walk(place.statement)):
        return _by_hand(place, head)
    kind, name = key_of(gone.event)
    target = _target(calls[0])
    if key_of(scene.asked[0])[0] != kind or target is None:
        return _branches(head, now, [_operation_text(place, scene, gone)]), _loop_note(place)
    start, end = target.lineno - 1, (target.end_lineno or 1) - 1
    lines = list(place.lines)
    behind = lines[end].encode()[target.end_col_offset :].decode()
    before = lines[start].encode()[: target.col_offset].decode()
    lines[start : end + 1] = [before + _quoted(name) + _result_type(place, target, calls[0]) + behind]
    removed = end - start
    old = lines[place.statement.lineno - 1 : (place.statement.end_lineno or 1) - removed]
    old = [line[len(place.indent) :] if line.startswith(place.indent) else line for line in old]
    return _branches(head, now, old), f"keep {kind} '{name}' registered until no old instance needs it"


def _result_type(place: _Place, target: ast.expr, call: ast.Call) -> str:
    """A call by name has no annotation to decode its result by, so it takes that of the function called now."""
    if not isinstance(target, ast.Name) or any(each.arg == "result_type" for each in call.keywords):
        return ""
    for node in ast.walk(ast.parse("\n".join(place.lines))):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name == target.id and node.returns:
            text = ast.unparse(node.returns)
            return "" if text in _PLAIN or isinstance(node.returns, ast.Constant) else f", result_type={text}"
    return ""


def _target(call: ast.Call) -> ast.expr | None:
    """What a call names: an activity, a child workflow, an event; None for timers."""
    assert isinstance(call.func, ast.Attribute)
    position = {"call_activity": 0, "call_child_workflow": 0, "raise_event": 1}.get(call.func.attr)
    if position is None:
        return None
    if len(call.args) > position:
        return call.args[position]
    return next((each.value for each in call.keywords if each.arg in ("activity", "workflow", "name")), None)


def _added(place: _Place, head: str) -> tuple[list[str], str]:
    statement = place.statement
    if _is_wait(statement):
        old = ast.unparse(_with_timeout(statement, None)).split("\n")
        return _branches(head, place.text_of(statement), old), "the old branch waits for the event without a timeout"
    if len(_asking(statement)) != 1 or any(isinstance(each, _COMPREHENSIONS) for each in ast.walk(statement)):
        return _by_hand(place, head)
    if isinstance(statement, ast.Return):
        return _by_hand(place, head)
    targets: list[ast.expr] = []
    if isinstance(statement, ast.Assign):
        targets = statement.targets
    elif isinstance(statement, (ast.AnnAssign, ast.AugAssign)):
        targets = [statement.target]
    names = [each.id for each in targets if isinstance(each, ast.Name)]
    if len(names) != len(targets) or isinstance(statement, ast.AugAssign):
        return _by_hand(place, head)
    return _branches(head, place.text_of(statement), [f"{name} = None" for name in names]), ""


def _is_wait(statement: ast.stmt) -> bool:
    """Whether a statement waits for one event and asks for nothing else; its timeout is a timer in history."""
    calls = _asking(statement)
    return len(calls) == 1 and isinstance(calls[0].func, ast.Attribute) and calls[0].func.attr == _ASKING[-1]


def _with_timeout(statement: ast.stmt, timeout: ast.expr | None) -> ast.stmt:
    """The statement with its wait for an event limited so, or not at all."""
    changed = deepcopy(statement)
    call = _asking(changed)[0]
    call.keywords = [each for each in call.keywords if each.arg != "timeout"]
    if timeout is not None:
        call.keywords.append(ast.keyword("timeout", timeout))
    return changed


def _lost_timeout(statement: ast.stmt, gone: list[Recorded]) -> bool:
    """Whether a wait for an event is asked for without the timer that history has in its place."""
    return _is_wait(statement) and [key_of(each.event)[0] for each in gone] == ["timer"]


def _without_timeout(place: _Place, head: str) -> tuple[list[str], str]:
    """A wait for an event, with and without its timeout."""
    moment = ast.parse(f"{place.context}.current_utc_datetime", mode="eval").body
    old = ast.unparse(_with_timeout(place.statement, moment)).split("\n")
    return _branches(head, place.text_of(place.statement), old), "old instances still raise TimeoutError here"


def _removed(place: _Place, scene: Scene, head: str, gone: list[Recorded]) -> tuple[list[str], str]:
    lines = _branches(head, [_operation_text(place, scene, each) for each in gone], [])
    names = ", ".join(f"{kind} '{name}'" for kind, name in map(_key, gone) if kind in ("activity", "child workflow"))
    keep = f"keep {names} registered until no old instance needs it" if names else ""
    return lines, "; ".join(filter(None, (keep, _loop_note(place))))


def _key(recorded: Recorded) -> tuple[str, str]:
    return key_of(recorded.event)


def _loop_note(place: _Place) -> str:
    return "in a loop old instances ask for it again: give it the input it had" if place.is_in_loop else ""


def _statement_of(place: _Place, change: Change) -> ast.stmt | None:
    """The later statement of the same block that asks for the operation recorded here, if each asks for one alone."""
    if not change.gone or len(_asking(place.statement)) != 1:
        return None
    kind, name = key_of(change.gone[0].event)
    begins = place.siblings.index(place.statement) + 1
    for statement in place.siblings[begins:]:
        calls = _asking(statement)
        if len(calls) == 1 and not _blocks(statement) and _is_call_of(calls[0], kind, name):
            return None if isinstance(statement, ast.Return) else statement
    return None


def _asks_for_timer(call: ast.Call) -> bool:
    """Whether it makes a timer: itself, or as the timeout of a wait."""
    assert isinstance(call.func, ast.Attribute)
    has_timeout = any(each.arg == "timeout" for each in call.keywords)
    return call.func.attr == "create_timer" or (call.func.attr == "wait_for_external_event" and has_timeout)


def _is_call_of(call: ast.Call, kind: str, name: str) -> bool:
    target = _target(call)
    if kind == "timer":
        return _asks_for_timer(call)
    if isinstance(target, ast.Constant):
        return target.value == name
    return target is not None and ast.unparse(target).rpartition(".")[2] == name


def _moved(place: _Place, head: str, last: ast.stmt) -> tuple[list[str], str]:
    """Both orders: as it stands now, and with the recorded operation first."""
    begins, ends = place.siblings.index(place.statement), place.siblings.index(last)
    between = [place.text_of(each) for each in place.siblings[begins:ends]]
    now = [*(line for part in between for line in part), *place.text_of(last)]
    old = [*place.text_of(last), *(line for part in between for line in part)]
    return _branches(head, now, old), ""


def _computed(place: _Place, scene: Scene) -> str:
    """The expression that names what the statement asks for, where one line may ask for this and that; else empty."""
    name = getattr(scene.difference.attempted, "name", None)
    known: dict[str, Any] = getattr(inspect.unwrap(scene.function), "__globals__", {})
    for target in filter(None, map(_target, _asking(place.statement))):
        text = ast.unparse(target)
        is_fixed = isinstance(target, ast.Constant) or text.rpartition(".")[2] == name or text in known
        if name is not None and not is_fixed:
            return text
    return ""


def _by_hand(place: _Place, head: str) -> tuple[list[str], str]:
    """Both forms are needed, and the old one is known to its author alone."""
    now = place.text_of(place.statement)
    note = "put the statement as it was in place of `...`: it asks for several operations, or its form cannot be told"
    return _branches(head, now, ["...  # as it was when history was recorded"]), note


# -- code


def _operation_text(place: _Place, scene: Scene, recorded: Recorded) -> str:
    """A line that asks for a recorded operation again."""
    event, context = recorded.event, place.context
    wait = ("await " if place.is_async else "yield ") if scene.is_waited_for(recorded) else ""
    match event:
        case events.ActivityScheduled():
            return f"{wait}{context}.call_activity({_quoted(event.name)})"
        case events.ChildCreated():
            return f"{wait}{context}.call_child_workflow({_quoted(event.name)})"
        case events.EventSent():
            return f"{context}.raise_event({_quoted(event.instance_id)}, {_quoted(event.name)})"
        case events.TimerCreated():
            # A moment that has passed: a replay never waits for it, and it needs no import.
            return f"{wait}{context}.create_timer({context}.current_utc_datetime)"
        case _:
            return "return"


def _quoted(text: str) -> str:
    double = '"' + repr(text)[1:-1].replace('"', '\\"') + '"'
    return double if "'" not in text else repr(text)


def _patch_name(scene: Scene, change: Change, text: str) -> str:
    """A name for the change that the file does not use yet, quoted."""
    recorded, attempted = scene.difference.recorded, scene.difference.attempted
    was, now = _word(recorded), _word(attempted)
    name = {
        Kind.RENAMED: f"{was}-to-{now}",
        Kind.REPLACED: f"{was}-to-{now}",
        Kind.ADDED: f"with-{now}",
        Kind.REMOVED: f"without-{was}",
        Kind.REORDERED: f"{now}-before-{was}" if was else f"{now}-earlier",
    }.get(change.kind, f"{was}-changed")
    name = re.sub(r"[^\w.-]+", "-", name)[:100]
    taken = {f'"{name}"', f"'{name}'"}
    number = 2
    while any(each in text for each in taken):
        taken = {f'"{name}-{number}"', f"'{name}-{number}'"}
        number += 1
    return _quoted(name if number == 2 else f"{name}-{number - 1}")


def _word(operation: Any) -> str:
    if operation is None:
        return ""
    if isinstance(operation, ENDINGS):
        return "end"
    return str(getattr(operation, "name", "timer"))
