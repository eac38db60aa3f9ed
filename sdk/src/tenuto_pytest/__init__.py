"""What pytest loads at every start where tenuto is installed: names alone.

A package of its own, because importing any module of `tenuto` imports all of it: a test run that uses nothing of it
must not wait for that. What the fixtures do is in `tenuto.testing.plugin`, imported when the first is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tenuto.testing.plugin import MakeEnvironment


@pytest.fixture
def workflow_env() -> Iterator[MakeEnvironment]:
    """Makes workflow environments: `workflow_env(runtime)`, with the arguments of `WorkflowEnvironment`.

    At the end of the test each is checked and closed, as at the end of a `with` block.
    """
    from tenuto.testing.plugin import environments

    with environments() as make:
        yield make
