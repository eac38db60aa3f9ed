"""Places where the order of a collection that has no fixed order decides something.

From each such collection the way of its members is followed outwards: through what keeps their order (`list`,
`enumerate`, a comprehension) to what forgets it (`sorted`, `set`, `sum`), which ends the way, or to what acts on it.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from tenuto._lint.finding import Fix, Severity
from tenuto._lint.kinds import Order, order_of
from tenuto._lint.memo import remembered
from tenuto._lint.rule import Hit
from tenuto._lint.view import FunctionView
from tenuto._lint.waits import asked_at, waits_in, walk_here

_KEEPS = frozenset(
    {
        "builtins.enumerate",
        "builtins.filter",
        "builtins.iter",
        "builtins.list",
        "builtins.map",
        "builtins.reversed",
        "builtins.tuple",
        "builtins.zip",
        "itertools.accumulate",
        "itertools.batched",
        "itertools.chain",
        "itertools.chain.from_iterable",
        "itertools.cycle",
        "itertools.islice",
        "itertools.pairwise",
        "itertools.zip_longest",
    }
)
FORGETS = frozenset(
    {
        "builtins.all",
        "builtins.any",
        "builtins.bool",
        "builtins.frozenset",
        "builtins.isinstance",
        "builtins.len",
        "builtins.max",
        "builtins.min",
        "builtins.set",
        "builtins.sorted",
        "builtins.sum",
        "builtins.type",
        "collections.Counter",
        "functools.reduce",
        "math.fsum",
        "statistics.fmean",
        "statistics.mean",
        "statistics.median",
        "statistics.stdev",
        "statistics.variance",
    }
)
_WRITES = frozenset({"json.dumps", "tenuto.when_any", "tenuto.workflow.when_any"})
_JOINS = frozenset(f"{module}.{name}" for module in ("tenuto", "tenuto.workflow") for name in ("when_all", "when_any"))
_PAIRS = frozenset({"builtins.enumerate", "builtins.zip"})
_VIEWS = frozenset({"items", "keys", "values"})
_GATHERS = frozenset({"append", "appendleft", "extend", "insert"})
# Looked at as comprehensions, wherever they stand.
_LISTINGS = (ast.ListComp, ast.GeneratorExp)


@dataclass(frozen=True, slots=True)
class Ordered:
    """One place where an order that is not fixed matters.

    Attributes:
        node: the collection, or the call that takes a member of it.
        order: why its order is not fixed.
        is_operation: whether it decides the order of operations.
        sortable: what to put `sorted(...)` around; None where that would not help.
        whole: what such a `sorted(...)` replaces: the collection, or the `list(...)` around it.
    """

    node: ast.expr
    order: Order
    is_operation: bool
    sortable: ast.expr | None
    whole: ast.expr | None


def order_check(*orders: Order, what: str) -> Callable[[FunctionView], Iterable[Hit]]:
    """Return the check of a rule on places where an order of these kinds matters; `what` names the collection."""

    def check(function: FunctionView) -> Iterator[Hit]:
        for place in ordered_places(function):
            if place.order in orders:
                yield _hit(function, place, what)

    return check


def _hit(function: FunctionView, place: Ordered, what: str) -> Hit:
    text = function.text_of(place.node)
    if place.sortable is None:
        message = f"{text} takes any member of {what}, in each process another one"
        return function.hit(place.node, message, severity=Severity.ERROR)
    decides = "the order of operations" if place.is_operation else "what follows"
    fix, instead = None, None
    if _holds_tasks(function, place):
        instead = "Keep tasks in a list, in the order in which they were asked for: tasks cannot be sorted."
    elif place.whole is not None and place.order is not Order.PROCESS:
        sorted_text = f"sorted({text})"
        fix = Fix(f"replace by {sorted_text}", (function.replace(place.whole, sorted_text),))
    severity = Severity.ERROR if place.is_operation else Severity.WARNING
    message = f"the order of {what} ({text}) decides {decides}"
    return function.hit(place.node, message, severity=severity, fix=fix, instead=instead)


def _holds_tasks(function: FunctionView, place: Ordered) -> bool:
    """Whether the members are tasks: what waits for them is given them all, or each in a loop."""
    at = place.whole or place.node
    match function.parent(at):
        case ast.Call() as call:
            return bool(_JOINS.intersection(function.names(call.func)))
        case ast.For(target=ast.Name(id=name)) as loop if loop.iter is at:
            waits = [one for body in loop.body for one in ast.walk(body) if isinstance(one, ast.Yield | ast.Await)]
            return any(isinstance(one.value, ast.Name) and one.value.id == name for one in waits)
        case _:
            return False


@remembered
def ordered_places(function: FunctionView) -> list[Ordered]:
    """Return the places of a function where an order that is not fixed matters, in the order of the text."""
    return list(_Places(function).find())


class _Places:
    def __init__(self, function: FunctionView, assumed: Mapping[str, Order] = MappingProxyType({})) -> None:
        self._function = function
        self._assumed = assumed

    def _order(self, node: ast.expr) -> Order | None:
        return order_of(self._function, node, assumed=self._assumed)

    def find(self) -> Iterator[Ordered]:
        for node in self._function.walk():
            match node:
                case ast.For() | ast.AsyncFor():
                    yield from self._of_loop(node)
                case ast.ListComp() | ast.GeneratorExp() | ast.SetComp() | ast.DictComp():
                    for generator in node.generators:
                        yield from self._of_comprehension(node, generator)
                case ast.Call():
                    yield from self._of_call(node)
                case ast.Starred(ctx=ast.Load()):
                    yield from self._of_star(node)
                case ast.Assign() if any(_takes_apart(one) for one in node.targets):
                    yield from self._hit(node.value, is_operation=False)
                case _:
                    pass

    # -- what takes members one by one

    def _of_loop(self, node: ast.For | ast.AsyncFor) -> Iterator[Ordered]:
        source = self._source(node.iter)
        if source is None:
            return
        if any(waits_in(self._function, one) for one in node.body):
            yield from self._hit(node.iter, is_operation=True)
        elif any(self._acts(one) for one in node.body):
            yield from self._hit(node.iter, is_operation=False)

    def _acts(self, node: ast.stmt) -> bool:
        """Whether a statement of a loop does something that depends on the order of the rounds."""
        for one in walk_here(node):
            if isinstance(one, ast.Return) and not (one.value is None or isinstance(one.value, ast.Constant)):
                return True
            if (
                isinstance(one, ast.Call)
                and isinstance(one.func, ast.Attribute)
                and one.func.attr in _GATHERS
                and self._is_read_in_order(one.func.value)
            ):
                return True
        return False

    def _of_comprehension(self, node: ast.expr, generator: ast.comprehension) -> Iterator[Ordered]:
        if self._source(generator.iter) is None:
            return
        if waits_in(self._function, node):
            yield from self._hit(generator.iter, is_operation=True)
        elif not isinstance(node, ast.SetComp | ast.DictComp):
            way = self._way(node)
            if way is not None:
                yield from self._hit(generator.iter, is_operation=way)

    def _of_call(self, node: ast.Call) -> Iterator[Ordered]:
        names = self._names(node)
        function = node.func
        if isinstance(function, ast.Attribute) and not node.keywords:
            if function.attr == "pop" and not node.args:
                order = self._order(function.value)
                if order is not None and not self._is_only_one(function.value):
                    yield Ordered(node, order, False, None, None)
                return
            if function.attr == "join" and len(node.args) == 1 and not isinstance(node.args[0], _LISTINGS):
                yield from self._hit(node.args[0], is_operation=False)
                return
        if not node.args or isinstance(node.args[0], _LISTINGS):
            return
        if names & {"builtins.list", "builtins.tuple"} and self._order(node.args[0]) is not None:
            way = self._way(node)
            if way is not None:
                yield from self._hit(node, is_operation=way)
        elif "builtins.dict.fromkeys" in names and self._order(node.args[0]) is not None:
            if self._is_gone_through(node):
                yield from self._hit(node.args[0], is_operation=True)
        elif names & _PAIRS and any(self._order(one) is not None for one in node.args):
            # Which member gets which number or partner is a matter of order, whatever becomes of the pairs.
            if not isinstance(self._function.parent(node), ast.For | ast.comprehension):
                yield from self._hit(node, is_operation=False)
        elif "builtins.next" in names:
            source = self._source(node.args[0])
            if source is not None and not self._is_only_one(source[0]):
                yield from self._hit(node.args[0], is_operation=False)
        elif names & _WRITES and self._order(node.args[0]) is not None:
            yield from self._hit(node.args[0], is_operation=bool(names & _WRITES - {"json.dumps"}))
        elif names & _JOINS and self._order(node.args[0]) is not None and self._is_used(node):
            # Results come in the order of the tasks.
            yield from self._hit(node.args[0], is_operation=False)
        elif not self._assumed:
            yield from self._passed_on(node)

    def _is_used(self, node: ast.Call) -> bool:
        """Whether what is waited for here is looked at."""
        wait = self._function.parent(node)
        return not (isinstance(wait, ast.Yield | ast.Await) and isinstance(self._function.parent(wait), ast.Expr))

    def _passed_on(self, node: ast.Call) -> Iterator[Ordered]:
        """Sets that a helper of the project takes without saying so, and uses in their order."""
        found = self._function.found(node.func, self._function.scope_of(node))
        view = self._function.view_of(found[0]) if len(found) == 1 else None
        if view is None or view is self._function or view.is_activity:
            return
        for parameter, given in zip(view.body.parameters, node.args, strict=False):
            if parameter.annotation is None and (order := self._order(given)) is not None:
                used = [
                    one for one in _Places(view, {parameter.arg: order}).find() if _mentions(one.node, parameter.arg)
                ]
                if used:
                    yield from self._hit(given, is_operation=any(one.is_operation for one in used))

    def _is_gone_through(self, node: ast.expr) -> bool:
        """Whether a dictionary is gone through to ask for operations, itself or by the variable that holds it."""
        parent = self._function.parent(node)
        names = [parent.targets[0]] if isinstance(parent, ast.Assign) and len(parent.targets) == 1 else []
        if not names or not isinstance(names[0], ast.Name):
            return isinstance(parent, ast.For) and any(waits_in(self._function, one) for one in parent.body)
        name = names[0].id
        loops = [(one.iter, one.body) for one in self._function.nodes_of(ast.For)]
        return any(
            _base_name(iterated) == name and any(waits_in(self._function, one) for one in body)
            for iterated, body in loops
        )

    def _of_star(self, node: ast.Starred) -> Iterator[Ordered]:
        parent = self._function.parent(node)
        if isinstance(parent, ast.List | ast.Tuple):
            way = self._way(parent)
        elif isinstance(parent, ast.Call) and self._is_of_project(parent):
            way = False
        else:
            return
        if way is not None:
            yield from self._hit(node.value, is_operation=way)

    # -- where an ordered collection goes

    def _way(self, node: ast.expr) -> bool | None:
        """Follow a list or iterator outwards: True if it reaches an operation, False if its order matters."""
        function = self._function
        at: ast.AST = node
        for parent in function.parents(node):
            match parent:
                case ast.Call() if at is not parent.func:
                    verdict = self._into_call(parent)
                    if verdict != "on":
                        return {"operation": True, "matters": False}.get(verdict)
                case ast.Return() | ast.Subscript(ctx=ast.Load()):
                    return False
                case ast.Assign(targets=[ast.Name() as target]) | ast.AnnAssign(target=ast.Name() as target):
                    return False if self._is_read_in_order(target) else None
                case (
                    ast.keyword() | ast.List() | ast.Tuple() | ast.Dict() | ast.IfExp() | ast.BoolOp() | ast.NamedExpr()
                ):
                    pass
                case _:
                    return None
            at = parent
        return None

    def _into_call(self, call: ast.Call) -> str:
        """What a call does with the order of an argument: `operation`, `matters`, `forgets`, or hands it `on`."""
        if asked_at(self._function, call) is not None:
            return "operation"
        names = self._names(call)
        if names & _KEEPS or "builtins.dict.fromkeys" in names:
            return "on"
        if isinstance(call.func, ast.Attribute) and call.func.attr == "join":
            return "matters"
        return "matters" if names & _WRITES else "forgets"

    def _is_read_in_order(self, node: ast.expr) -> bool:
        """Whether the members of a list in a variable are used in their order somewhere; never where it is sorted."""
        if not isinstance(node, ast.Name):
            return False
        uses = [one for one in ast.walk(self._function.node) if isinstance(one, ast.Name) and one.id == node.id]
        parents = [self._function.parent(one) for one in uses]
        if any(isinstance(one, ast.Attribute) and one.attr == "sort" for one in parents):
            return False
        return any(
            isinstance(use.ctx, ast.Load) and self._uses_order(use, parent)
            for use, parent in zip(uses, parents, strict=True)
        )

    def _uses_order(self, use: ast.Name, parent: ast.AST | None) -> bool:
        match parent:
            case ast.Return() | ast.Subscript() | ast.YieldFrom() | ast.Starred():
                return True
            case ast.For():
                return any(waits_in(self._function, one) or self._acts_plainly(one) for one in parent.body)
            case ast.comprehension():
                around = self._function.parent(parent)
                return isinstance(around, ast.expr) and (
                    waits_in(self._function, around)
                    or (isinstance(around, ast.ListComp | ast.GeneratorExp) and self._way(around) is not None)
                )
            case ast.Call():
                return self._into_call(parent) in ("operation", "matters")
            case ast.keyword() | ast.List() | ast.Tuple() | ast.Dict():
                return self._way(use) is not None
            case _:
                return False

    def _acts_plainly(self, node: ast.stmt) -> bool:
        """As `_acts`, without following the list that is filled: two lists that fill each other end here."""
        return any(isinstance(one, ast.Return) and one.value is not None for one in walk_here(node))

    # -- sources

    def _source(self, node: ast.expr) -> tuple[ast.expr, Order, ast.expr] | None:
        """The collection without order behind an expression that keeps its members' order, and what to replace."""
        order = self._order(node)
        if order is not None:
            return node, order, node
        if not isinstance(node, ast.Call):
            return None
        names = self._names(node)
        if not names & _KEEPS:
            return None
        for argument in node.args:
            inner = argument.value if isinstance(argument, ast.Starred) else argument
            found = self._source(inner)
            if found is not None:
                is_copy = bool(names & {"builtins.list", "builtins.tuple"}) and found[0] is inner
                return found[0], found[1], node if is_copy and "builtins.list" in names else found[2]
        return None

    def _hit(self, node: ast.expr, *, is_operation: bool) -> Iterator[Ordered]:
        source = self._source(node)
        if source is not None:
            yield Ordered(source[0], source[1], is_operation, source[0], source[2])

    def _names(self, call: ast.Call) -> frozenset[str]:
        return frozenset(self._function.names(call.func, self._function.scope_of(call)))

    def _is_of_project(self, call: ast.Call) -> bool:
        """Whether a call is one of the project's functions, which take arguments by position."""
        found = self._function.found(call.func, self._function.scope_of(call))
        return bool(found) and all(one.function is not None for one in found)

    def _is_only_one(self, node: ast.expr) -> bool:
        """Whether the function asks if a collection has just one member: then any member is that one."""
        text = ast.dump(node)
        return any(
            isinstance(one.left, ast.Call)
            and isinstance(one.left.func, ast.Name)
            and one.left.func.id == "len"
            and [ast.dump(argument) for argument in one.left.args] == [text]
            and isinstance(one.ops[0], ast.Eq | ast.NotEq | ast.Gt)
            and isinstance(one.comparators[0], ast.Constant)
            and one.comparators[0].value == 1
            for one in self._function.nodes_of(ast.Compare)
        )


def _base_name(node: ast.expr) -> str:
    """The variable that a loop goes through: `d`, `d.items()`."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _VIEWS:
        node = node.func.value
    return node.id if isinstance(node, ast.Name) else ""


def _mentions(node: ast.expr, name: str) -> bool:
    return any(isinstance(one, ast.Name) and one.id == name for one in ast.walk(node))


def _takes_apart(target: ast.expr) -> bool:
    """Whether an assignment's target takes several members by position."""
    return isinstance(target, ast.Tuple | ast.List) and (
        len(target.elts) > 1 or any(isinstance(one, ast.Starred) for one in target.elts)
    )
