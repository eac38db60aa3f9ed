"""Test workflows in milliseconds: the real engine in memory in the test's process, on virtual time that jumps.

    from tenuto.testing import WorkflowEnvironment

    def test_order():
        with WorkflowEnvironment(wfr) as env:
            env.fake_activity(charge, returns="receipt")
            instance = env.start(order, input=Order(id=1))
            assert instance.result() == "receipt"
            instance.assert_activity_called(charge, times=1)

The same for `async with` is in `tenuto.testing.aio`. It needs the extra `tenuto[testing]`. No engine is imitated here.
"""

from importlib.util import find_spec as _find_spec

if _find_spec("tenuto_engine") is None:
    raise ModuleNotFoundError(
        "tenuto.testing runs the real engine, which is not installed here: pip install 'tenuto[testing]'",
        name="tenuto_engine",
    )

from tenuto.testing._calls import ActivityCall
from tenuto.testing._everywhere import CrashReport
from tenuto.testing._faults import Party as _Party
from tenuto.testing._faults import places_of as _places_of
from tenuto.testing.environment import WorkflowEnvironment, WorkflowInstance
from tenuto.testing.errors import StillRunning, WorkflowBlocked, WorkflowStalled
from tenuto.testing.plugin import MakeEnvironment

CRASH_PLACES = _places_of(_Party.WORKER)

__all__ = [
    "CRASH_PLACES",
    "ActivityCall",
    "CrashReport",
    "MakeEnvironment",
    "StillRunning",
    "WorkflowBlocked",
    "WorkflowEnvironment",
    "WorkflowInstance",
    "WorkflowStalled",
]
