"""Runs a `WorkflowRuntime` that some module holds: the app process of `tenuto dev`.

    python -m tenuto._cli.app_host MODULE:RUNTIME

MODULE is an importable name or a path ending in `.py`; RUNTIME the name of the object in it.
"""

from __future__ import annotations

import logging
import sys

from tenuto._cli.exits import Exit
from tenuto._worker.loading import NotRunnable, load, trace_of_import


def main() -> None:
    """Run the runtime named on the command line until it is told to stop."""
    try:
        runtime = load(sys.argv[1])
    except NotRunnable as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(Exit.USAGE)
    except Exception as error:  # Whatever the module raises while it is imported: the same again at each start.
        print(trace_of_import(error), end="", file=sys.stderr)
        sys.exit(Exit.USAGE)
    # The line that says that an engine was found is as good to know as the one that none was. Without effect where
    # the module has set up logging itself.
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    runtime.run()


if __name__ == "__main__":
    main()
