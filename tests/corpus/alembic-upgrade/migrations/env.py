from alembic import context
from sqlalchemy import create_engine

from main import DATABASE_URL

with create_engine(DATABASE_URL).connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
