"""An engine for tests of the SDK: the real work stream over a real socket, state in memory, no store.

It records what workers ask for as history does, so that a worker that comes back replays it. Time is its own: each turn
is a second after the last one, and timers fire at once in the order of their due time.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio
import msgspec

from tenuto._replay import actions as a
from tenuto._replay import events as e
from tenuto_proto.v1 import worker_pb2 as pb

_EOF: object = vars(grpc.aio)["EOF"]  # missing from the stubs

_encode = msgspec.msgpack.encode
_decode_actions = msgspec.msgpack.Decoder(list[a.Action]).decode
_RECORDED: dict[type, type] = {
    a.ScheduleActivity: e.ActivityScheduled,
    a.CreateTimer: e.TimerCreated,
    a.StartChild: e.ChildCreated,
    a.SendEvent: e.EventSent,
    a.CompleteExecution: e.ExecutionCompleted,
    a.FailExecution: e.ExecutionFailed,
}


def recorded(action: a.Action) -> e.Event:
    """The event that history holds for an action."""
    fields = {name: getattr(action, name) for name in action.__struct_fields__}
    event: e.Event = _RECORDED[type(action)](**fields)
    return event


@dataclass
class Instance:
    """One instance: what is recorded, what is unread, and the turn that is under way."""

    instance_id: str
    execution_id: str
    history: list[bytes] = field(default_factory=list)
    unread: list[e.Event] = field(default_factory=list)
    commits: int = 0
    in_turn: list[bytes] | None = None
    outcome: asyncio.Future[e.Event | e.Failure] = field(default_factory=asyncio.Future)
    custom_status: bytes | None = None
    executions: int = 1


class FakeEngine:
    """Serves one worker at a time. `seen` keeps what workers sent; settings are plain attributes.

    `is_sticky`: send only new events where the worker should hold the instance. `acknowledges`: say when a result is
    durable. `stop` and `start` on the same object are a crash and a restart on the same store.
    """

    def __init__(self) -> None:
        self.is_sticky = True
        self.acknowledges = True
        self.instances: dict[str, Instance] = {}
        self.hellos: list[pb.Hello] = []
        self.seen: list[pb.WorkerMessage] = []
        self.delivered: list[pb.ActivityItem] = []
        self.welcome = pb.Welcome(engine_id="engine-0", app="test")
        self.address = "127.0.0.1:0"
        self.arrived = asyncio.Condition()
        self._open: dict[str, a.ScheduleActivity] = {}
        self._server: grpc.aio.Server | None = None
        self._stream: asyncio.Queue[pb.EngineMessage] = asyncio.Queue()
        self._starts = 0

    async def start(self) -> str:
        """Listens, on the same port as before after a stop; returns the address."""
        self._starts += 1
        self.welcome.engine_id = f"engine-{self._starts}"
        self._server = grpc.aio.server()
        handler = grpc.stream_stream_rpc_method_handler(
            self._work,
            request_deserializer=pb.WorkerMessage.FromString,
            response_serializer=pb.EngineMessage.SerializeToString,
        )
        self._server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("tenuto.v1.Worker", {"Work": handler}),)
        )
        port = self._server.add_insecure_port(self.address)
        await self._server.start()
        self.address = f"127.0.0.1:{port}"
        return self.address

    async def stop(self) -> None:
        """Goes away without a word to the worker."""
        server, self._server = self._server, None
        if server is not None:
            await server.stop(None)

    async def run(self, name: str, payload: Any = None, *, instance_id: str = "i") -> Any:
        """Starts a workflow and returns its decoded result; raises AssertionError with the failure otherwise."""
        self.begin(name, payload, instance_id=instance_id)
        return await self.result(instance_id)

    async def result(self, instance_id: str = "i") -> Any:
        """The decoded result of an instance, once it is there."""
        ending = await asyncio.wait_for(asyncio.shield(self.instances[instance_id].outcome), 20)
        assert isinstance(ending, e.ExecutionCompleted), ending
        return None if ending.result is None else msgspec.json.decode(ending.result)

    async def failure(self, instance_id: str = "i") -> e.Failure:
        """Why an instance failed, once it has."""
        ending = await asyncio.wait_for(asyncio.shield(self.instances[instance_id].outcome), 20)
        if isinstance(ending, e.Failure):
            return ending
        assert isinstance(ending, e.ExecutionFailed), ending
        return ending.failure

    def begin(self, name: str, payload: Any = None, *, instance_id: str = "i", parent: e.Parent | None = None) -> None:
        """Starts a workflow."""
        data = payload if isinstance(payload, bytes) or payload is None else msgspec.json.encode(payload)
        instance = self.instances[instance_id] = Instance(instance_id, f"exec-{instance_id}")
        self.send(instance_id, e.ExecutionStarted(name, instance_id, instance.execution_id, data, parent=parent))

    def send(self, instance_id: str, event: e.Event) -> None:
        """Gives an instance an event."""
        instance = self.instances[instance_id]
        instance.unread.append(event)
        self._dispatch(instance)

    async def wait_for(self, condition: Any) -> None:
        """Waits until `condition()` holds; asked again whenever a worker sent something."""
        async with self.arrived:
            await asyncio.wait_for(self.arrived.wait_for(condition), 20)

    def push(self, message: pb.EngineMessage) -> None:
        """Sends the worker a message as it is."""
        self._stream.put_nowait(message)

    async def _work(self, _: object, context: Any) -> None:
        first = await context.read()
        self.hellos.append(first.hello)
        stream = self._stream = asyncio.Queue()
        stream.put_nowait(pb.EngineMessage(welcome=self.welcome))
        async with asyncio.TaskGroup() as group:
            writer = group.create_task(self._write(stream, context))
            for instance in self.instances.values():
                if instance.in_turn is not None:
                    self._send_turn(instance, is_full=True)
            running = set(first.hello.running)
            for token in [each for each in self._open if each not in running]:
                self._deliver(token)
            await self._notify()
            while (message := await context.read()) is not _EOF:
                self.seen.append(message)
                self._take(message)
                await self._notify()
            writer.cancel()

    async def _write(self, stream: asyncio.Queue[pb.EngineMessage], context: Any) -> None:
        while True:
            await context.write(await stream.get())

    async def _notify(self) -> None:
        async with self.arrived:
            self.arrived.notify_all()

    def _dispatch(self, instance: Instance) -> None:
        if instance.in_turn is not None or not instance.unread:
            return
        at = 1_000_000 + 1000 * instance.commits
        new = [_encode(e.TurnStarted(at)), *map(_encode, instance.unread)]
        instance.unread.clear()
        instance.in_turn = new
        self._send_turn(instance, is_full=not self.is_sticky or not instance.history)

    def _send_turn(self, instance: Instance, *, is_full: bool) -> None:
        item = pb.TurnItem(
            instance_id=instance.instance_id,
            execution_id=instance.execution_id,
            base_commit_id=f"c{instance.commits}" if instance.commits else "",
            commit_id=f"c{instance.commits + 1}",
            history_length=len(instance.history),
            full_history=is_full,
            history=instance.history if is_full else [],
            new_events=instance.in_turn,
        )
        self.push(pb.EngineMessage(turns=[item]))

    def _take(self, message: pb.WorkerMessage) -> None:
        for result in message.turns:
            instance = self.instances[result.instance_id]
            if instance.in_turn is None or result.commit_id != f"c{instance.commits + 1}":
                continue
            if result.outcome == pb.TurnResult.NEED_HISTORY:
                self._send_turn(instance, is_full=True)
            elif result.outcome:
                failure = msgspec.msgpack.decode(result.failure, type=e.Failure)
                instance.outcome.set_result(failure)
            else:
                self._commit(instance, result)
        for answer in message.activities:
            if self.acknowledges:
                self.push(pb.EngineMessage(acknowledged=[answer.token]))
            self._complete_activity(answer)

    def _commit(self, instance: Instance, result: pb.TurnResult) -> None:
        assert instance.in_turn is not None
        at = msgspec.msgpack.decode(instance.in_turn[0], type=e.TurnStarted).at_ms
        asked = _decode_actions(result.actions) if result.actions else []
        instance.in_turn[0] = _encode(e.TurnStarted(at, list(result.patches), code_hash=result.code_hash))
        instance.history += instance.in_turn
        instance.in_turn = None
        instance.commits += 1
        if result.HasField("custom_status"):
            instance.custom_status = result.custom_status
        cancelled = {action.event_id for action in asked if isinstance(action, a.CancelTimer)}
        timers = [each for each in asked if isinstance(each, a.CreateTimer) and each.event_id not in cancelled]
        for action in asked:
            self._perform(instance, action)
        for timer in sorted(timers, key=lambda each: each.due_at_ms):
            self.send(instance.instance_id, e.TimerFired(timer.event_id))
        self._dispatch(instance)

    def _perform(self, instance: Instance, action: a.Action) -> None:
        if isinstance(action, a.ContinueAsNew):
            self._continue(instance, action)
            return
        if isinstance(action, a.CancelTimer):
            return
        event = recorded(action)
        instance.history.append(_encode(event))
        match action:
            case a.ScheduleActivity():
                token = f"{instance.instance_id}|{instance.execution_id}|{action.event_id}"
                self._open[token] = action
                self._deliver(token)
            case a.StartChild():
                parent = e.Parent(instance.instance_id, instance.execution_id, action.event_id)
                self.begin(action.name, action.input, instance_id=action.instance_id, parent=parent)
                self.instances[action.instance_id].outcome.add_done_callback(
                    lambda done: self._child_ended(instance, action.event_id, done.result())
                )
            case a.SendEvent():
                self.send(action.instance_id, e.EventRaised(action.name, action.payload))
            case a.CompleteExecution() | a.FailExecution():
                instance.outcome.set_result(event)
            case _:
                pass

    def _continue(self, instance: Instance, action: a.ContinueAsNew) -> None:
        started = msgspec.msgpack.decode(instance.history[1], type=e.Event)
        instance.executions += 1
        instance.execution_id = f"exec-{instance.instance_id}-{instance.executions}"
        instance.history, instance.commits = [], 0
        unread = instance.unread if action.keep_events else []
        again = msgspec.structs.replace(started, execution_id=instance.execution_id, input=action.input)
        instance.unread = [again, *action.carryover, *unread]

    def _child_ended(self, parent: Instance, event_id: int, ending: Any) -> None:
        failed = isinstance(ending, e.ExecutionFailed)
        event = e.ChildFailed(event_id, ending.failure) if failed else e.ChildCompleted(event_id, ending.result)
        self.send(parent.instance_id, event)

    def _deliver(self, token: str) -> None:
        action = self._open[token]
        instance_id, execution_id, _ = token.split("|")
        item = pb.ActivityItem(
            token=token,
            instance_id=instance_id,
            execution_id=execution_id,
            event_id=action.event_id,
            name=action.name,
            input=action.input,
            attempt=1,
            deliveries=1,
            start_to_close_ms=action.start_to_close_ms,
            workflow_name="w",
        )
        self.delivered.append(item)
        self.push(pb.EngineMessage(activities=[item]))

    def _complete_activity(self, answer: pb.ActivityResult) -> None:
        action = self._open.pop(answer.token, None)
        if action is None or answer.rejected:
            return
        if answer.failure:
            failure = msgspec.msgpack.decode(answer.failure, type=e.Failure)
            self.send(answer.token.split("|")[0], e.ActivityFailed(action.event_id, failure))
        else:
            result = answer.result if answer.HasField("result") else None
            self.send(answer.token.split("|")[0], e.ActivityCompleted(action.event_id, result))
