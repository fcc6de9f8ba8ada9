"""Broadly's side: every row of the contract's tables, and what may be sent again and how."""

import json
import uuid
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
import requests
import responses
from parts import Clock, review_request, transport
from urllib3.exceptions import MaxRetryError, NewConnectionError, ProtocolError, SSLError

from clio_broadly_sync.domain.errors import (
    AddressError,
    ConfigError,
    DeniedError,
    RefusedError,
    StoppedError,
    SyncError,
    TooLateError,
    UnavailableError,
)
from clio_broadly_sync.domain.model import Outcome, Receipt, ReviewRequest
from clio_broadly_sync.sinks.batches import RefusalGuard, StillRunningError
from clio_broadly_sync.sinks.broadly import Broadly
from clio_broadly_sync.transport.session import HandshakeError
from clio_broadly_sync.transport.signals import Stop

URL = "https://reviews.example/v1/batch"
HEADERS = {"Authorization": "Bearer key"}
CLOSED_PORT = requests.ConnectionError(
    MaxRetryError(None, "/", NewConnectionError(None, "refused"))  # type: ignore[arg-type]
)
BAD_TLS = requests.exceptions.SSLError(
    MaxRetryError(None, "/", SSLError(HandshakeError("no")))  # type: ignore[arg-type]
)
TIMEOUT = requests.ReadTimeout("nothing came")
CUT = requests.exceptions.ChunkedEncodingError("cut")
SOON = {"Retry-After": "2"}

ACCEPTED, DUPLICATE, UNKNOWN = Outcome.ACCEPTED, Outcome.DUPLICATE, Outcome.UNKNOWN
REFUSED, REJECTED, RETRY = Outcome.REFUSED, Outcome.REJECTED, Outcome.RETRY


@dataclass
class Post:
    key: str
    body: bytes

    @property
    def numbers(self) -> list[int]:
        """Which requests it carried."""
        items = json.loads(self.body)["customers"]
        return [int(item["transactionId"].split(":")[2]) for item in items]


@dataclass
class Receiver:
    """Answers what the script says, POST by POST; when that is over, accepts everybody.

    A number in the script stands for that status; a word for results with it for each item.
    """

    script: list[Any]
    posts: list[Post] = field(default_factory=list)

    def __call__(self, request: requests.PreparedRequest) -> Any:
        post = Post(request.headers["Idempotency-Key"], request.body or b"")  # type: ignore[arg-type]
        self.posts.append(post)
        assert len(self.posts) < 100, "the batch goes round in circles"
        answer = self.script.pop(0) if self.script else "accepted"
        if isinstance(answer, Exception):
            return answer
        if isinstance(answer, str):
            answer = (200, results(post.numbers, answer))
        status, body, *headers = (answer, "") if isinstance(answer, int) else answer
        if callable(body):
            body = body(post.numbers)
        text = body if isinstance(body, str | bytes) else json.dumps(body)
        return status, dict(*headers), text

    @property
    def keys(self) -> list[str]:
        return [post.key for post in self.posts]

    @property
    def numbers(self) -> list[list[int]]:
        return [post.numbers for post in self.posts]


def results(numbers: Sequence[int], *words: str) -> dict[str, Any]:
    """Return a success: these words for the items, the last one for all that follow."""
    given = [*words, *[words[-1]] * len(numbers)]
    return {
        "results": [
            {"index": index, "externalId": f"clio:contact:{1200 + number}", "status": word}
            for index, (number, word) in enumerate(zip(numbers, given, strict=False))
        ]
    }


def _named(*indices: Any, code: Any = "invalid_email") -> dict[str, Any]:
    return {"code": "invalid", "errors": [{"index": index, "code": code} for index in indices]}


