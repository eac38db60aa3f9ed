"""Who may come in: TLS with certificates on both sides, and a user with exactly the rights that the docs name."""

from __future__ import annotations

import asyncio
import gc
import re
import shlex
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import pytest

from contract.backends import APP
from contract.redis_worlds import opened
from contract.test_redis_faults import fill
from contract.worlds import FAR_MS, SHARDS, message, new_instance
from faulty import until
from redis_groups import RedisCluster, SentinelGroup
from servers import NEWEST_REDIS, RedisServer, free_port
from tenuto_engine.core.status import Status
from tenuto_engine.ports.errors import StoreUnavailable
from tenuto_engine.ports.leases import Lease, Member
from tenuto_engine.ports.operations import Append, Create
from tenuto_engine.ports.outcomes import Appended, Created, Rejected
from tenuto_engine.ports.records import InstanceFilter
from tenuto_engine.ports.store import Store
from tenuto_engine.storage import redis as redis_driver
from tenuto_engine.storage.redis import RedisNotifier
from tenuto_engine.storage.redis.address import Place, parse_address
from tenuto_engine.storage.redis.nodes import SentinelLocator
from tls_front import Certificates, TlsFront

NewRedis = Callable[..., RedisServer]
DRIVER = Path(redis_driver.__file__).parent
RUNNING = Path(__file__).parents[2] / "docs" / "running.md"


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path / "certificates")


@pytest.fixture
def front(new_redis: NewRedis, certificates: Certificates) -> Iterator[TlsFront]:
    """A server behind TLS, which asks for a certificate."""
    with TlsFront(new_redis().socket, certificates, port=free_port()) as started:
        yield started


async def test_a_server_behind_tls(front: TlsFront, certificates: Certificates) -> None:
    """Store and leases come in with the authority and the certificate that the URL names."""
    url = f"rediss://127.0.0.1:{front.port}?{certificates.options}"
    async with opened(url) as world:
        await world.create(messages=[message("m")])
        await world.commit(consumed=[0])
        assert world.leases.members() == []


# asyncio's: a handshake that is cancelled leaves its transport behind, and this test ends whenever it has heard one.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_nudges_behind_tls(front: TlsFront, certificates: Certificates) -> None:
    """Both connections of a notifier come in, too."""
    await hear_oneself(f"rediss://127.0.0.1:{front.port}?{certificates.options}", app="one")


async def hear_oneself(url: str, *, app: str, key_prefix: str = "nudges") -> None:
    """A notifier publishes and hears what it published."""
    notifier = RedisNotifier(url, app=app, key_prefix=key_prefix)
    heard: list[bytes] = []
    notifier.listen(["a"])
    task = asyncio.get_running_loop().create_task(notifier.run(lambda _, body: heard.append(body)))

    def arrived() -> bool:
        notifier.publish("a", b"1")
        return bool(heard)

    await until(arrived, "a nudge")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # asyncio's, of a broken handshake
async def test_a_foreign_authority_a_missing_certificate_and_another_name_are_refused(
    front: TlsFront, certificates: Certificates, tmp_path: Path
) -> None:
    """Each keeps the engine out, and the message says why."""
    foreign = Certificates(tmp_path / "foreign")
    base = f"rediss://127.0.0.1:{front.port}?"
    with pytest.raises(StoreUnavailable, match="certificate verify failed"):
        async with opened(f"{base}ssl_ca_certs={foreign.authority}"):
            pass
    with pytest.raises(StoreUnavailable):
        async with opened(f"{base}ssl_ca_certs={certificates.authority}", timeout_s=2.0):
            pass
    named = Certificates(tmp_path / "named", host="redis.example.org")
    with TlsFront(front._socket, named, port=free_port()) as other:
        url = f"rediss://127.0.0.1:{other.port}?{named.options}"
        with pytest.raises(StoreUnavailable, match=r"certificate is not valid for|IP address mismatch"):
            async with opened(url):
                pass
        async with opened(f"{url}&ssl_check_hostname=0") as world:
            await world.create()
    gc.collect()


async def test_a_cluster_behind_tls(tmp_path: Path, certificates: Certificates) -> None:
    """Each node is reached where the cluster announces it, with TLS."""
    ports = iter([free_port() for _ in range(3)])
    with ExitStack() as running:
        cluster = RedisCluster(tmp_path / "cluster", release=NEWEST_REDIS)
        fronts = {node: next(ports) for node in cluster.nodes}
        for node, port in fronts.items():
            node._settings["cluster_announce_port"] = str(port)
            running.enter_context(TlsFront(node.socket, certificates, port=port))
        running.enter_context(cluster)
        url = f"rediss+cluster://127.0.0.1:{fronts[cluster.nodes[0]]}?{certificates.options}"
        async with opened(url) as world:
            group = [Create(shard, new_instance("order-1")) for shard in range(SHARDS)]
            assert await world.store.execute(group) == [Created(ready=False)] * SHARDS
            granted = world.leases.acquire(range(SHARDS), version="", owner="me", lease_ms=FAR_MS)
            assert all(isinstance(lease, Lease) for lease in granted)


async def test_sentinels_behind_tls(tmp_path: Path, certificates: Certificates) -> None:
    """They are asked with the same authority and certificate."""
    with SentinelGroup(tmp_path / "group", release=NEWEST_REDIS, replicas=1) as group:
        port = free_port()
        with TlsFront(group.sentinels[0].socket, certificates, port=port):
            locate = SentinelLocator(
                parse_address(f"rediss+sentinel://127.0.0.1:{port}/{group.SERVICE}?{certificates.options}")
            )
            assert await locate() == Place("127.0.0.1", group.primary.port)
            await locate.close()


