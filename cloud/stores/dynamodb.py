"""The seven tables in DynamoDB.

Numbers are ``Decimal`` only here, at the border to boto3. Keys are ``pk`` and ``sk``, the index ``by-index`` has
``gpk`` and ``gsk``, ``expires_s`` is the attribute for time to live, ``version`` the number that every write raises.
"""

import json
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.exceptions import BotoCoreError, ClientError

from cloud.errors import ConditionFailed, StoreError, Unstorable
from cloud.stores.tables import (
    INDEX,
    LAST_TEXT,
    Check,
    Delete,
    IndexKey,
    Item,
    Key,
    Put,
    Table,
    Write,
    check_writes,
    text_of,
)
from contracts.units import epoch_ms, instant

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

_TO_WIRE: Final = TypeSerializer()
_FROM_WIRE: Final = TypeDeserializer()


class DynamoTables:
    """Tables of one account and Region, all names beginning with one prefix."""

    def __init__(self, client: "DynamoDBClient", *, prefix: str) -> None:
        self._client = client
        self._prefix = prefix

    def get(self, key: Key) -> Item | None:
        """Return an item as it is now."""
        try:
            answer = self._client.get_item(TableName=self._name(key.table), Key=_key(key), ConsistentRead=True)
        except (BotoCoreError, ClientError) as error:
            raise StoreError(f"{key.table} {key.pk} {key.sk} cannot be read: {error}") from error
        return _item(key.table, answer["Item"]) if "Item" in answer else None

    def put(self, put: Put) -> None:
        """Write one item."""
        check_writes([put])
        try:
            self._client.update_item(**self._update(put))
        except ClientError as error:
            raise _failure(error, f"{put.key.table} {put.key.pk} {put.key.sk}") from error
        except BotoCoreError as error:
            raise StoreError(f"{put.key.table} {put.key.pk} {put.key.sk} cannot be written: {error}") from error

    def put_each(self, puts: Sequence[Put]) -> None:
        """Write items one after the other: half the price of a transaction."""
        for put in puts:
            self.put(put)

    def transact(self, writes: Sequence[Write]) -> None:
        """Make up to ``TRANSACT_MAX`` writes on different items, all or none."""
        check_writes(writes)
        if not writes:
            return
        actions: list[Any] = []
        for write in writes:
            at = {"TableName": self._name(write.key.table), "Key": _key(write.key)}
            if isinstance(write, Put):
                actions.append({"Update": self._update(write)})
            elif isinstance(write, Check):
                actions.append({"ConditionCheck": {**at, **_condition(write.if_version)}})
            else:
                assert isinstance(write, Delete)
                actions.append({"Delete": at})
        try:
            self._client.transact_write_items(TransactItems=actions)
        except ClientError as error:
            raise _failure(error, f"transaction of {len(writes)}") from error
        except BotoCoreError as error:
            raise StoreError(f"transaction of {len(writes)} cannot be written: {error}") from error

    def query(
        self,
        table: Table,
        pk: str,
        *,
        first: str | None = None,
        last: str | None = None,
        reverse: bool = False,
        limit: int | None = None,
    ) -> Sequence[Item]:
        """Return a partition's items in the order of their sort keys, from ``first`` to ``last``, both included."""
        arguments = {"ScanIndexForward": not reverse, "ConsistentRead": True}
        return self._pages(table, ("pk", pk), ("sk", first, last), limit, arguments)

    def query_index(
        self, table: Table, pk: str, *, first: str | None = None, last: str | None = None, limit: int | None = None
    ) -> Sequence[Item]:
        """Return items by their index key, newest writes possibly not yet among them."""
        return self._pages(table, ("gpk", pk), ("gsk", first, last), limit, {"IndexName": INDEX})

    def walk(self, table: Table) -> Iterator[Put]:
        """Yield each item of a table as the write that makes it again where nobody wrote since."""
        try:
            for page in self._client.get_paginator("scan").paginate(TableName=self._name(table), ConsistentRead=True):
                for raw in page["Items"]:
                    yield _again(table, raw)
        except (BotoCoreError, ClientError) as error:
            raise StoreError(f"{table} cannot be walked through: {error}") from error

    def close(self) -> None:
        """Release the connections."""
        self._client.close()

    def _pages(
        self,
        table: Table,
        partition: tuple[str, str],
        span: tuple[str, str | None, str | None],
        limit: int | None,
        arguments: dict[str, Any],
    ) -> Sequence[Item]:
        """Read one partition by name and key, within a span of a sort key by name, first and last."""
        (pk_name, pk), (sk_name, first, last) = partition, span
        condition, values = "#pk = :pk", {":pk": {"S": pk}}
        names = {"#pk": pk_name}
        if first is not None or last is not None:
            condition += " AND #sk BETWEEN :first AND :last"
            names["#sk"] = sk_name
            # A key is never empty, so the first possible text is a single NUL.
            values |= {":first": {"S": first or "\0"}, ":last": {"S": LAST_TEXT if last is None else last}}
        request: dict[str, Any] = {
            "TableName": self._name(table),
            "KeyConditionExpression": condition,
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": values,
            **arguments,
        }
        items: list[Item] = []
        try:
            while limit is None or len(items) < limit:
                if limit is not None:
                    request["Limit"] = limit - len(items)
                answer = self._client.query(**request)
                items.extend(_item(table, raw) for raw in answer["Items"])
                if "LastEvaluatedKey" not in answer:
                    break
                request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]
        except (BotoCoreError, ClientError) as error:
            raise StoreError(f"{table} {pk} cannot be queried: {error}") from error
        return items

    def _name(self, table: Table) -> str:
        return self._prefix + table.value

    def _update(self, put: Put) -> Any:
        """Return an UpdateItem that replaces the body and raises the version, in one atomic step."""
        optional: dict[str, Any] = {
            "gpk": put.index.pk if put.index else None,
            "gsk": put.index.sk if put.index else None,
            "expires_s": None if put.expires_at is None else epoch_ms(put.expires_at) // 1000,
        }
        present = {name: value for name, value in optional.items() if value is not None}
        absent = [name for name, value in optional.items() if value is None]
        setting = ", ".join(["body = :body", *(f"{name} = :{name}" for name in present)])
        removing = f" REMOVE {', '.join(absent)}" if absent else ""
        values = {":body": _wire(put), ":one": {"N": "1"}}
        values |= {f":{name}": _TO_WIRE.serialize(value) for name, value in present.items()}
        condition = _condition(put.if_version)
        values |= condition.pop("ExpressionAttributeValues", {})
        return {
            "TableName": self._name(put.key.table),
            "Key": _key(put.key),
            "UpdateExpression": f"SET {setting}{removing} ADD version :one",
            "ExpressionAttributeValues": values,
            **condition,
        }


