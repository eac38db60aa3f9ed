"""Who looks on while an execution is replayed: what it is told, in the order in which things happen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from tenuto._replay.actions import Action
    from tenuto._replay.events import Event
    from tenuto._replay.stepping import SteppedCode


class Observer(Protocol):
    """Told of every event applied and of all that the code asks for; it must change nothing."""

    def applying(self, event: Event) -> None:
        """History's next event is about to be applied."""
        ...

    def applied(self, event: Event, code: SteppedCode) -> None:
        """It was, and the code waits again or has ended. Not called where it differs from what the code asked for."""
        ...

    def asked(self, action: Action) -> None:
        """The code asks for an operation, or ends; `action` has the number that history must confirm."""
        ...

    def showed(self, custom_status: bytes) -> None:
        """The code sets its custom status."""
        ...
