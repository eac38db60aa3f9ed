"""TEN147: sockets, and protocols other than HTTP."""

from __future__ import annotations

from tenuto._lint.rule import Rule, Use

_SOCKET = (
    "create_connection", "create_server", "fromfd", "getaddrinfo", "gethostbyaddr", "gethostbyname",
    "gethostbyname_ex", "getnameinfo", "socket", "socketpair",
)  # fmt: skip
_LIBRARIES = (
    "asyncssh", "dns.resolver", "fabric", "ftplib", "imaplib", "ldap3", "netmiko", "nntplib", "paramiko", "poplib",
    "smtplib", "aiosmtplib", "telnetlib", "xmlrpc.client.ServerProxy", "zmq", "websockets.server", "paho.mqtt.client",
)  # fmt: skip
_CHANNELS = ("insecure_channel", "secure_channel", "aio.insecure_channel", "aio.secure_channel")
_OTHERS = (
    "asyncio.open_connection", "asyncio.open_unix_connection", "asyncio.start_server", "asyncio.start_unix_server",
    "select.epoll", "select.kqueue", "select.poll", "select.select", "selectors.DefaultSelector.select",
    "ssl.create_connection", "ssl.get_server_certificate", "ssl.SSLContext.wrap_socket",
    "ssl.create_default_context.wrap_socket", "anyio.connect_tcp", "anyio.connect_unix", "trio.open_tcp_stream",
)  # fmt: skip

RULE = Rule(
    id="TEN147",
    name="network",
    message="{text}() uses the network",
    why="What comes over it depends on others and on the moment, and is not recorded.",
    breaks="Every replay connects and sends again; a peer that is gone fails a workflow that was long past this line.",
    instead="Do it in an activity, whose result is recorded once.",
    calls={
        **{f"socket.{name}": Use() for name in _SOCKET},
        "socket.socket.*": Use(),
        **{f"{name}.*": Use() for name in _LIBRARIES},
        **{f"grpc.{name}": Use() for name in _CHANNELS},
        **{name: Use() for name in _OTHERS},
    },
    extensible=True,
)
