"""TEN264: asynchronous activities that block the loop they share."""

from __future__ import annotations

from tenuto._lint.finding import Severity
from tenuto._lint.rule import Profile, Rule, Scope, Use
from tenuto._lint.view import Call


def _is_async(call: Call) -> bool:
    return call.function.is_async and call.scope.kind == "function"


_USE = Use(when=_is_async)

RULE = Rule(
    id="TEN264",
    name="blocking-activities",
    message="{text}() blocks the event loop in an asynchronous activity",
    why="Asynchronous activities and the turns of workflows share the worker's event loop.",
    breaks="Nothing differs in a replay; but while the call blocks, no other activity and no workflow goes on.",
    instead="Await an asynchronous library, such as httpx.AsyncClient; or make it a def, which runs in a thread.",
    severity=Severity.WARNING,
    profile=Profile.STRICT,
    scope=Scope.ACTIVITY,
    calls={
        "time.sleep": _USE,
        **{f"requests.{one}": _USE for one in ("get", "post", "put", "patch", "delete", "head", "options", "request")},
        **{f"requests.Session.{one}": _USE for one in ("get", "post", "put", "patch", "delete", "head", "request")},
        **{f"httpx.{one}": _USE for one in ("get", "post", "put", "patch", "delete", "head", "request", "stream")},
        **{f"httpx.Client.{one}": _USE for one in ("get", "post", "put", "patch", "delete", "head", "request")},
        "urllib.request.urlopen": _USE,
        **{f"subprocess.{one}": _USE for one in ("run", "call", "check_call", "check_output")},
        "os.system": _USE,
        "psycopg.connect": _USE,
        "psycopg2.connect": _USE,
        "pymysql.connect": _USE,
        "smtplib.SMTP": _USE,
        "boto3.client": _USE,
    },
)
