"""Tasks and their push addresses in the product's tables, by agent and owner: they outlive a restart."""

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import anyio.to_thread
from a2a.server.context import ServerCallContext
from a2a.server.tasks import InMemoryTaskStore, PushNotificationConfigStore, TaskStore
from a2a.server.tasks.push_notification_config_store import normalize_push_notification_config
from a2a.types import a2a_pb2
from google.protobuf.json_format import MessageToDict, ParseDict

from cloud.stores import keys
from cloud.stores.tables import Delete, Key, Put, Table, Tables, Write
from contracts.skills.base import Agent

KEEP: Final = timedelta(days=30)
# For so long a task's addresses are not read again.
READ_S: Final = 1.0
# So many tasks that work at once are kept in memory.
_AT_WORK_MAX: Final = 1_000
_ENDED: Final = frozenset(
    {
        a2a_pb2.TaskState.TASK_STATE_COMPLETED,
        a2a_pb2.TaskState.TASK_STATE_FAILED,
        a2a_pb2.TaskState.TASK_STATE_CANCELED,
        a2a_pb2.TaskState.TASK_STATE_REJECTED,
    }
)
_INTERRUPTED: Final = frozenset(
    {a2a_pb2.TaskState.TASK_STATE_INPUT_REQUIRED, a2a_pb2.TaskState.TASK_STATE_AUTH_REQUIRED}
)


class StoreTasks(TaskStore):
    """The tasks of one agent.

    A task is written when it begins and when it ends or waits for its caller. What happens between stays in memory: a
    stop fails the task whatever it was at, so nothing of it would be read again.
    """

    def __init__(self, tables: Tables, agent: Agent) -> None:
        self._tables = tables
        self._agent = agent
        self._at_work: OrderedDict[Key, a2a_pb2.Task] = OrderedDict()

    async def save(self, task: a2a_pb2.Task, context: ServerCallContext) -> None:
        """Keep a task; one that has not ended is also listed as open."""
        owner = context.user.user_name
        key = keys.a2a_task(self._agent, owner, task.id)
        rests = task.status.state in _ENDED or task.status.state in _INTERRUPTED
        began = key in self._at_work
        if rests:
            await self._write(task, owner)
            self._at_work.pop(key, None)
            return
        kept = a2a_pb2.Task()
        kept.CopyFrom(task)
        self._at_work[key] = kept
        while len(self._at_work) > _AT_WORK_MAX:
            self._at_work.popitem(last=False)  # Its next save is written again, as the first was.
        if not began:
            await self._write(task, owner)

    async def _write(self, task: a2a_pb2.Task, owner: str) -> None:
        expires = datetime.now(UTC) + KEEP
        key, still_open = keys.a2a_task(self._agent, owner, task.id), keys.a2a_open(self._agent, owner, task.id)
        writes: list[Write] = [Put(key=key, body=MessageToDict(task), expires_at=expires)]
        if task.status.state in _ENDED:
            writes.append(Delete(key=still_open))
        else:
            writes.append(Put(key=still_open, body={"owner": owner, "task": task.id}, expires_at=expires))
        await anyio.to_thread.run_sync(self._tables.transact, writes)

    async def get(self, task_id: str, context: ServerCallContext) -> a2a_pb2.Task | None:
        """Return a task of the caller's."""
        key = keys.a2a_task(self._agent, context.user.user_name, task_id)
        if (at_work := self._at_work.get(key)) is not None:
            task = a2a_pb2.Task()
            task.CopyFrom(at_work)
            return task
        item = await anyio.to_thread.run_sync(self._tables.get, key)
        return ParseDict(item.body, a2a_pb2.Task()) if item is not None else None

    async def list(self, params: a2a_pb2.ListTasksRequest, context: ServerCallContext) -> a2a_pb2.ListTasksResponse:
        """Return a page of the caller's tasks; the order and the pages are the SDK's own."""
        pk = keys.a2a_task(self._agent, context.user.user_name, "").pk
        items = await anyio.to_thread.run_sync(lambda: self._tables.query(Table.GRID_METRICS, pk))
        shelf = InMemoryTaskStore()
        for item in items:
            at_work = self._at_work.get(item.key)
            await shelf.save(at_work or ParseDict(item.body, a2a_pb2.Task()), context)
        return await shelf.list(params, context)

    async def delete(self, task_id: str, context: ServerCallContext) -> None:
        """Forget a task."""
        owner = context.user.user_name
        self._at_work.pop(keys.a2a_task(self._agent, owner, task_id), None)
        writes: Sequence[Write] = [
            Delete(key=keys.a2a_task(self._agent, owner, task_id)),
            Delete(key=keys.a2a_open(self._agent, owner, task_id)),
        ]
        await anyio.to_thread.run_sync(self._tables.transact, writes)

    def fail_unfinished(self) -> int:
        """End the tasks that a server before this one was at when it stopped; return how many there were.

        What such a call has done by then is in the record of calls; its key tells the caller.
        """
        count = 0
        for item in self._tables.query(Table.GRID_METRICS, keys.a2a_open(self._agent, "", "").pk):
            key = keys.a2a_task(self._agent, item.body["owner"], item.body["task"])
            kept = self._tables.get(key)
            task = ParseDict(kept.body, a2a_pb2.Task()) if kept is not None else a2a_pb2.Task()
            if kept is not None and task.status.state in _INTERRUPTED:
                continue  # It waits for its caller, who may still answer.
            writes: list[Write] = [Delete(key=item.key)]
            if kept is not None and task.status.state not in _ENDED:
                task.status.state = a2a_pb2.TaskState.TASK_STATE_FAILED
                task.status.timestamp.GetCurrentTime()
                writes.append(Put(key=key, body=MessageToDict(task), expires_at=datetime.now(UTC) + KEEP))
                count += 1
            self._tables.transact(writes)
        return count