class Push:
    """What one batch after another came to."""

    def __init__(self, *script: Any, dedupes: bool = False, stop: Stop | None = None) -> None:
        self.clock = Clock()
        self.receiver = Receiver([*script])
        self.receipts: list[list[Receipt]] = []
        over = transport("Broadly", clock=self.clock, stop=stop)
        self.sink = RefusalGuard(Broadly(over, URL, HEADERS, dedupes=dedupes))
        self.withheld: list[int] = []
        """Which requests have a receipt that was withheld at first."""
        responses.add_callback("POST", URL, self.receiver)

    def send(self, *numbers: int, seconds: float = 900.0) -> "Push":
        deadline = self.clock.now() + seconds
        batch = [review_request(number) for number in numbers]
        for receipts in self.sink.send(batch, lambda: deadline - self.clock.now()):
            withheld = [receipt for receipt in receipts if receipt.outcome is Outcome.WITHHELD]
            self.withheld += [receipt.key.matter_id for receipt in withheld]
            if told := [receipt for receipt in receipts if receipt not in withheld]:
                self.receipts.append(told)
        return self

    def fails(self, error: type[SyncError], *numbers: int, seconds: float = 900.0) -> SyncError:
        with pytest.raises(error) as caught:
            self.send(*numbers, seconds=seconds)
        assert type(caught.value) is error
        return caught.value

    @property
    def outcomes(self) -> dict[int, Outcome]:
        """Each request's; there must be no two for one."""
        flat = [receipt for receipts in self.receipts for receipt in receipts]
        assert len({receipt.key for receipt in flat}) == len(flat)
        return {receipt.key.matter_id: receipt.outcome for receipt in flat}

    @property
    def causes(self) -> list[str | None]:
        return [receipt.cause for receipts in self.receipts for receipt in receipts]

    @property
    def codes(self) -> list[str | None]:
        return [receipt.code for receipts in self.receipts for receipt in receipts]


@pytest.fixture(autouse=True)
def _no_network() -> Iterator[None]:
    with responses.mock:
        yield


# What is sent


def _customer(**changes: Any) -> dict[str, str]:
    push = Push()
    request: ReviewRequest = review_request(7, **changes)
    list(push.sink.send([request], lambda: 900.0))
    (customer,) = json.loads(push.receiver.posts[0].body)["customers"]
    return customer  # type: ignore[no-any-return]


def test_request_is_as_in_the_contract() -> None:
    """One POST with key, credentials and the items, and nothing else of the client."""
    Push().send(7)
    sent = responses.calls[0].request
    assert sent.headers["Authorization"] == "Bearer key"
    assert sent.headers["Content-Type"] == "application/json"
    assert uuid.UUID(sent.headers["Idempotency-Key"])
    assert json.loads(sent.body or "") == {
        "source": "clio",
        "customers": [
            {
                "externalId": "clio:contact:1207",
                "transactionId": "clio:matter:7:2026-11-20",
                "transactionDate": "2026-11-20",
                "firstName": "Ada",
                "lastName": "Lovelace",
                "email": "ada7@example.com",
            }
        ],
    }


def test_company_has_one_name() -> None:
    """`companyName` stands for the other two."""
    customer = _customer(
        first_name=None, last_name=None, company_name="Engines", phone="+14155550123"
    )
    assert customer["companyName"] == "Engines"
    assert customer["phone"] == "+14155550123"
    assert {"firstName", "lastName"}.isdisjoint(customer)


@pytest.mark.parametrize("absent", [None, "", " \t\n", "\0\x7f", "\ud800"])
def test_absent_values_are_left_out(absent: str | None) -> None:
    """Never null, never empty."""
    assert "firstName" not in _customer(first_name=absent)


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("  Ada ", "Ada"),
        ("Ame\u0301lie", "Amélie"),
        ("Ame\0\u0301lie", "Amélie"),
        ("A\x00d\x1b[1ma\x85", "Ad[1ma"),
        ("Ada\ud83d", "Ada"),
        ("李 小龙", "李 小龙"),
        ("x" * 300, "x" * 255),
        ("x" * 254 + " y", "x" * 254),
    ],
)
def test_names_are_cleaned(name: str, sent: str) -> None:
    """Trimmed, NFC, without control characters, at most 255."""
    assert _customer(first_name=name)["firstName"] == sent


def test_nobody_is_no_request() -> None:
    """An empty batch is not sent."""
    push = Push().send()
    assert (push.receipts, push.receiver.posts) == ([], [])


# Success