def _condition(if_version: int | None) -> dict[str, Any]:
    if if_version is None:
        return {}
    if if_version == 0:
        return {"ConditionExpression": "attribute_not_exists(pk)"}
    return {
        "ConditionExpression": "version = :expected",
        "ExpressionAttributeValues": {":expected": {"N": str(if_version)}},
    }


def _key(key: Key) -> dict[str, Any]:
    return {"pk": {"S": key.pk}, "sk": {"S": key.sk}}


def _wire(put: Put) -> Any:
    return _TO_WIRE.serialize(json.loads(text_of(put), parse_float=Decimal))


def _item(table: Table, raw: Any) -> Item:
    body = _numbers(_FROM_WIRE.deserialize(raw["body"]))
    key = Key(table=table, pk=raw["pk"]["S"], sk=raw["sk"]["S"])
    return Item(key=key, body=body, version=int(raw["version"]["N"]))


def _again(table: Table, raw: Any) -> Put:
    item = _item(table, raw)
    return Put(
        key=item.key,
        body=item.body,
        if_version=item.version,
        index=IndexKey(pk=raw["gpk"]["S"], sk=raw["gsk"]["S"]) if "gpk" in raw else None,
        expires_at=instant(int(raw["expires_s"]["N"]) * 1000) if "expires_s" in raw else None,
    )


def _numbers(value: Any) -> Any:
    """Return a value with whole decimals as ``int`` and the others as ``float``."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, dict):
        return {name: _numbers(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_numbers(inner) for inner in value]
    return value


def _failure(error: ClientError, what: str) -> StoreError:
    code = error.response.get("Error", {}).get("Code", "")
    reasons = {reason.get("Code") for reason in error.response.get("CancellationReasons", [])}
    # A transaction that lost a race with another is in the same position as one whose condition failed: read again.
    if code == "ConditionalCheckFailedException" or reasons & {"ConditionalCheckFailed", "TransactionConflict"}:
        return ConditionFailed(f"{what}: another writer was first; nothing written")
    if code == "ValidationException" or "ValidationError" in reasons:
        return Unstorable(f"{what} cannot be held: {error}; nothing written")
    return StoreError(f"{what} cannot be written: {error}")
