"""Are the tables at the revision that this image's code brings? Run by `helm test` as the ledger's own login, which may read and insert."""

import os
import sys
from pathlib import Path

from sqlalchemy import text

from services.ledger.adapters.database import newest_revision, open_engine
from services.ledger.settings import url_in

origin = os.environ["BULKHEAD_DATABASE_URL_FILE"]
engine = open_engine(url_in(Path(origin).read_text(), origin))
with engine.connect() as connection:
    found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
wanted = newest_revision()
print(f"the tables are at {found}, this code wants {wanted}")
sys.exit(found != wanted)
