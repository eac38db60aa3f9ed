"""`tenuto-engine`: read settings, open the store, serve until told to stop.

Exit codes: 0 stopped as asked; 2 the settings or the store refuse to work like this; 3 the store cannot be reached.
"""

from __future__ import annotations

import gc
import logging
import os
import sys
from typing import NoReturn

import structlog
import uvloop

from tenuto_engine.app import serve
from tenuto_engine.ports.errors import StoreRefused, StoreUnavailable
from tenuto_engine.runtime.faults import Faults, FaultsRefused
from tenuto_engine.runtime.tracing import tracing_from_env
from tenuto_engine.settings import Settings, SettingsRefused, from_arguments
from tenuto_engine.storage.urls import open_stores


def main() -> NoReturn:
    """Entry point of the command `tenuto-engine`."""
    try:
        settings = from_arguments(sys.argv[1:], os.environ)
        configure_logging(settings)
        faults = Faults.from_env(os.environ)
        opened = open_stores(
            settings.state_store,
            app=settings.runtime.app,
            key_prefix=settings.key_prefix,
            lease_store=settings.lease_store,
            lease_seconds=settings.runtime.lease_seconds,
            durability_unverified=settings.durability_unverified,
        )
        tracing = tracing_from_env(os.environ, settings.runtime)
        tune_garbage_collection()
        uvloop.run(serve(settings, opened, faults=faults, tracing=tracing))
    except (SettingsRefused, StoreRefused, FaultsRefused, ValueError) as error:
        _exit(2, str(error))
    except StoreUnavailable as error:
        _exit(3, str(error))
    sys.exit(0)


def tune_garbage_collection() -> None:
    """Collect cycles seldom: the hot path makes many short-lived objects and no cycles.

    With the defaults the youngest generation is scanned every 700 allocations, several times a turn.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def configure_logging(settings: Settings) -> None:
    """Log as text for people or JSON lines for machines, to standard error; what libraries log too.

    Each JSON line carries `app` and `version`, by which the lines of several engines are told apart.
    """
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    is_json = settings.log_format == "json"
    constant = {"app": settings.runtime.app, "version": settings.runtime.version}

    def add_constant(_logger: object, _method: str, line: structlog.typing.EventDict) -> structlog.typing.EventDict:
        return {**constant, **line} if is_json else line

    shared: list[structlog.typing.Processor] = [
        add_constant,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso"),
        structlog.processors.format_exc_info,
    ]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer() if is_json else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    # Libraries tell of themselves at INFO what is of use to nobody who runs an engine.
    logging.basicConfig(handlers=[handler], level=level if level < logging.INFO else max(level, logging.WARNING))


def _exit(code: int, text: str) -> NoReturn:
    print(f"tenuto-engine: {text}", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
