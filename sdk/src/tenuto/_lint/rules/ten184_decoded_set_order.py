"""TEN184: the order of a set that the SDK decodes from a payload."""

from __future__ import annotations

from tenuto._lint.kinds import Order
from tenuto._lint.order import order_check
from tenuto._lint.rule import Profile, Rule

RULE = Rule(
    id="TEN184",
    name="decoded-set-order",
    message="the order of a decoded set decides what follows",
    why="History records a list; the annotation makes a set of it in each replay, and its order depends on the hash "
    "seed of the process.",
    breaks="A replay asks for the same operations in another order: the instance stalls, or recorded results are given "
    "to the wrong members.",
    instead="Annotate the payload as list, which is what is recorded, or go through sorted(...).",
    profile=Profile.STRICT,
    check=order_check(Order.DECODED, what="a set decoded from a payload"),
)
