"""Are the tables such that this image's code runs on them? Run by `helm test` as the ledger's own login, which may read and insert."""

import os
import sys
from pathlib import Path

from services.ledger.adapters.database import newest_revision, open_engine, revision_of
from services.ledger.adapters.schema import fits
from services.ledger.settings import url_in

origin = os.environ["BULKHEAD_DATABASE_URL_FILE"]
engine = open_engine(url_in(Path(origin).read_text(), origin))
found, wanted = revision_of(engine), newest_revision()
print(f"the tables are at {found}, this code makes {wanted}")
sys.exit(not fits(found, wanted))
