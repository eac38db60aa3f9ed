"""TEN181: the order of a set."""

from __future__ import annotations

from tenuto._lint.kinds import Order
from tenuto._lint.order import order_check
from tenuto._lint.rule import Rule

RULE = Rule(
    id="TEN181",
    name="set-order",
    message="the order of a set decides what follows",
    why="Text and objects are hashed with a seed that each process draws for itself, so a set is read in another order "
    "after every restart.",
    breaks="A replay asks for the same operations in another order: the instance stalls, or recorded results are given "
    "to the wrong members.",
    instead="Go through sorted(...), or drop duplicates by dict.fromkeys(...), which keeps the order they came in.",
    check=order_check(Order.SET, what="a set"),
)
