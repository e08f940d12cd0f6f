"""Alembic's environment: works on the connection that ``migrate.upgrade`` hands over."""

from __future__ import annotations

from alembic import context
from sqlalchemy import text

connection = context.config.attributes["connection"]
connection.execute(text("create schema if not exists warehouse"))
context.configure(connection=connection, version_table_schema="warehouse")
with context.begin_transaction():
    context.run_migrations()
