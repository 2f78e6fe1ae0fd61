"""How Alembic runs here: in the transaction that `dashboard.store.database` hands in, never by itself."""

from __future__ import annotations

from alembic import context

from dashboard.store.models import Base

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=Base.metadata,
    render_as_batch=True,  # SQLite cannot alter most of a table; it is made anew
    transactional_ddl=True,  # SQLite can do it too: an upgrade that is cut short leaves the old schema
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
