"""TEN183: collections that hold what the process happens to hold."""

from __future__ import annotations

from tenuto._lint.finding import Severity
from tenuto._lint.kinds import Order
from tenuto._lint.order import order_check
from tenuto._lint.rule import Profile, Rule

RULE = Rule(
    id="TEN183",
    name="process-collections",
    message="a collection of the process decides what follows",
    why="Its content and order depend on which modules were imported first, what was collected as garbage, and which "
    "packages are installed.",
    breaks="A replay in another process asks for other operations, or for the same in another order, and the instance "
    "stalls.",
    instead="Name the members in the code, or take them from the input or an activity.",
    severity=Severity.WARNING,
    profile=Profile.STRICT,
    check=order_check(Order.PROCESS, what="a collection of the process"),
)
