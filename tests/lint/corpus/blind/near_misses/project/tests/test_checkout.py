"""Tests drive a workflow by hand, with whatever they like."""

import random
import uuid
from datetime import UTC, datetime
from types import SimpleNamespace
from unittest import mock

from store import tasks
from store.workflows import checkout


class FakeContext:
    instance_id = str(uuid.uuid4())  # near miss: a test's own context

    @property
    def current_utc_datetime(self):
        return datetime.now(UTC)  # near miss: the fake's clock

    def random(self):
        return random.Random()  # near miss: the fake's generator

    def call_activity(self, activity, *, input=None):
        return activity(SimpleNamespace(), input)  # near miss: the fake calls activities directly


def test_checkout():
    with mock.patch.object(tasks.requests, "post"):
        assert tasks.pay(SimpleNamespace(), {"total": 1})  # near miss: a test calls the activity
    workflow = checkout(FakeContext(), {"items": [], "name": "A B"})  # near miss: and drives the workflow
    assert next(workflow) is not None
