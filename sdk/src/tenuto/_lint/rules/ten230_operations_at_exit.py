"""TEN230: operations where code runs only because it was dropped."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tenuto._lint.handlers import catches
from tenuto._lint.rule import Hit, Rule
from tenuto._lint.view import FunctionView, ModuleView
from tenuto._lint.waits import asked, asked_at, walk_here


def _check(function: FunctionView) -> Iterator[Hit]:
    for node in function.nodes_of(ast.ExceptHandler):
        if node.type is not None and "builtins.GeneratorExit" in catches(function, node.type):
            yield from _operations(function, node.body)


def _operations(function: FunctionView, body: list[ast.stmt]) -> Iterator[Hit]:
    for statement in body:
        for node in walk_here(statement):
            one = asked_at(function, node)
            if one is not None:
                yield function.hit(node, f"{one.call.text}() is asked for while the code is being dropped")


def _check_module(module: ModuleView) -> Iterator[Hit]:
    for name in module.module.facts.functions:
        if name.rpartition(".")[2] == "__del__":
            function = module.function(name)
            for one in asked(function):
                message = f"{one.call.text}() is asked for when an object is collected as garbage"
                yield Hit(node=one.node, message=message, function=name)


RULE = Rule(
    id="TEN230",
    name="operations-at-exit",
    message="an operation is asked for while the code is being dropped",
    why="GeneratorExit and __del__ come from memory, not from the workflow: a live instance was dropped, and goes on "
    "by a replay. The context answers nothing any more.",
    breaks="The operation raises a signal and is recorded nowhere, neither at the drop nor at the end of the workflow.",
    instead="Use finally, or a handler of the error that calls for undoing: both are recorded when the block ends by "
    "itself.",
    check=_check,
    check_module=_check_module,
)
