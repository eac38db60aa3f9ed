"""What this worker can run: workflows and activities by name."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any

import msgspec

from tenuto._payloads import Signature, inspect_function
from tenuto._replay.definitions import (
    ActivityOptions,
    CallInfo,
    call_info,
    declare_call,
    declare_name,
    name_of,
)
from tenuto._replay.executor import UnknownWorkflow, WorkflowCode
from tenuto._replay.operations import Operations
from tenuto._replay.patches import Patches
from tenuto._worker.context import WorkflowContext
from tenuto._worker.reachable_code import code_hash
from tenuto.errors import RegistrationError

_LATEST = None
_log = logging.getLogger("tenuto.worker")


class ActivityCode(msgspec.Struct, frozen=True):
    """A registered activity function and how to call it."""

    function: Callable[..., Any]
    name: str
    is_async: bool
    takes_context: bool
    takes_input: bool
    input_type: Any


class Registry:
    """Workflows and activities by name. Filled before the worker starts; workflows may have variants."""

    def __init__(self) -> None:
        self._workflows: dict[str, dict[str | None, WorkflowCode]] = {}
        self._activities: dict[str, ActivityCode] = {}
        self._calls: dict[str, CallInfo] = {}
        self._hashes: dict[int, str] = {}  # by id of the function, which lives as long as this

    @property
    def activities(self) -> Mapping[str, CallInfo]:
        """How to call the registered activities."""
        return self._calls

    @property
    def workflow_names(self) -> list[str]:
        """Names of the registered workflows, sorted."""
        return sorted(self._workflows)

    @property
    def workflow_functions(self) -> list[Callable[..., Any]]:
        """All registered workflow functions, variants included."""
        return [code.function for variants in self._workflows.values() for code in variants.values()]

    @property
    def activity_names(self) -> list[str]:
        """Names of the registered activities, sorted."""
        return sorted(self._activities)

    def add_workflow(self, function: Callable[..., Any], name: str | None) -> None:
        """Registers a workflow. Raises `RegistrationError` where the name is taken or the function does not fit."""
        chosen = name or name_of(function)
        if chosen in self._workflows:
            raise RegistrationError(f"a workflow named '{chosen}' is already registered; give this one another name=")
        code = self._prepare_workflow(function, chosen, variant="")
        self._workflows[chosen] = {_LATEST: code}

    def add_variant(self, function: Callable[..., Any], name: str, variant: str, *, is_latest: bool) -> None:
        """Registers one variant of a versioned workflow; new executions take the latest, others stay on theirs.

        Raises:
            RegistrationError: the variant is taken, or another one is the latest, or the function does not fit.
        """
        variants = self._workflows.setdefault(name, {})
        present = variants.get(_LATEST)
        if variant in variants or (present is not None and not present.variant):
            raise RegistrationError(f"workflow '{name}' is already registered{f' as {variant}' if variants else ''}")
        if is_latest and present is not None:
            raise RegistrationError(
                f"workflow '{name}' has two latest versions, '{present.variant}' and '{variant}'; choose one"
            )
        code = self._prepare_workflow(function, name, variant=variant)
        variants[variant] = code
        if is_latest:
            variants[_LATEST] = code

    def add_activity(self, function: Callable[..., Any], name: str | None, options: ActivityOptions) -> None:
        """Registers an activity. Raises `RegistrationError` where the name is taken or the function does not fit."""
        chosen = name or name_of(function)
        if chosen in self._activities:
            raise RegistrationError(f"an activity named '{chosen}' is already registered; give this one another name=")
        signature = _inspect(function, f"activity '{chosen}'")
        info = call_info("activity", chosen, result_type=signature.result_type, options=options)
        declare_name(function, chosen)
        declare_call(function, "activity", info)
        self._calls[chosen] = info
        self._activities[chosen] = ActivityCode(
            function=function,
            name=chosen,
            is_async=_is_async(function),
            takes_context=signature.takes_context,
            takes_input=signature.takes_input,
            input_type=signature.input_type,
        )

    def workflow(self, name: str, variant: str | None) -> WorkflowCode:
        """The code of a workflow; None as variant means the latest. Raises `UnknownWorkflow`."""
        variants = self._workflows.get(name)
        if variants is None:
            raise UnknownWorkflow(f"no workflow named '{name}' is registered in this worker")
        code = variants.get(variant)
        if code is None:
            wanted = "latest version" if variant is None else f"version '{variant}'"
            raise UnknownWorkflow(f"workflow '{name}' is registered in this worker without its {wanted}")
        return code

    def activity(self, name: str) -> ActivityCode | None:
        """The code of an activity, None where it is not registered."""
        return self._activities.get(name)

    def make_context(self, operations: Operations, patches: Patches) -> WorkflowContext:
        """The context for one execution."""
        return WorkflowContext(operations, patches)

    def code_hash(self, code: WorkflowCode) -> str:
        """Names the code of one workflow and of what it calls in its project, in 16 hex digits."""
        known = self._hashes.get(id(code.function))
        if known is None:
            # Not at registration: what the function calls may be defined below it.
            known = self._hashes[id(code.function)] = code_hash(code.function)
        return known

    def combined_hash(self) -> str:
        """A hash of all workflows' code that changes when any of it does, not when lines move; never empty."""
        digest = sha256()
        for name in self.workflow_names:
            for code in self._workflows[name].values():
                digest.update(f"{name}\0{code.variant}\0{self.code_hash(code)}\0".encode())
        return digest.hexdigest()[:32]

    def _prepare_workflow(self, function: Callable[..., Any], name: str, *, variant: str) -> WorkflowCode:
        signature = _inspect(function, f"workflow '{name}'")
        if inspect.isasyncgenfunction(function):
            raise RegistrationError(
                f"workflow '{name}' is an async generator; use `await` in an `async def` or `yield` in a `def`"
            )
        declare_name(function, name)
        declare_call(function, "child workflow", call_info("child workflow", name, result_type=signature.result_type))
        return WorkflowCode(
            function=function,
            takes_input=signature.takes_input,
            input_type=signature.input_type,
            variant=variant,
        )


def _inspect(function: Callable[..., Any], what: str) -> Signature:
    signature = inspect_function(function)
    if signature.unresolved:
        _log.warning(
            "%s: the annotations %s cannot be resolved at run time; those payloads stay plain JSON values",
            what,
            ", ".join(signature.unresolved),
        )
    return signature


def _is_async(function: Callable[..., Any]) -> bool:
    target = inspect.unwrap(function)
    if not inspect.isroutine(target) and not inspect.isclass(target):
        target = target.__call__  # A callable object.
    return inspect.iscoroutinefunction(target)
