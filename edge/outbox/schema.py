"""The outbox's tables and how an older file becomes a newer one.

sqlite-utils is imported only when a file is new or old; a gateway that starts on its own outbox never pays for it.
"""

import sqlite3

SCHEMA_VERSION = 1


def migrate(connection: sqlite3.Connection) -> None:
    """Bring an outbox's tables to the present schema; does nothing to a file that is there already.

    Raises:
        sqlite3.DatabaseError: The file cannot be written or is not a database.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version == SCHEMA_VERSION:
        return
    import sqlite_utils

    migrations = sqlite_utils.Migrations("journal")

    @migrations(name="0001_records_counters_state")
    def _first(db: sqlite_utils.Database) -> None:
        db.table("records").create(
            {
                "id": int,
                "channel": str,
                "seq": int,
                "class": int,
                "at_ms": int,
                "bytes": int,
                "thinned": int,
                "payload": bytes,
            },
            pk="id",
            not_null={"channel", "seq", "class", "at_ms", "bytes", "thinned", "payload"},
        )
        db.table("records").create_index(["channel", "id"])
        db.table("counters").create({"channel": str, "seq": int}, pk="channel", not_null={"seq"})
        db.table("state").create({"key": str, "value": str}, pk="key", not_null={"value"})
        db.table("meta").create({"key": str, "value": int}, pk="key", not_null={"value"})

    migrations.apply(sqlite_utils.Database(connection, execute_plugins=False))
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
