"""Puts a restored log (`bulkhead restore --home X`, mounted at /from) into the bus's volume (mounted at /data), as the user that the bus runs as (docs/BACKUP_RECOVERY.md)."""

import os
import shutil

owner = int(os.environ["OWNER"])
shutil.rmtree("/data/jetstream", ignore_errors=True)
shutil.copytree("/from/jetstream", "/data/jetstream")
for folder, _, names in os.walk("/data"):
    for path in (folder, *(os.path.join(folder, name) for name in names)):
        os.chown(path, owner, owner)