@pytest.mark.parametrize("status", [200, 201, 202, 207])
@pytest.mark.parametrize(
    ("word", "outcome"),
    [
        ("accepted", ACCEPTED),
        ("duplicate", DUPLICATE),
        ("suppressed", Outcome.SUPPRESSED),
        ("rejected", REJECTED),
        ("retry", RETRY),
        ("queued", UNKNOWN),
        ("Accepted", UNKNOWN),
        ("", UNKNOWN),
    ],
)
def test_word_of_an_item(status: int, word: str, outcome: Outcome) -> None:
    """Each has its own outcome; any other word leaves it unknown."""
    push = Push((status, lambda numbers: results(numbers, word, "accepted"))).send(1, 2)
    assert push.outcomes == {1: outcome, 2: ACCEPTED}


def test_results_in_any_order() -> None:
    """They are matched by index."""
    answer = results([1, 2, 3], "accepted", "rejected", "duplicate")
    answer["results"].reverse()
    assert Push((200, answer)).send(1, 2, 3).outcomes == {1: ACCEPTED, 2: REJECTED, 3: DUPLICATE}


@pytest.mark.parametrize("status", [5, None, True, ["accepted"], {}])
def test_word_of_another_type(status: Any) -> None:
    """It is any other word."""
    answer = {"results": [{"index": 0, "status": status}, {"index": 1, "status": "accepted"}]}
    assert Push((200, answer)).send(1, 2).outcomes == {1: UNKNOWN, 2: ACCEPTED}


def test_no_result_for_an_item() -> None:
    """It is unknown; the others are not."""
    answer = {"results": [{"index": 1, "status": "accepted"}]}
    assert Push((200, answer)).send(1, 2).outcomes == {1: UNKNOWN, 2: ACCEPTED}


@pytest.mark.parametrize("body", ["", "  ", "{}", '{"batchId": "b_1"}', b"\xef\xbb\xbf{}"])
def test_bare_202(body: str) -> None:
    """Empty, or an object without results: all accepted."""
    assert Push((202, body)).send(1, 2).outcomes == {1: ACCEPTED, 2: ACCEPTED}


OK = '{"index": 0, "status": "accepted"}'
TELLS_NOTHING = [
    *[(202, body) for body in ("[]", "null", "x", "{", '{"a": NaN}', '{"results": null}')],
    *[(200, body) for body in ("", "{}", "[]", "null", "<html>", '{"results": {}}')],
    (200, '{"error": {"code": "x"}}'),
    (200, '{"results": [' + OK),
    (200, '{"results": [' + OK + '], "results": []}'),
    (200, '{"results": [5]}'),
    (200, '{"results": [{"status": "accepted"}]}'),
    (200, '{"results": [{"index": "0", "status": "accepted"}]}'),
    (200, '{"results": [{"index": true, "status": "accepted"}]}'),
    (200, '{"results": [{"index": 0.0, "status": "accepted"}]}'),
    (200, '{"results": [{"index": -1, "status": "accepted"}]}'),
    (200, '{"results": [' + OK + ', {"index": 2, "status": "accepted"}]}'),
    (200, '{"results": [' + OK + ", " + OK + "]}"),
    (200, '{"results": [{"index": 0, "externalId": "clio:contact:9", "status": "accepted"}]}'),
    (200, '{"results": [{"index": 0, "externalId": null, "status": "accepted"}]}'),
    (200, results([2, 1], "accepted")),
    (200, "[" * 50_000),
    (203, ""),
    (204, ""),
    (206, "{}"),
]


@pytest.mark.parametrize("answer", TELLS_NOTHING)
def test_success_that_tells_nothing(answer: tuple[int, Any]) -> None:
    """The outcome of the whole batch is unknown; without dedupes it is not sent again."""
    push = Push(answer)
    with suppress(UnavailableError):
        push.send(1, 2)
    assert push.outcomes == {1: UNKNOWN, 2: UNKNOWN}
    assert len(push.receiver.posts) == 1


@pytest.mark.parametrize("answer", TELLS_NOTHING)
def test_success_that_tells_nothing_where_repeats_are_safe(answer: tuple[int, Any]) -> None:
    """The same bytes go again in this run, under a new key: that answer was a complete one."""
    push = Push(answer, "duplicate", dedupes=True).send(1, 2)
    assert push.outcomes == {1: DUPLICATE, 2: DUPLICATE}
    first, second = push.receiver.posts
    assert first.body == second.body
    assert first.key != second.key


