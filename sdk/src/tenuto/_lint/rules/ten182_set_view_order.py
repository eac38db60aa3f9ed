"""TEN182: the order of a frozen set, or of what operators make of dictionary views."""

from __future__ import annotations

from tenuto._lint.kinds import Order
from tenuto._lint.order import order_check
from tenuto._lint.rule import Profile, Rule

RULE = Rule(
    id="TEN182",
    name="set-view-order",
    message="the order of a set decides what follows",
    why="Frozen sets, and what &, |, - and ^ make of dictionary views, are hashed with a seed that each process draws "
    "for itself; they are read in another order after every restart.",
    breaks="A replay asks for the same operations in another order: the instance stalls, or recorded results are given "
    "to the wrong members.",
    instead="Go through sorted(...), or through one of the dictionaries, which keeps its order.",
    profile=Profile.STRICT,
    check=order_check(Order.VIEW, what="a set"),
)
