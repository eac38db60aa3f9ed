"""What is known of the calls that workflow code should not make: data only.

Rule ids, and what to use instead, are the linter's. A call is `certain` where making it in workflow code is wrong
whatever becomes of the answer; the others are only warned about, in every mode.
"""

from __future__ import annotations

from typing import Final

import msgspec


class Probe(msgspec.Struct, frozen=True):
    """One kind of call.

    `topic` groups kinds of which one line is told only once: a request opens several sockets. `through` names modules
    of the standard library that may stand between user code and the function. `arguments`: only a call with exactly so
    many counts, as one with more computes from what it is given; None: any call does.
    """

    rule: str
    topic: str
    what: str
    instead: str
    is_certain: bool = True
    through: frozenset[str] = frozenset()
    arguments: int | None = None


_NOW: Final = "ctx.current_utc_datetime"
_IN_ACTIVITY: Final = "an activity, whose result is recorded: yield ctx.call_activity(...)"
_INPUT: Final = "the workflow's input, or an activity"

_CLOCK: Final = Probe("TEN101", "clock", "a clock, another moment on each replay", _NOW)
_TICKS: Final = Probe("TEN102", "clock", "a clock, another moment on each replay", f"{_NOW}.timestamp()")
_LOCAL_CLOCK: Final = Probe("TEN103", "clock", "a clock, another moment on each replay", _NOW, arguments=0)
_CLOCK_TEXT: Final = Probe(
    "TEN103", "clock", "a clock, another moment on each replay", f"{_NOW}.strftime(...)", arguments=1
)
_LIBRARY_CLOCK: Final = Probe("TEN105", "clock", "a clock, another moment on each replay", _NOW)
_SLEEP: Final = Probe(
    "TEN106", "sleep", "it blocks the worker, and again on each replay", "ctx.create_timer(timedelta(seconds=...))"
)
_LOOP_SLEEP: Final = Probe("TEN107", "sleep", "it waits outside of history", "ctx.create_timer(timedelta(seconds=...))")
SHARED_RANDOM: Final = Probe(
    "TEN121", "randomness", "the process's random numbers, others on each replay", "ctx.random()"
)
_SYSTEM_RANDOM: Final = Probe(
    "TEN122", "randomness", "the system's random numbers, others on each replay", "ctx.random(); secrets in an activity"
)
UNSEEDED: Final = Probe(
    "TEN122", "randomness", "a generator without a seed, other numbers on each replay", "ctx.random()"
)
FOREIGN_RANDOM: Final = Probe(
    "TEN123",
    "randomness",
    "a generator made outside of this workflow, which others draw from too",
    "ctx.random(), or random.Random(seed) made in the workflow",
)
_UUID: Final = Probe("TEN124", "randomness", "an id that is another one on each replay", "ctx.new_uuid()")
_HASH: Final = Probe(
    "TEN126",
    "hash",
    "another number in each process for text, bytes and most objects",
    "hashlib.sha256(...) or zlib.crc32(...)",
    is_certain=False,
)
_ADDRESS: Final = Probe(
    "TEN127", "address", "an address, another one in each process", "a key of your own", is_certain=False
)
_HTTP: Final = Probe("TEN141", "network", "a request, made anew on each replay", _IN_ACTIVITY)
DATABASE: Final = Probe("TEN142", "database", "a database, asked anew on each replay", _IN_ACTIVITY)
_MODEL: Final = Probe("TEN143", "network", "a language model, asked anew on each replay", _IN_ACTIVITY)
FILE: Final = Probe("TEN144", "file", "a file, perhaps another one on each replay", f"{_INPUT}")
_FOLDER: Final = Probe("TEN145", "file", "a folder's content, perhaps another one on each replay", _IN_ACTIVITY)
_PROCESS: Final = Probe("TEN146", "process", "another process, started anew on each replay", _IN_ACTIVITY)
SOCKET: Final = Probe("TEN147", "network", "the network, used anew on each replay", _IN_ACTIVITY)
_ENVIRONMENT: Final = Probe(
    "TEN148",
    "environment",
    "the environment, which differs from pod to pod",
    _INPUT,
    through=frozenset({"os", "collections.abc", "posixpath", "ntpath", "pathlib", "getpass", "tempfile", "shutil"}),
)
_MACHINE: Final = Probe("TEN149", "machine", "a fact of this process or machine, which differs from pod to pod", _INPUT)
_CONSOLE: Final = Probe(
    "TEN151", "console", "it waits for somebody at the terminal", "ctx.wait_for_external_event(...)"
)
_NATIVE: Final = Probe("TEN156", "native", "native code, which replay knows nothing of", _IN_ACTIVITY)
_THREAD: Final = Probe(
    "TEN161", "thread", "a thread, which runs beside replay", "ctx.call_activity(...) for each, then wf.when_all(...)"
)
_EXECUTOR: Final = Probe(
    "TEN162", "thread", "work beside replay, in a thread or process", "ctx.call_activity(...), then wf.when_all(...)"
)
_TASK: Final = Probe(
    "TEN163", "task", "a task of the event loop, which runs outside of history", "wf.when_all(...) or wf.when_any(...)"
)
_UNORDERED: Final = Probe("TEN164", "task", "what is done comes in no certain order", "wf.when_any(...)")
_LOOP: Final = Probe("TEN166", "task", "an event loop of its own, outside of history", "await tasks of ctx")