@pytest.mark.parametrize(
    ("code", "kept"),
    [
        ("invalid_email", "invalid_email"),
        ("a.b-c_9", "a.b-c_9"),
        ("x" * 64, "x" * 64),
        ("x" * 65, None),
        ("", None),
        ("Invalid", None),
        ("ada@example.com", None),
        ("a code", None),
        ("code\n", None),
        (5, None),
        (None, None),
        (["x"], None),
    ],
)
def test_only_codes_are_kept(code: Any, kept: str | None) -> None:
    """A message may repeat the client's data; so may what only looks like a code."""
    item = {"index": 0, "status": "rejected", "error": {"code": code, "message": "Ada"}}
    push = Push((200, {"results": [item]}), (422, _named(0, code=code)), (400, {"code": code}))
    push.send(1).send(2).send(3)
    push.receipts.append(push.sink.close())
    assert push.codes == [kept, kept, kept]


@pytest.mark.parametrize(("reason", "kept"), [("unsubscribed", "unsubscribed"), ("No, Ada!", None)])
def test_reason_is_a_code_too(reason: str, kept: str | None) -> None:
    """Of a suppressed item."""
    answer = {"results": [{"index": 0, "status": "suppressed", "reason": reason}]}
    assert Push((200, answer)).send(1).codes == [kept]


# Refusals that are about items


@pytest.mark.parametrize("status", [400, 422])
def test_named_items_are_refused_alone(status: int) -> None:
    """The rest goes again as a new batch, under a new key."""
    push = Push((status, _named(1, 3, 1)), "accepted").send(1, 2, 3, 4, 5)
    assert push.outcomes == {
        **{1: ACCEPTED, 2: REFUSED, 3: ACCEPTED, 4: REFUSED, 5: ACCEPTED},
    }
    assert push.receiver.numbers == [[1, 2, 3, 4, 5], [1, 3, 5]]
    assert len(set(push.receiver.keys)) == 2


@pytest.mark.parametrize("status", [400, 422])
@pytest.mark.parametrize(
    "body",
    [
        "",
        "<html>",
        {},
        {"errors": []},
        {"errors": "x"},
        {"errors": [5]},
        _named(4),
        _named(-1),
        _named(0, 4),
        _named("0"),
        _named(True),
        _named(None),
        {"errors": [{"index": 0}, {"code": "x"}]},
    ],
)
def test_unnamed_item_is_found_by_halving(status: int, body: Any) -> None:
    """An index that fits no item names none."""
    bad = (status, body)
    push = Push(bad, "accepted", bad, bad, "accepted").send(1, 2, 3, 4)
    assert push.receiver.numbers == [[1, 2, 3, 4], [1, 2], [3, 4], [3], [4]]
    assert push.outcomes == {1: ACCEPTED, 2: ACCEPTED, 3: REFUSED, 4: ACCEPTED}
    assert len(set(push.receiver.keys)) == 5


def test_receipts_come_post_by_post() -> None:
    """Each is settled before the next POST begins."""
    push = Push(422, "accepted", "accepted")
    sending = push.sink.send([review_request(1), review_request(2)], lambda: 900.0)
    next(sending)
    assert push.receiver.numbers == [[1, 2], [1]]
    next(sending)
    assert push.receiver.numbers == [[1, 2], [1], [2]]


def test_too_large() -> None:
    """Halved, and the smaller size holds for the rest of the batch and of the run."""
    push = Push(422, "accepted", 413).send(1, 2, 3, 4, 5, 6, 7, 8)
    assert push.receiver.numbers == [
        [1, 2, 3, 4, 5, 6, 7, 8],
        [1, 2, 3, 4],
        [5, 6, 7, 8],
        [5, 6],
        [7, 8],
    ]
    push.send(11, 12, 13, 14, 15)
    assert push.receiver.numbers[5:] == [[11, 12], [13, 14], [15]]
    assert set(push.outcomes.values()) == {ACCEPTED}


