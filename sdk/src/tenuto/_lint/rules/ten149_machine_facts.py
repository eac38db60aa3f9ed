"""TEN149: facts of the machine, the process and the interpreter."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tenuto._lint.finding import Severity
from tenuto._lint.rule import Hit, Rule
from tenuto._lint.view import FunctionView

_CALLS = frozenset(
    {
        "getpass.getuser", "multiprocessing.cpu_count", "os.cpu_count", "os.ctermid", "os.getcwd", "os.getcwdb",
        "os.getegid", "os.geteuid", "os.getgid", "os.getgroups", "os.getloadavg", "os.getlogin", "os.getpgid",
        "os.getpgrp", "os.getpid", "os.getppid", "os.getuid", "os.process_cpu_count", "os.sched_getaffinity",
        "os.sysconf", "os.times", "os.uname", "os.get_terminal_size", "os.path.abspath", "pathlib.Path.absolute",
        "pathlib.Path.cwd", "pwd.getpwuid", "shutil.get_terminal_size", "site.getsitepackages", "socket.getfqdn",
        "socket.gethostname", "sys.getfilesystemencoding", "sys.getrecursionlimit", "sys.getswitchinterval",
        "sys.getwindowsversion", "sysconfig.get_config_var", "sysconfig.get_platform", "threading.active_count",
        "threading.current_thread", "threading.get_ident", "threading.get_native_id", "importlib.metadata.version",
    }
)  # fmt: skip
_PREFIXES = ("platform.", "psutil.", "sysconfig.get_path", "torch.cuda.", "torch.backends.")
_READS = frozenset(
    {
        "os.name", "sys.argv", "sys.base_prefix", "sys.byteorder", "sys.executable", "sys.flags", "sys.implementation",
        "sys.maxsize", "sys.modules", "sys.orig_argv", "sys.path", "sys.platform", "sys.prefix", "sys.version",
        "sys.version_info", "sys.hexversion", "os.environ.get.platform",
    }
)  # fmt: skip


def check(function: FunctionView) -> Iterator[Hit]:
    """Find facts of the machine; a branch on one is worse than reading it."""
    for call in function.calls:
        if any(name in _CALLS or name.startswith(_PREFIXES) for name in call.names):
            yield _hit(function, call.node, f"{call.text}()")
    for read in function.reads:
        if any(name in _READS or name.startswith(("sys.version_info.", "sys.implementation.")) for name in read.names):
            yield _hit(function, read.node, read.text)


def _hit(function: FunctionView, node: ast.expr, text: str) -> Hit:
    decides = _is_tested(function, node)
    message = f"{text} decides by a fact of the machine" if decides else f"{text} tells a fact of the machine"
    return function.hit(node, message, severity=Severity.ERROR if decides else Severity.WARNING)


def _is_tested(function: FunctionView, node: ast.AST) -> bool:
    """Whether a node stands in the condition of a branch or loop."""
    at = node
    for parent in function.parents(node):
        if isinstance(parent, ast.If | ast.While | ast.IfExp | ast.Assert) and parent.test is at:
            return True
        if isinstance(parent, ast.Match) and parent.subject is at:
            return True
        if isinstance(parent, ast.stmt):
            return False
        at = parent
    return False


RULE = Rule(
    id="TEN149",
    name="machine-facts",
    message="a fact of the machine or the process is read",
    why="It is true of this machine, this process or this release of Python only.",
    breaks="A replay runs on another pod, as another process, perhaps on a newer image: it decides, names or passes on "
    "something else than history records.",
    instead="Pass it as input or read it in an activity; branch on changed code with ctx.is_patched(name).",
    check=check,
)
