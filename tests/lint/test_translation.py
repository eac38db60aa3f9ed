"""What other linters are shown is the corpus: each of its lines is where it was said to be."""

from __future__ import annotations

import ast
from collections.abc import Callable

import pytest

from lint.labels import cases
from tenuto_lint.roles import Roles, read_roles
from tenuto_lint.translation import Translated, to_aws, to_temporal

MODULE = '''"""A module."""

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity(name="charge")
def charge(ctx: wf.WorkflowActivityContext, order: dict) -> None: ...


@wfr.workflow
def pay(ctx: wf.WorkflowContext, order: dict):
    if ctx.current_utc_datetime.hour < 12:
        yield ctx.call_activity(charge, input=order)
'''


def roles_of(*sources: str) -> Roles:
    return read_roles(ast.parse(source) for source in sources)


@pytest.mark.parametrize("translate", [to_temporal, to_aws])
def test_every_label_keeps_its_line(translate: Callable[[str, Roles], Translated]) -> None:
    """Both translations of every module are Python, and each label leads back to the line it was written on."""
    for case in cases():
        sources = {file: file.read_text(encoding="utf-8") for file in case.files}
        roles = roles_of(*sources.values())
        for source in sources.values():
            translated = translate(source, roles)
            ast.parse(translated.text)
            labels = {number: label_of(line) for number, line in enumerate(source.splitlines(), 1) if label_of(line)}
            lines = zip(translated.lines, translated.text.splitlines(), strict=True)
            assert {origin: label_of(line) for origin, line in lines if label_of(line)} == labels


def label_of(line: str) -> str:
    return next((line[line.index(mark) :] for mark in ("# violation", "# near miss") if mark in line), "")


def test_a_workflow_becomes_temporals() -> None:
    """A workflow is a class with an asynchronous `run`, and asks for the same in Temporal's words."""
    text = to_temporal(MODULE, roles_of(MODULE)).text
    assert "@activity.defn\ndef charge(" in text
    assert "@workflow.defn\nclass pay:\n    @workflow.run\n    async def pay(self, order: dict):\n" in text
    assert "if workflow.now().hour < 12:" in text
    assert "await workflow.execute_activity(charge, arg=order, start_to_close_timeout=TIMEOUT)" in text


def test_a_workflow_becomes_awss() -> None:
    """A workflow is a durable execution whose activities are steps."""
    text = to_aws(MODULE, roles_of(MODULE)).text
    assert "@durable_step\ndef charge(" in text
    assert "@durable_execution\ndef pay(ctx: wf.WorkflowContext, order: dict):\n" in text
    assert "yield ctx.step(charge, input=order)" in text