def test_too_large_with_more_to_come() -> None:
    """What was cut at the old size is cut again, without asking."""
    push = Push(422, 413).send(*range(1, 9))
    assert push.receiver.numbers == [
        *[[1, 2, 3, 4, 5, 6, 7, 8], [1, 2, 3, 4]],
        *[[1, 2], [3, 4], [5, 6], [7, 8]],
    ]


def test_two_are_too_large() -> None:
    """From then on each goes alone."""
    push = Push(413).send(1, 2).send(3, 4)
    assert push.receiver.numbers == [[1, 2], [1], [2], [3], [4]]


def test_too_large_alone() -> None:
    """It is refused alone; named items do not count in a 413."""
    alone = {**_named(0), "code": "too_large"}
    push = Push("accepted", (413, _named(0, 1)), (413, alone), "accepted")
    push.send(9).send(1, 2)
    assert push.outcomes == {9: ACCEPTED, 1: REFUSED, 2: ACCEPTED}
    assert push.codes == [None, "too_large", None]


# Refusals that are about the contract


def test_refusals_are_kept_back_until_one_is_accepted() -> None:
    """Then they are settled, before it."""
    push = Push(422, 422).send(1).send(2)
    assert push.receipts == []
    assert push.withheld == [1, 2]
    push.send(3)
    assert push.outcomes == {1: REFUSED, 2: REFUSED, 3: ACCEPTED}
    assert push.sink.close() == []
    assert push.withheld == [1, 2]


def test_refusals_are_settled_at_the_end() -> None:
    """Two are too few to blame the contract."""
    push = Push(422, 422).send(1).send(2)
    assert [receipt.outcome for receipt in push.sink.close()] == [REFUSED, REFUSED]
    assert push.sink.close() == []


@pytest.mark.parametrize("numbers", [[[1], [2], [3]], [[1, 2, 3]], [[1], [2, 3]]])
def test_third_refusal_stops(numbers: list[list[int]]) -> None:
    """Alone, or all of a batch named: nobody has a receipt, the first two neither."""
    script = [(422, _named(*range(len(batch)))) for batch in numbers]
    push = Push(*script)
    for batch in numbers[:-1]:
        push.send(*batch)
    push.fails(ConfigError, *numbers[-1])
    assert (push.receipts, push.sink.close()) == ([], [])


def test_all_refused_by_halving_stops() -> None:
    """At the third one that stands alone; the rest is not tried."""
    push = Push(*[422] * 20)
    push.fails(ConfigError, *range(1, 9))
    assert push.receiver.numbers[-1] == [3]
    assert (push.receipts, push.sink.close()) == ([], [])


def test_three_named_among_others_are_the_items() -> None:
    """The rest of that batch was not refused."""
    push = Push((422, _named(0, 1, 2))).send(1, 2, 3, 4)
    assert push.outcomes == {1: REFUSED, 2: REFUSED, 3: REFUSED, 4: ACCEPTED}


def test_after_an_acceptance_refusals_are_the_items() -> None:
    """However many."""
    push = Push("duplicate", *[422] * 5, (422, _named(0, 1, 2, 3))).send(9)
    for number in range(1, 6):
        push.send(number)
    push.send(11, 12, 13, 14)
    assert list(push.outcomes.values()) == [DUPLICATE, *[REFUSED] * 9]


def test_what_is_not_accepted_is_no_acceptance() -> None:
    """Rejected, suppressed or in doubt: the contract may be at fault still."""
    push = Push("rejected", "suppressed", "queued", 422, 422, 422)
    push.send(1).send(2).send(3).send(4).send(5)
    push.fails(ConfigError, 6)


# Refusals that stop


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (401, DeniedError),
        (404, AddressError),
        (402, RefusedError),
        (415, RefusedError),
        ((308, "", {"Location": URL}), AddressError),
        (BAD_TLS, ConfigError),
    ],
)
@pytest.mark.parametrize("dedupes", [True, False])
def test_key_or_address_is_wrong(answer: Any, error: type[SyncError], dedupes: bool) -> None:
    """Stop at once; nobody's outcome is in doubt."""
    push = Push(answer, dedupes=dedupes)
    push.fails(error, 1, 2)
    assert (push.receipts, len(push.receiver.posts)) == ([], 1)


