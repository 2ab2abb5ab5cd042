"""How Alembic runs here: on the connection and in the transaction of whoever called it (adapters/database.py)."""

from alembic import context

from services.ledger.adapters.tables import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    transactional_ddl=True,  # true of SQLite too, because our transactions are begun by hand
)
with context.begin_transaction():
    context.run_migrations()
