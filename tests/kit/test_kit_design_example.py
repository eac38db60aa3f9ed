"""The example of a design for determinism keeps each promise that its text makes."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest

import tenuto as wf
from tenuto.testing import WorkflowEnvironment

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "design.py"
# A winter's day: Vienna is an hour ahead of UTC, Auckland thirteen.
DAWN = datetime(2030, 1, 15, 6, tzinfo=UTC)


@pytest.fixture(scope="module")
def design() -> Iterator[Any]:
    """The example's module, by a name of its own, as annotations in it need."""
    spec = importlib.util.spec_from_file_location("example_design", EXAMPLE)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def unavailable() -> HTTPError:
    """What the price API raises while it is down."""
    return HTTPError("http://prices", 503, "down", None, None)  # type: ignore[arg-type]  # headers may be missing


@pytest.mark.parametrize(
    ("at", "zone", "warehouse"),
    [
        (DAWN, "UTC", "north, same day"),
        (DAWN + timedelta(hours=7), "UTC", "south, next day"),
        (DAWN + timedelta(hours=5, minutes=30), "UTC", "north, same day"),
        (DAWN + timedelta(hours=5, minutes=30), "Europe/Vienna", "south, next day"),
        (DAWN, "Pacific/Auckland", "south, next day"),
    ],
)
def test_the_route_follows_the_hour_of_the_shop(design: Any, at: datetime, zone: str, warehouse: str) -> None:
    """Morning goes north and afternoon south, by the clock of the shop and not of the machine."""
    with WorkflowEnvironment(design.wfr, now=at) as env:
        env.fake_activity(design.current_price, returns=Decimal("3.20"))
        placed = env.run(design.place_order, input=design.Order("coffee", 3, zone))
        assert (placed.warehouse, placed.total) == (warehouse, Decimal("9.60"))


def test_the_route_of_the_morning_is_kept_until_the_afternoon(design: Any) -> None:
    """Placed in the morning, priced in the afternoon, replayed from history then: the morning's route."""
    with WorkflowEnvironment(design.wfr, now=DAWN) as env:
        env.fake_activity(design.current_price, sequence=[*(unavailable() for _ in range(8)), Decimal(2)])
        instance = env.start(design.place_order, input=design.Order("tea", 1))
        env.advance(timedelta(seconds=100))
        env.crash_worker()
        placed = instance.result()
        assert placed.warehouse == "north, same day"
        assert env.now - DAWN == timedelta(seconds=255)  # 1 + 2 + 4 + ... + 128
        instance.assert_activity_called(design.current_price, times=1, attempts=9)


def test_a_price_that_cannot_be_had_fails_the_order_after_all_attempts(design: Any) -> None:
    """Retries live in the policy: ten attempts, and nothing is shipped."""
    with WorkflowEnvironment(design.wfr) as env:
        env.fake_activity(design.current_price, raises=unavailable())
        instance = env.start(design.place_order, input=design.Order("tea", 1))
        with pytest.raises(wf.WorkflowFailed, match="503"):
            instance.result()
        instance.assert_activity_called(design.current_price, times=1, attempts=10)
        instance.assert_activity_not_called(design.ship)


def test_the_real_activity_asks_the_api(design: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against a server on this machine that fails once, as the program starts it."""
    with design.ThreadingHTTPServer(("127.0.0.1", 0), design.PriceApi) as api:
        serving = design.threading.Thread(target=api.serve_forever, daemon=True)
        serving.start()
        monkeypatch.setenv("PRICE_API", f"http://127.0.0.1:{api.server_port}")
        monkeypatch.setattr(design.PriceApi, "answered", 0)
        with WorkflowEnvironment(design.wfr) as env:
            instance = env.start(design.place_order, input=design.Order("coffee", 2))
            assert instance.result().total == Decimal("6.40")
            instance.assert_activity_called(design.current_price, times=1, attempts=2)
        api.shutdown()
        serving.join()


def test_a_crash_anywhere_changes_neither_id_nor_route_nor_price(design: Any) -> None:
    """The order's id is drawn before the first crash and is the same after the last."""

    def scenario(env: WorkflowEnvironment) -> Any:
        env.fake_activity(design.current_price, sequence=[unavailable(), Decimal("1.10")])
        instance = env.start(design.place_order, input=design.Order("tea", 1, "Europe/Vienna"), instance_id="order-1")
        placed = instance.result()
        for activity in (design.current_price, design.hour_there, design.ship):
            instance.assert_activity_called(activity, times=1)
        return placed

    report = WorkflowEnvironment.crash_everywhere(design.wfr, scenario, now=DAWN)
    assert report.crashes > 60
    assert report.result.warehouse == "north, same day"