def test_410_is_a_wrong_address() -> None:
    """It comes as a refusal of the request, which is a setting to mend all the same."""
    push = Push(410)
    with pytest.raises(ConfigError):
        push.send(1, 2)
    assert (push.receipts, len(push.receiver.posts)) == ([], 1)


# Safe to repeat


@pytest.mark.parametrize(
    ("answer", "same_key"),
    [
        ((429, "", SOON), False),
        ((503, "", SOON), False),
        ((503, "", {"Retry-After": "1.1"}), False),
        (429, False),
        (CLOSED_PORT, True),
        (requests.ConnectTimeout("slow"), True),
    ],
)
@pytest.mark.parametrize("dedupes", [True, False])
def test_refused_or_never_arrived(answer: Any, same_key: bool, dedupes: bool) -> None:
    """The same bytes again, under a new key where the first was answered."""
    push = Push(answer, "accepted", dedupes=dedupes).send(1, 2)
    assert push.outcomes == {1: ACCEPTED, 2: ACCEPTED}
    first, second = push.receiver.posts
    assert first.body == second.body
    assert (first.key == second.key) is same_key
    if isinstance(answer, tuple):
        assert push.clock.waits == [2.0]


@pytest.mark.parametrize("answer", [(429, "", SOON), CLOSED_PORT])
@pytest.mark.parametrize("dedupes", [True, False])
def test_busy_for_too_long(answer: Any, dedupes: bool) -> None:
    """After the last attempt the run ends cleanly: nobody has a receipt."""
    push = Push(*[answer] * 9, dedupes=dedupes)
    error = push.fails(UnavailableError, 1, 2)
    assert isinstance(error, UnavailableError)
    assert not error.outcome_unknown
    assert (push.receipts, len(push.receiver.posts)) == ([], 5)


def test_wait_that_outlasts_the_readings() -> None:
    """It is not begun; the error carries it."""
    push = Push((429, "", {"Retry-After": "901"}))
    error = push.fails(UnavailableError, 1, seconds=900)
    assert isinstance(error, UnavailableError)
    assert error.retry_after == 901
    assert (push.clock.waits, push.receipts) == ([], [])


# Outcome unknown


LOST = [TIMEOUT, CUT, requests.ConnectionError("Connection aborted"), 408, 425, 500, 502, 503, 504]
ANSWERED = (408, 425, 500, 502, 503, 504)


@pytest.mark.parametrize("answer", LOST)
def test_unknown_outcome_without_dedupes(answer: Any) -> None:
    """It is not sent again: a client asked twice is worse than one asked late."""
    push = Push(answer)
    push.fails(UnavailableError, 1, 2)
    assert push.outcomes == {1: UNKNOWN, 2: UNKNOWN}
    assert len(push.receiver.posts) == 1


@pytest.mark.parametrize("answer", LOST)
def test_unknown_outcome_with_dedupes(answer: Any) -> None:
    """The same bytes again; under the same key only where no complete answer came."""
    push = Push(answer, "duplicate", dedupes=True).send(1, 2)
    assert push.outcomes == {1: DUPLICATE, 2: DUPLICATE}
    first, second = push.receiver.posts
    assert first.body == second.body
    assert (first.key == second.key) is (answer not in ANSWERED)


@pytest.mark.parametrize(
    ("later", "error"),
    [
        ([TIMEOUT] * 9, UnavailableError),
        ([(429, "", SOON)] * 9, UnavailableError),
        ([(429, "", {"Retry-After": "9999"})], UnavailableError),
        ([CLOSED_PORT] * 9, UnavailableError),
        ([401], DeniedError),
        ([403], DeniedError),
        ([404], AddressError),
        ([BAD_TLS], ConfigError),
        ([(302, "")], AddressError),
    ],
)
def test_doubt_outlives_what_comes_later(later: list[Any], error: type[SyncError]) -> None:
    """How a later attempt ends does not say what became of the first."""
    push = Push(TIMEOUT, *later, dedupes=True)
    push.fails(error, 1, 2)
    assert push.outcomes == {1: UNKNOWN, 2: UNKNOWN}