def _named(module: str, names: str, probe: Probe) -> dict[str, Probe]:
    return {f"{module}.{name}": probe for name in names.split()}


# Functions by where they are found, and methods by their class. What is missing on this machine is left out, and so is
# what belongs to a library that nobody has imported.
CALLS: Final[dict[str, Probe]] = {
    **_named("datetime", "datetime.now datetime.utcnow datetime.today date.today", _CLOCK),
    **_named("time", "time time_ns monotonic monotonic_ns perf_counter perf_counter_ns process_time", _TICKS),
    **_named("time", "process_time_ns thread_time thread_time_ns clock_gettime clock_gettime_ns", _TICKS),
    **_named("time", "localtime gmtime ctime asctime", _LOCAL_CLOCK),
    "time.strftime": _CLOCK_TEXT,
    **_named("email.utils", "localtime formatdate", _LOCAL_CLOCK),
    **_named("pendulum", "now today", _LIBRARY_CLOCK),
    **_named("arrow.api", "now utcnow", _LIBRARY_CLOCK),
    **_named("django.utils.timezone", "now localtime localdate", _LIBRARY_CLOCK),
    "time.sleep": _SLEEP,
    "asyncio.sleep": _LOOP_SLEEP,
    **_named("random", "random getrandbits", SHARED_RANDOM),
    **_named("random.SystemRandom", "random getrandbits randbytes", _SYSTEM_RANDOM),
    **_named("secrets", "token_bytes token_hex token_urlsafe randbelow", _SYSTEM_RANDOM),
    **_named("os", "urandom getrandom", _SYSTEM_RANDOM),
    "ssl.RAND_bytes": _SYSTEM_RANDOM,
    **_named("uuid", "uuid1 uuid4 uuid6 uuid7 getnode", _UUID),
    **_named("nanoid", "generate non_secure_generate", _UUID),
    "shortuuid.uuid": _UUID,
    "bson.ObjectId.__init__": _UUID,
    "builtins.hash": _HASH,
    "builtins.id": _ADDRESS,
    **_named("os", "stat lstat access readlink statvfs", FILE),
    **_named("os.path", "exists lexists isfile isdir islink ismount getsize getmtime getatime getctime", FILE),
    **_named("pathlib.Path", "exists is_file is_dir is_symlink stat lstat", FILE),
    **_named("os._Environ", "__getitem__ __iter__ __len__", _ENVIRONMENT),
    **_named("os", "getpid getppid getcwd getcwdb cpu_count process_cpu_count uname getlogin getloadavg", _MACHINE),
    **_named("os", "sched_getaffinity", _MACHINE),
    **_named("platform", "node platform machine processor release version uname", _MACHINE),
    **_named("pathlib.Path", "cwd home", _MACHINE),
    **_named("socket", "gethostname getfqdn", _MACHINE),
    "threading.Thread.start": _THREAD,
    **_named("_thread", "start_new_thread start_joinable_thread", _THREAD),
    **_named("concurrent.futures.thread", "ThreadPoolExecutor.submit", _EXECUTOR),
    **_named("concurrent.futures.process", "ProcessPoolExecutor.submit", _EXECUTOR),
    **_named("multiprocessing.process", "BaseProcess.start", _EXECUTOR),
    **_named("asyncio", "to_thread", _EXECUTOR),
    **_named("asyncio.base_events", "BaseEventLoop.run_in_executor", _EXECUTOR),
    **_named("asyncio", "create_task ensure_future gather wait_for shield TaskGroup.create_task", _TASK),
    **_named("asyncio.base_events", "BaseEventLoop.create_task", _TASK),
    **_named("asyncio", "wait as_completed", _UNORDERED),
    **_named("asyncio", "run new_event_loop", _LOOP),
}

