"""TEN144: files: reading, writing, asking for them, moving them."""

from __future__ import annotations

import ast

from tenuto._lint.rule import Rule, Use
from tenuto._lint.view import Call

_OS = (
    "access", "chmod", "chown", "link", "lstat", "makedirs", "mkdir", "mkfifo", "open", "readlink", "remove",
    "removedirs", "rename", "renames", "replace", "rmdir", "stat", "statvfs", "symlink", "truncate", "unlink", "utime",
)  # fmt: skip
_OS_PATH = (
    "exists", "getatime", "getctime", "getmtime", "getsize", "isdir", "isfile", "islink", "ismount", "lexists",
    "realpath", "samefile",
)  # fmt: skip
_PATH = (
    "chmod", "exists", "group", "hardlink_to", "is_dir", "is_file", "is_mount", "is_symlink", "lchmod", "lstat",
    "mkdir", "open", "owner", "read_bytes", "read_text", "readlink", "rename", "replace", "resolve", "rmdir",
    "samefile", "stat", "symlink_to", "touch", "unlink", "write_bytes", "write_text",
)  # fmt: skip
_OTHERS = (
    "aiofiles.open", "bz2.open", "codecs.open", "configparser.ConfigParser.read", "configparser.RawConfigParser.read",
    "dbm.open", "fileinput.input", "filecmp.cmp", "gzip.open", "io.FileIO", "io.open", "linecache.getline",
    "linecache.getlines", "lzma.open", "mmap.mmap", "numpy.fromfile", "numpy.genfromtxt", "numpy.load",
    "numpy.loadtxt", "numpy.save", "numpy.savetxt", "pandas.read_csv", "pandas.read_excel", "pandas.read_feather",
    "pandas.read_json", "pandas.read_parquet", "pandas.read_pickle", "pandas.read_sql", "polars.read_csv",
    "polars.read_parquet", "pkgutil.get_data", "shelve.open", "tokenize.open",
)  # fmt: skip
_TEMPORARY = ("NamedTemporaryFile", "TemporaryDirectory", "TemporaryFile", "gettempdir", "mkdtemp", "mkstemp")


def _names_a_file(call: Call) -> bool:
    """`ZipFile(BytesIO(data))` reads memory."""
    first = call.argument(0, "file") or call.argument(0, "name")
    return first is None or not any("BytesIO" in name for name in _names(call, first))


def _names(call: Call, node: ast.expr) -> tuple[str, ...]:
    return call.function.names(node, call.scope)


RULE = Rule(
    id="TEN144",
    name="file-access",
    message="{text}() touches the file system",
    why="What is on the disk belongs to one machine at one moment, and is not recorded.",
    breaks="A replay on another pod finds another file, or none: it fails, or decides by other content than the "
    "first run did; what it writes is written again.",
    instead="Read or write it in an activity, or pass its content as the workflow's input.",
    calls={
        "builtins.open": Use(),
        **{f"os.{name}": Use() for name in _OS},
        **{f"os.path.{name}": Use() for name in _OS_PATH},
        **{f"pathlib.Path.{name}": Use() for name in _PATH},
        **{f"tempfile.{name}": Use() for name in _TEMPORARY},
        **{name: Use() for name in _OTHERS},
        "shutil.*": Use(),
        "tarfile.TarFile": Use(when=_names_a_file),
        "tarfile.open": Use(when=_names_a_file),
        "zipfile.ZipFile": Use(when=_names_a_file),
        "importlib.resources.*": Use(),
    },
    extensible=True,
)
