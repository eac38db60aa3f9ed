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


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options that replay recorded histories as tests of their own; each is also a setting of the configuration."""
    group = parser.getgroup("tenuto", "recorded workflow histories")
    group.addoption(
        "--tenuto-histories",
        action="append",
        metavar="PLACE",
        help="Replay the exported histories in a file, folder or pattern; may be repeated.",
    )
    group.addoption("--tenuto-app", metavar="MODULE:RUNTIME", help="The code that they are replayed against.")
    group.addoption("--tenuto-perturb", action="store_true", help="Replay them in changed surroundings too.")
    parser.addini("tenuto_histories", "Files, folders or patterns of exported histories.", type="args")
    parser.addini("tenuto_app", "MODULE:RUNTIME that they are replayed against.")


def _places(config: pytest.Config) -> list[str]:
    found: list[str] = config.getoption("tenuto_histories") or config.getini("tenuto_histories")
    return found


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Runs a test that takes `tenuto_history` once for each recorded history, by its path."""
    if "tenuto_history" in metafunc.fixturenames:
        from tenuto.testing.histories import found

        files = found(_places(metafunc.config))
        metafunc.parametrize("tenuto_history", files, ids=[path.stem for path in files])


def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    """Adds a test for each recorded history, where the application is named too."""
    places, app = _places(config), config.getoption("tenuto_app") or config.getini("tenuto_app")
    if places and app:
        from tenuto.testing.histories import history_items

        items += history_items(session, places, app, perturb=bool(config.getoption("tenuto_perturb")))


@pytest.fixture
def workflow_env() -> Iterator[MakeEnvironment]:
    """Makes workflow environments: `workflow_env(runtime)`, with the arguments of `WorkflowEnvironment`.

    At the end of the test each is checked and closed, as at the end of a `with` block.
    """
    from tenuto.testing.plugin import environments

    with environments() as make:
        yield make
