"""The job as a user of singer-sdk would write it: a tap, and a target that it is piped into."""

# mypy: disable-error-code="import-not-found, misc"
# singer-sdk is installed in a folder of the benchmark, and not beside this program.

import sys
from collections.abc import Iterator
from typing import ClassVar
from urllib.parse import ParseResult

import requests
from singer_sdk import BatchSink, RESTStream, Tap, Target
from singer_sdk import typing as th
from singer_sdk.authenticators import BearerTokenAuthenticator
from singer_sdk.pagination import BaseHATEOASPaginator
from singer_sdk.streams.rest import HTTPRequest, PageContext

from tests.benchmark.job import AT_A_TIME, BATCH, CLOSED, Row, clients_of, customer, wanted

SENT = (
    "externalId", "transactionId", "transactionDate", "firstName", "lastName", "email", "phone",
)  # fmt: skip


class NextPage(BaseHATEOASPaginator):
    def get_next_url(self, response: requests.Response) -> str | None:
        url: str | None = response.json()["meta"]["paging"].get("next")
        return url


class Customers(RESTStream[ParseResult]):
    """The clients to send; between runs it remembers when a matter was last changed."""

    name = "customers"
    path = "/api/v4/matters.json"
    primary_keys = ("transactionId",)
    replication_key = "updated_at"
    schema: ClassVar[Row] = th.PropertiesList(
        *(th.Property(name, th.StringType) for name in SENT),
        th.Property("updated_at", th.DateTimeType),
    ).to_dict()

    @property
    def url_base(self) -> str:
        return str(self.config["clio_url"])

    @property
    def authenticator(self) -> BearerTokenAuthenticator:
        return BearerTokenAuthenticator(token=self.config["token"])

    def get_new_paginator(self) -> NextPage:
        return NextPage()

    def get_http_request(self, *, page: PageContext[ParseResult]) -> HTTPRequest:
        request = super().get_http_request(page=page)
        if page.next_page_token:
            request.url = page.next_page_token.geturl()
        else:
            since = self.get_starting_timestamp(page.stream_context)
            request.params = {**CLOSED, "updated_since": since.isoformat()}
        return request

    def parse_response(self, response: requests.Response) -> Iterator[Row]:
        page = response.json()["data"]
        for start in range(0, len(page), AT_A_TIME):
            yield from self._customers(page[start : start + AT_A_TIME])

    def _customers(self, matters: list[Row]) -> Iterator[Row]:
        answer = self.requests_session.get(
            f"{self.url_base}/api/v4/contacts.json",
            params=clients_of(matters),
            auth=self.authenticator,
        )
        self.validate_response(answer)
        for matter, contact in wanted(matters, answer.json()["data"]):
            yield {**customer(matter, contact), "updated_at": matter["updated_at"]}


class TapClio(Tap):
    name = "tap-clio"
    config_jsonschema: ClassVar[Row] = th.PropertiesList(
        th.Property("clio_url", th.StringType, required=True),
        th.Property("token", th.StringType, required=True, secret=True),
        th.Property("start_date", th.DateTimeType, required=True),
    ).to_dict()

    def discover_streams(self) -> list[Customers]:
        return [Customers(self)]


class BroadlySink(BatchSink):
    max_size = BATCH
    session = requests.Session()

    def process_batch(self, context: Row) -> None:
        customers = [{name: row[name] for name in SENT} for row in context["records"]]
        self.session.post(
            self.config["broadly_url"],
            json={"source": "clio", "customers": customers},
            headers={"Authorization": f"Bearer {self.config['key']}"},
        ).raise_for_status()


class TargetBroadly(Target):
    name = "target-broadly"
    default_sink_class = BroadlySink
    config_jsonschema: ClassVar[Row] = th.PropertiesList(
        th.Property("broadly_url", th.StringType, required=True),
        th.Property("key", th.StringType, required=True, secret=True),
    ).to_dict()


if __name__ == "__main__":
    (TapClio if sys.argv.pop(1) == "tap" else TargetBroadly).cli()
