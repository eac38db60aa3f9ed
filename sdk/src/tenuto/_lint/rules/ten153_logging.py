"""TEN153: loggers that do not know of replay."""

from __future__ import annotations

import ast

from tenuto._lint.finding import Fix, Severity
from tenuto._lint.fixing import target_on_context
from tenuto._lint.rule import Profile, Rule, Use
from tenuto._lint.view import Call

_LEVELS = ("critical", "debug", "error", "exception", "info", "log", "warning")


def _logger(call: Call) -> Fix | None:
    """The context's logger is one of the standard library's: the arguments stay."""
    level = call.name.rpartition(".")[2]
    return target_on_context(call, f"logger.{level}") if isinstance(call.node, ast.Call) else None


RULE = Rule(
    id="TEN153",
    name="logging",
    message="{text}() logs again with each replay",
    why="The code runs once more with each replay, and so does the log line.",
    breaks="A line appears as often as the workflow is replayed: counts, alerts and people are misled.",
    instead="Use ctx.logger: a standard logger that is silent while replaying and adds the instance's id.",
    severity=Severity.WARNING,
    profile=Profile.STRICT,
    calls={
        **{f"logging.{level}": Use(fix=_logger) for level in _LEVELS},
        **{f"logging.Logger.{level}": Use(fix=_logger) for level in _LEVELS},
        **{f"logging.LoggerAdapter.{level}": Use() for level in _LEVELS},
        "logging.warn": Use(),
        "logging.Logger.warn": Use(),
        **{f"loguru.logger.{level}": Use() for level in (*_LEVELS, "success", "trace")},
        "loguru.logger.opt.*": Use(),
        "loguru.logger.bind.*": Use(),
        **{f"structlog.{make}.{level}": Use() for make in ("get_logger", "getLogger") for level in (*_LEVELS, "msg")},
        "structlog.get_logger.bind.*": Use(),
        "logfire.*": Use(),
    },
)
