"""Everything kopf loads: registrations only, never decisions.

Run with `kopf run -m tenuto_operator.main --all-namespaces --liveness=http://0.0.0.0:8080/healthz`, by module and
not by file: a file path would put this folder on `sys.path`.
"""

from __future__ import annotations

from importlib.metadata import version

import kopf


@kopf.on.probe(id="version")  # pyright: ignore[reportUnknownMemberType, reportUntypedFunctionDecorator]
def report_version(**_: object) -> str:
    """Answer the liveness probe with the operator's version: an answer at all shows that its event loop runs."""
    return version("tenuto-operator")