@pytest.mark.parametrize("doubt", [TIMEOUT, 500, (200, {"results": []})], ids=str)
@pytest.mark.parametrize("refusal", [(422, _named(0)), 422, 400, 413])
def test_refusal_after_a_doubt(doubt: Any, refusal: Any) -> None:
    """It says nothing of the first try: neither refused nor halved; the next batch goes on."""
    push = Push(doubt, refusal, dedupes=True).send(1, 2).send(3)
    assert push.outcomes == {1: UNKNOWN, 2: UNKNOWN, 3: ACCEPTED}
    assert push.receiver.numbers == [[1, 2], [1, 2], [3]]


@pytest.mark.parametrize(
    ("word", "outcome"),
    [
        ("accepted", ACCEPTED),
        ("duplicate", DUPLICATE),
        ("rejected", REJECTED),
        ("suppressed", Outcome.SUPPRESSED),
        ("retry", UNKNOWN),
    ],
)
def test_result_after_a_doubt(word: str, outcome: Outcome) -> None:
    """Only a result for the item settles it; `retry` is none that says it was not accepted."""
    assert Push(TIMEOUT, word, dedupes=True).send(1).outcomes == {1: outcome}


def test_doubt_is_not_repeated_with_old_readings() -> None:
    """Once they are too old to be sent it stays a doubt."""
    push = Push(TIMEOUT, TIMEOUT, TIMEOUT, dedupes=True)
    push.fails(UnavailableError, 1, seconds=1e-9)
    assert push.outcomes == {1: UNKNOWN}
    assert len(push.receiver.posts) == 1


def test_old_readings_are_not_sent() -> None:
    """Nor is their outcome in doubt."""
    push = Push()
    push.fails(TooLateError, 1, seconds=0.0)
    assert (push.receipts, push.receiver.posts) == ([], [])


def test_items_without_a_result_go_again_where_repeats_are_safe() -> None:
    """What has a result is settled first; the rest is a new batch, with its doubt."""
    push = Push(
        (200, lambda numbers: results(numbers, "accepted", "queued", "rejected", "queued")),
        (200, lambda numbers: results(numbers, "duplicate", "retry")),
        dedupes=True,
    ).send(1, 2, 3, 4)
    assert push.receiver.numbers == [[1, 2, 3, 4], [2, 4]]
    assert [len(receipts) for receipts in push.receipts] == [2, 2]
    assert push.outcomes == {1: ACCEPTED, 3: REJECTED, 2: DUPLICATE, 4: UNKNOWN}


@pytest.mark.parametrize(
    "answer",
    [
        (200, lambda numbers: results(numbers, "queued")),
        (200, lambda numbers: results(numbers[::-1], "accepted")),
        (200, {"results": []}),
    ],
)
def test_receiver_that_never_gives_a_result(answer: Any) -> None:
    """Once more in this run; then it stays unknown, and does not keep the others waiting."""
    push = Push(answer, answer, dedupes=True).send(1, 2).send(3)
    assert push.outcomes == {1: UNKNOWN, 2: UNKNOWN, 3: ACCEPTED}
    assert push.receiver.numbers == [[1, 2], [1, 2], [3]]


def test_answers_that_cannot_be_read_stop() -> None:
    """After the last attempt: in doubt, and the receiver is out of order."""
    push = Push(*[(200, "<html>")] * 9, dedupes=True)
    error = push.fails(UnavailableError, 1)
    assert str(error).startswith("Broadly answered what cannot be read")
    assert push.outcomes == {1: UNKNOWN}
    assert len(push.receiver.posts) == 5


# Why it is unknown


CAUSES = [
    (408, "http_408"),
    (500, "http_500"),
    (503, "http_503"),
    (599, "http_599"),
    (TIMEOUT, "timeout"),
    (CUT, "unreadable"),
    (requests.ConnectionError(ProtocolError("Aborted", ConnectionResetError())), "cut"),
    ((200, "<html>"), "not_json"),
    ((200, ""), "not_json"),
    ((202, "OK"), "not_json"),
    ((200, "[]"), "no_results"),
    ((200, '{"error": {"code": "x"}}'), "no_results"),
    ((202, '{"results": null}'), "no_results"),
    ((200, '{"results": []}'), "no_result"),
    ((200, lambda numbers: results(numbers, "queued")), "no_result"),
]


