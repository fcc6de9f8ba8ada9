"""The job as a user of dlt would write it.

There is a resource that remembers how far it got, a transformer that looks the clients up, and
Broadly as a custom destination.
"""

# mypy: disable-error-code="import-not-found, untyped-decorator"
# dlt is installed in a folder of the benchmark, and not beside this program.

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dlt
from dlt.sources.helpers import requests
from dlt.sources.helpers.rest_client import RESTClient
from dlt.sources.helpers.rest_client.auth import BearerTokenAuth
from dlt.sources.helpers.rest_client.paginators import JSONLinkPaginator

from tests.benchmark.job import AT_A_TIME, BATCH, CLOSED, Row, clients_of, customer, wanted

clio_url, broadly_url = sys.argv[1:]
auth = BearerTokenAuth("secret")
clio = RESTClient(
    f"{clio_url}/api/v4",
    auth=auth,
    paginator=JSONLinkPaginator(next_url_path="meta.paging.next"),
    data_selector="data",
)


since = dlt.sources.incremental("updated_at", initial_value="2020-01-01T00:00:00Z")


@dlt.resource(primary_key="id")
def closed_matters(updated_at: Any = since) -> Iterator[list[Row]]:
    asked = {**CLOSED, "updated_since": updated_at.start_value}
    yield from clio.paginate("matters.json", params=asked)


@dlt.transformer(data_from=closed_matters)
def customers(page: list[Row]) -> Iterator[list[Row]]:
    for start in range(0, len(page), AT_A_TIME):
        matters = page[start : start + AT_A_TIME]
        found = clio.get("contacts.json", params=clients_of(matters)).json()
        yield [customer(*both) for both in wanted(matters, found["data"])]


@dlt.destination(batch_size=BATCH)
def broadly(items: list[Row], table: Row) -> None:
    requests.post(broadly_url, json={"source": "clio", "customers": items}, auth=auth)


pipeline = dlt.pipeline("closings", destination=broadly, pipelines_dir=str(Path.cwd()))
pipeline.run(customers).raise_on_failed_jobs()
