"""keys of endpoints: the name of the variable that holds one."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Endpoints that were registered before want no key."""
    op.add_column("model", sa.Column("key", sa.Text(), nullable=False, server_default=""))
