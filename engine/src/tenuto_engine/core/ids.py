"""The identities of the field, as distinct types.

An *instance* is one workflow identity; an *execution* one life of it (continue-as-new and rerun begin another).
An *event id* numbers the operations that one execution asks for: it is chosen by the worker's replay, counted
from 1, and is not the index of a record in history.
"""

from typing import NewType

InstanceId = NewType("InstanceId", str)
ExecutionId = NewType("ExecutionId", str)
CommitId = NewType("CommitId", str)
MessageId = NewType("MessageId", str)
EngineId = NewType("EngineId", str)
LeaseToken = NewType("LeaseToken", str)
EventId = NewType("EventId", int)
Shard = NewType("Shard", int)