class StorePushConfigs(PushNotificationConfigStore):
    """Where callers want to be told of their tasks.

    A task of a skill has all of its events within a moment, and the SDK asks for each: what was read for the one
    before serves for a second. An address that is set through this server counts at once.
    """

    def __init__(self, tables: Tables, agent: Agent, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._tables = tables
        self._agent = agent
        self._monotonic = monotonic
        self._read: OrderedDict[str, tuple[float, list[dict[str, Any]]]] = OrderedDict()

    async def set_info(
        self, task_id: str, notification_config: a2a_pb2.TaskPushNotificationConfig, context: ServerCallContext
    ) -> a2a_pb2.TaskPushNotificationConfig:
        """Keep an address."""
        config = normalize_push_notification_config(task_id, notification_config)
        key = keys.a2a_push(self._agent, task_id, context.user.user_name, config.id)
        body = {"owner": context.user.user_name, "config": MessageToDict(config)}
        put = Put(key=key, body=body, expires_at=datetime.now(UTC) + KEEP)
        await anyio.to_thread.run_sync(self._tables.put, put)
        self._read.pop(task_id, None)
        return config

    async def get_info(self, task_id: str, context: ServerCallContext) -> list[a2a_pb2.TaskPushNotificationConfig]:
        """Return the caller's addresses for a task."""
        bodies = await self._bodies(task_id)
        return [_config(body) for body in bodies if body["owner"] == context.user.user_name]

    async def get_info_for_dispatch(self, task_id: str) -> list[a2a_pb2.TaskPushNotificationConfig]:
        """Return every address for a task."""
        return [_config(body) for body in await self._bodies(task_id)]

    async def delete_info(self, task_id: str, context: ServerCallContext, config_id: str | None = None) -> None:
        """Forget one address of the caller's, or all of a task."""
        for config in await self.get_info(task_id, context):
            if config_id is None or config.id == config_id:
                key = keys.a2a_push(self._agent, task_id, context.user.user_name, config.id)
                writes: Sequence[Write] = [Delete(key=key)]
                await anyio.to_thread.run_sync(self._tables.transact, writes)
        self._read.pop(task_id, None)

    async def _bodies(self, task_id: str) -> list[dict[str, object]]:
        now_s = self._monotonic()
        read_s, bodies = self._read.get(task_id, (float("-inf"), []))
        if now_s - read_s < READ_S:
            return bodies
        pk = keys.a2a_push(self._agent, task_id, "", "").pk
        items = await anyio.to_thread.run_sync(lambda: self._tables.query(Table.GRID_METRICS, pk))
        self._read[task_id] = (now_s, [item.body for item in items])
        while len(self._read) > _AT_WORK_MAX:
            self._read.popitem(last=False)
        return self._read[task_id][1]


def _config(body: dict[str, object]) -> a2a_pb2.TaskPushNotificationConfig:
    config = a2a_pb2.TaskPushNotificationConfig()
    ParseDict(body["config"], config)
    return config