# Methods of C types on objects that may have been made long before: an open file, a connection of the module's.
METHODS: Final[dict[str, Probe]] = {
    **_named("_io.TextIOWrapper", "read readline readlines", FILE),
    **_named("_io.BufferedReader", "read readline readlines read1 readinto peek", FILE),
    **_named("_io.FileIO", "read readall readinto", FILE),
    **_named("_socket.socket", "send sendall recv recv_into recvfrom accept", SOCKET),
    **_named("sqlite3.Connection", "execute executemany executescript commit rollback", DATABASE),
    **_named("sqlite3.Cursor", "execute executemany executescript fetchone fetchall fetchmany", DATABASE),
}

# Audit events of the interpreter and the standard library.
EVENTS: Final[dict[str, Probe]] = {
    **dict.fromkeys(("open", "os.truncate", "os.remove", "os.rename", "os.link", "os.symlink", "os.chmod"), FILE),
    **dict.fromkeys(("os.chown", "os.utime", "os.mkdir", "os.rmdir", "os.chdir", "os.fwalk", "os.walk"), FILE),
    **dict.fromkeys(("shutil.copyfile", "shutil.copytree", "shutil.move", "shutil.rmtree"), FILE),
    **dict.fromkeys(("tempfile.mkstemp", "tempfile.mkdtemp", "fcntl.flock", "fcntl.lockf", "mmap.__new__"), FILE),
    **dict.fromkeys(("os.listdir", "os.scandir", "glob.glob"), _FOLDER),
    **dict.fromkeys(("subprocess.Popen", "os.system", "os.exec", "os.fork", "os.forkpty"), _PROCESS),
    **dict.fromkeys(("os.posix_spawn", "os.spawn", "pty.spawn", "os.startfile", "os.kill"), _PROCESS),
    **dict.fromkeys(("socket.__new__", "socket.connect", "socket.bind", "socket.getaddrinfo"), SOCKET),
    **dict.fromkeys(("socket.gethostbyname", "socket.gethostbyaddr", "socket.getnameinfo"), SOCKET),
    **dict.fromkeys(("socket.sendto", "socket.sendmsg", "ftplib.connect", "smtplib.connect"), SOCKET),
    **dict.fromkeys(("imaplib.open", "poplib.connect", "nntplib.connect", "telnetlib.Telnet.open"), SOCKET),
    **dict.fromkeys(("urllib.Request", "http.client.connect", "webbrowser.open"), _HTTP),
    **dict.fromkeys(("sqlite3.connect", "sqlite3.connect/handle"), DATABASE),
    **dict.fromkeys(("os.putenv", "os.unsetenv"), _ENVIRONMENT),
    "socket.gethostname": _MACHINE,
    "builtins.input": _CONSOLE,
    "ctypes.dlopen": _NATIVE,
    "time.sleep": _SLEEP,
    "_thread.start_new_thread": _THREAD,
    "_thread.start_joinable_thread": _THREAD,
}

# What a library that user code calls is for says more than the first socket it opens.
LIBRARIES: Final[dict[str, Probe]] = {
    **dict.fromkeys(("requests", "httpx", "urllib3", "aiohttp", "http", "urllib", "websockets"), _HTTP),
    **dict.fromkeys(("psycopg", "psycopg2", "asyncpg", "sqlalchemy", "pymongo", "motor", "redis"), DATABASE),
    **dict.fromkeys(("boto3", "botocore", "elasticsearch", "kafka", "pika", "pymysql", "sqlite3"), DATABASE),
    **dict.fromkeys(("openai", "anthropic", "litellm", "ollama", "cohere", "mistralai"), _MODEL),
    **dict.fromkeys(("subprocess", "multiprocessing"), _PROCESS),
}

# What these do below user code is their own affair: a log line needs a clock and may open a file, a module is read
# when it is first imported, a traceback shows source lines, a debugger does as it likes.
EXEMPT: Final = frozenset(
    {
        *("logging", "warnings", "traceback", "linecache", "tokenize", "inspect", "importlib", "zipimport", "runpy"),
        *("_frozen_importlib", "_frozen_importlib_external", "zoneinfo", "encodings", "locale", "gettext"),
        *("weakref", "gc", "atexit", "faulthandler", "cProfile", "pstats", "profile"),
        *("bdb", "pdb", "cmd", "code", "codeop", "pydevd", "_pydevd_bundle", "debugpy", "coverage", "_pytest"),
        *("loguru", "structlog", "opentelemetry"),
    }
)
