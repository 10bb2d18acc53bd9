"""The tables of a store of votes, the same in SQLite and in PostgreSQL.

Events and items are only ever added: triggers refuse anything else, whoever tries.
"""

from __future__ import annotations

from sqlalchemy import (
    DDL,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    event,
)

__all__ = ["EVENTS", "ITEMS", "SETTINGS", "STORE", "TABLES", "VERSION"]

VERSION = 1

TABLES = MetaData()

STORE = Table(
    "palate_store",
    TABLES,
    Column("version", Integer, nullable=False),
)

ITEMS = Table(
    "palate_items",
    TABLES,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("id", Text, nullable=False, unique=True),
    Column("task", Text, nullable=False),
    # The comparison as JSON in ASCII: half an emoji or a NUL in a completion is no text to a database.
    Column("comparison", Text, nullable=False),
)

EVENTS = Table(
    "palate_events",
    TABLES,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("key", Text, nullable=False),
    Column("annotator", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("item", Text, ForeignKey(ITEMS.c.id), nullable=False),
    Column("repeat", Integer, nullable=False),
    Column("choice", Text),
    Column("left", Text),
    Column("note", Text, nullable=False),
    Column("seconds", Float),
    Column("undoes", Text),
    Column("source", Text, nullable=False),
    Column("created_at", Text, nullable=False),
    # The key first: it is what is looked for, and says nearly everything.
    UniqueConstraint("key", "annotator"),
    # Each event is undone once at most.
    UniqueConstraint("undoes", "annotator"),
    CheckConstraint("number > 0"),
)

SETTINGS = Table(
    "palate_settings",
    TABLES,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),  # JSON
)


def _refuse_changes(table: Table) -> None:
    for action in ("UPDATE", "DELETE"):
        trigger = (
            f"CREATE TRIGGER {table.name}_no_{action.lower()} BEFORE {action} ON {table.name} "
            f"BEGIN SELECT RAISE(ABORT, '{table.name} is only ever added to'); END"
        )
        event.listen(table, "after_create", DDL(trigger).execute_if(dialect="sqlite"))
    for statement in (
        f"CREATE FUNCTION {table.name}_is_only_added_to() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{table.name} is only ever added to'; END $$",
        f"CREATE TRIGGER {table.name}_only_added_to BEFORE UPDATE OR DELETE OR TRUNCATE ON {table.name} "
        f"FOR EACH STATEMENT EXECUTE FUNCTION {table.name}_is_only_added_to()",
    ):
        event.listen(table, "after_create", DDL(statement).execute_if(dialect="postgresql"))


_refuse_changes(ITEMS)
_refuse_changes(EVENTS)
