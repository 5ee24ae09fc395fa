"""Deliver: write the lists of the run that readers use into a PostgreSQL database."""

import logging
import os
from typing import Any

from cofi_jobs.core import postgres
from cofi_jobs.core.credentials import DATABASE
from cofi_jobs.core.errors import SettingsError, StoreError
from cofi_jobs.delivery.tables import TABLES, fingerprint, schemas
from cofi_jobs.delivery.target import Target
from cofi_jobs.settings.fields import Settings
from cofi_jobs.store.store import Store

log = logging.getLogger(__name__)


def run(store: Store, settings: Settings, run_key: str) -> dict[str, Any]:
    """Deliver the run that readers of the store use now, whichever run this task is of.

    So a late or repeated task never replaces a newer run by an older one. Raises SettingsError
    without an address, DataError if the database refuses a statement, ConnectionError if it cannot
    be reached.
    """
    address = os.environ.get(DATABASE)
    if not address:
        raise SettingsError(
            f"found no {DATABASE}, expected the address of a database: {postgres.ADDRESS}"
        )
    with postgres.session(DATABASE, address) as session:
        target = Target(session, settings.deliver_schema)
        with target.lock():
            key = store.current()
            manifest = store.manifest(key) if key else None
            if key is None or manifest is None:
                raise StoreError(f"found no published run in {store.root}, expected one to deliver")
            content = fingerprint(manifest)
            target.create(schemas(manifest))
            if target.delivered() == (key, content):
                log.info("run %s is delivered already", key)
                rows = 0
            else:
                rows = target.deliver(store, manifest, content)
            target.remove_staging()
    writes = [postgres.uri(address, settings.deliver_schema, table) for table in TABLES]
    return {"delivered": key, "rows": rows, "writes": writes}