def documented_user(key_prefix: str, app: str) -> list[str]:
    """The ACL that docs/running.md names, for a key prefix and an app."""
    (line,) = re.findall(r"^ACL SETUSER .*$", RUNNING.read_text("utf-8").replace("\\\n", ""), re.MULTILINE)
    return shlex.split(line.replace("tenuto:{shop", f"{key_prefix}:{{{app}"))[2:]


def without_new_commands(rules: list[str], server: RedisServer) -> list[str]:
    """The rules but for the command that a release before 7.2 does not know, as the page says."""
    return [rule for rule in rules if rule != "+waitaof" or server.ask("COMMAND", "INFO", "waitaof")[0]]


async def read_all(store: Store) -> None:
    """Each read that the port has."""
    for statuses in (frozenset[Status](), frozenset({Status.RUNNING}), frozenset({Status.RUNNING, Status.FAILED})):
        await store.list_instances(0, InstanceFilter(name="ship", statuses=statuses))
    assert await store.raw_records(0, "order-1", limit=100)
    assert await store.read_instances(0, ["order-1", "order-2"])
    await store.read_custom_status(0, "order-1")
    await store.read_reminders(0, "", limit=9)
    await store.read_activities(0, "", due_ms=1, limit=9)
    await store.read_outbox(0, after=0, limit=9)
    await store.read_ready_many(range(SHARDS), "", limit=9)
    await store.count_reminders(range(SHARDS), "")
    await store.now_ms()


def test_the_documented_user_may_run_every_command_of_the_driver() -> None:
    """No script and no read names a command that the page leaves out."""
    named = {
        word.lower()
        for path in DRIVER.rglob("*")
        if path.suffix in {".py", ".lua"}
        for word in re.findall(r"""[(]["']([A-Z]{3,})["']""", path.read_text("utf-8"))
    }
    allowed = {rule[1:].partition("|")[0] for rule in documented_user("tenuto", APP) if rule.startswith("+")}
    # Those two are for the audit, which has a user of its own.
    assert named - {"scan", "hscan"} <= allowed
    assert len(named) > 30


async def test_the_documented_user_can_do_all_that_an_engine_does(new_redis: NewRedis) -> None:
    """Every operation, read, lease and nudge works with these rights; another app's keys are out of reach."""
    server = new_redis()
    name, *rules = documented_user("tenuto", APP)
    server.ask("ACL", "SETUSER", name, *without_new_commands(rules, server))
    url = f"unix://{name}:secret@{server.socket}"
    async with opened(url) as world:
        growing, shrinking = await fill(world)
        for operation in growing + shrinking:
            outcome = await world.do(operation)
            assert not isinstance(outcome, Rejected), outcome
        await read_all(world.store)
        (lease,) = world.leases.acquire([1], version="", owner="me", lease_ms=FAR_MS)
        assert isinstance(lease, Lease)
        assert world.leases.renew([lease], lease_ms=FAR_MS) == [True]
        world.leases.heartbeat(Member("me", "", 1, draining=False, has_workers=True), ttl_ms=FAR_MS)
        assert [member.engine_id for member in world.leases.members()] == ["me"]
        world.leases.leave("me")
        world.leases.release([lease], cause="drain")
        server.ask("SCRIPT", "FLUSH")
        assert isinstance(await world.append("again"), Appended)
    await hear_oneself(url, app=APP, key_prefix="tenuto")
    with pytest.raises(StoreUnavailable):
        async with opened(url, key_prefix="other"):
            pass


async def test_the_documented_user_suffices_in_a_cluster(cluster_of: Callable[[str], RedisCluster]) -> None:
    """Also to read the map of slots, and to follow a slot on its way."""
    cluster = cluster_of(NEWEST_REDIS)
    key_prefix = f"t-{uuid4().hex}"
    name, *rules = documented_user(key_prefix, APP)
    for node in cluster.nodes:
        node.ask("ACL", "SETUSER", f"{name}-{key_prefix}", *rules)
    url = cluster.url.replace("://", f"://{name}-{key_prefix}:secret@")
    async with opened(url, key_prefix=key_prefix) as world:
        await world.store.execute([Create(shard, new_instance("order-1")) for shard in range(SHARDS)])
        group = [Append(shard, "order-1", message()) for shard in range(SHARDS)]
        assert await world.store.execute(group) == [Appended(0)] * SHARDS


async def test_rights_that_were_taken_away_and_given_back(new_redis: NewRedis) -> None:
    """While the user may not, operations are refused; afterwards all works without a restart. No password is shown."""
    server = new_redis()
    name, *rules = documented_user("tenuto", APP)
    server.ask("ACL", "SETUSER", name, *without_new_commands(rules, server))
    async with opened(f"unix://{name}:secret@{server.socket}", timeout_s=2.0) as world:
        await world.create()
        server.ask("ACL", "SETUSER", name, "-evalsha")
        outcome = await world.append("refused")
        assert isinstance(outcome, Rejected)
        assert "permissions" in outcome.error
        server.ask("ACL", "SETUSER", name, "+evalsha", "off", ">other", "<secret")
        server.ask("CLIENT", "KILL", "USER", name)
        for _ in range(2):
            outcome = await world.append("refused")
        assert isinstance(outcome, Rejected)
        assert "secret" not in outcome.error
        with pytest.raises(StoreUnavailable):
            world.leases.members()
        server.ask("ACL", "SETUSER", name, "on", ">secret")
        assert await world.append("accepted") == Appended(0)
        assert world.leases.members() == []