@pytest.mark.parametrize(("answer", "cause"), CAUSES)
@pytest.mark.parametrize("dedupes", [True, False])
def test_receipt_holds_the_cause(answer: Any, cause: str, dedupes: bool) -> None:
    """A word for what became of the try, so that an outage is told from an answer in error."""
    push = Push(*[answer] * 9, dedupes=dedupes)
    with suppress(UnavailableError):
        push.send(1, 2)
    assert push.causes == [cause, cause]


def test_only_an_unknown_outcome_has_a_cause() -> None:
    """What has a result has its result."""
    words = ("accepted", "rejected", "retry", "queued")
    push = Push((200, lambda numbers: results(numbers, *words))).send(1, 2, 3, 4)
    assert push.causes == [None, None, None, "no_result"]


@pytest.mark.parametrize("later", [401, 422, 404, (429, "", {"Retry-After": "9999"})])
def test_cause_is_of_the_try_that_is_in_doubt(later: Any) -> None:
    """Not of a later one, which is known not to have been taken; nor of `retry` after it."""
    push = Push(502, later, dedupes=True)
    with suppress(SyncError):
        push.send(1, 2)
    assert push.causes == ["http_502", "http_502"]
    assert Push(502, "retry", dedupes=True).send(1).causes == ["http_502"]


def test_first_try_that_never_ends_is_the_cause() -> None:
    """Broadly says so with 409."""
    push = Push(*[409] * 9)
    push.fails(StillRunningError, 1)
    assert push.causes == ["http_409"]


# 409


@pytest.mark.parametrize("dedupes", [True, False])
def test_first_try_still_runs(dedupes: bool) -> None:
    """Wait; the same key and bytes; its result settles it."""
    push = Push(409, 409, "accepted", dedupes=dedupes).send(1, 2)
    assert push.outcomes == {1: ACCEPTED, 2: ACCEPTED}
    assert len(set(push.receiver.keys)) == 1
    assert len({post.body for post in push.receiver.posts}) == 1
    assert len(push.clock.waits) == 2


@pytest.mark.parametrize("dedupes", [True, False])
def test_first_try_runs_for_ever(dedupes: bool) -> None:
    """Attempts spent: unknown."""
    push = Push(*[409] * 9, dedupes=dedupes)
    with pytest.raises(UnavailableError, match=r"^Broadly is still at work"):
        push.send(1)
    assert push.outcomes == {1: UNKNOWN}
    assert len(push.receiver.posts) == 5


@pytest.mark.parametrize("answer", [(429, "", SOON), (503, "", SOON), 500, TIMEOUT, 422, 413, 401])
def test_no_new_key_while_the_first_try_may_run(answer: Any) -> None:
    """Without dedupes another key would be another request: it ends in doubt."""
    push = Push(409, answer, "accepted")
    with suppress(UnavailableError, DeniedError):
        push.send(1)
    assert push.outcomes == {1: UNKNOWN}
    assert len(push.receiver.posts) == 2


def test_first_try_out_of_reach() -> None:
    """A connection that never stood leaves the key as it was, so it may go on."""
    push = Push(409, CLOSED_PORT, "accepted").send(1)
    assert push.outcomes == {1: ACCEPTED}
    assert len(set(push.receiver.keys)) == 1


# Signals


def test_signal_between_two_posts() -> None:
    """What was answered is settled, what was not begun is not."""
    stop = Stop()
    push = Push(422, "accepted", stop=stop)
    sending = push.sink.send([review_request(1), review_request(2)], lambda: 900.0)
    assert [receipt.outcome for receipt in next(sending)] == [ACCEPTED]
    stop.ask(15)
    with pytest.raises(StoppedError):
        next(sending)
    assert push.receiver.numbers == [[1, 2], [1]]


def test_signal_before_a_repeat() -> None:
    """What is in doubt stays so."""
    stop = Stop()
    push = Push(TIMEOUT, dedupes=True, stop=stop)
    push.clock.at_sleep = lambda: stop.ask(15)
    push.fails(StoppedError, 1)
    assert push.outcomes == {1: UNKNOWN}
    assert len(push.receiver.posts) == 1
