"""The outbox's tables and how an older file becomes a newer one."""

import sqlite3

SCHEMA_VERSION = 1
_STATEMENTS = (
    """CREATE TABLE IF NOT EXISTS records (
        id INTEGER PRIMARY KEY, channel TEXT NOT NULL, seq INTEGER NOT NULL, class INTEGER NOT NULL,
        at_ms INTEGER NOT NULL, bytes INTEGER NOT NULL, thinned INTEGER NOT NULL, payload BLOB NOT NULL)""",
    "CREATE INDEX IF NOT EXISTS idx_records_channel_id ON records (channel, id)",
    "CREATE TABLE IF NOT EXISTS counters (channel TEXT PRIMARY KEY, seq INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS state (key TEXT PRIMARY KEY, value TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL)",
    f"PRAGMA user_version = {SCHEMA_VERSION}",
)


def migrate(connection: sqlite3.Connection) -> None:
    """Bring an outbox's tables to the present schema; does nothing to a file that is there already.

    All tables come in one transaction: a power cut leaves none or all of them. A file whose tables lack nothing but the
    version is one of the days when they came one by one, cut off before its last step.

    Raises:
        sqlite3.DatabaseError: The file cannot be written or is not a database.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version >= SCHEMA_VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        for statement in _STATEMENTS:
            connection.execute(statement)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # A full disk has ended it already.
            connection.execute("ROLLBACK")
        raise
