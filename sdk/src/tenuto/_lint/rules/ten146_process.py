"""TEN146: other programs."""

from __future__ import annotations

from tenuto._lint.rule import Rule, Use

_OS = (
    "execl", "execle", "execlp", "execv", "execve", "execvp", "execvpe", "fork", "forkpty", "kill", "killpg", "popen",
    "posix_spawn", "posix_spawnp", "spawnl", "spawnle", "spawnlp", "spawnv", "spawnve", "spawnvp", "startfile",
    "system", "wait", "waitpid",
)  # fmt: skip
_SUBPROCESS = ("Popen", "call", "check_call", "check_output", "getoutput", "getstatusoutput", "run")

RULE = Rule(
    id="TEN146",
    name="process",
    message="{text}() runs another program",
    why="What it does and prints depends on the machine, and is not recorded.",
    breaks="Every replay runs the program again: what it did is done twice, and another output takes another branch.",
    instead="Run it in an activity, and return what the workflow needs of its output.",
    calls={
        **{f"os.{name}": Use() for name in _OS},
        **{f"subprocess.{name}": Use() for name in _SUBPROCESS},
        "asyncio.create_subprocess_exec": Use(),
        "asyncio.create_subprocess_shell": Use(),
        "asyncio.subprocess.create_subprocess_exec": Use(),
        "asyncio.subprocess.create_subprocess_shell": Use(),
        "anyio.run_process": Use(),
        "anyio.open_process": Use(),
        "trio.run_process": Use(),
        "pty.fork": Use(),
        "pty.spawn": Use(),
        "pexpect.*": Use(),
        "sh.*": Use(),
        "docker.from_env.*": Use(),
        "kubernetes.client.*": Use(),
        "kubernetes.client.models.*": None,
    },
    extensible=True,
)
