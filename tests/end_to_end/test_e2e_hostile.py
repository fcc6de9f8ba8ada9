"""Servers that mean harm, or stand in another's place: the run ends, in time and in little memory,
with the right code; and no token or key goes where it does not belong."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from certificates import certificate_for
from rig import Sandbox, faults
from rig.faults import Fault
from world import HURRY, Ran, World

from clio_broadly_sync.sandbox import Firm

GIB = 2**30
LITTLE = 256 * 1024
"""Kilobytes in memory at the most: a quarter of the body."""
SECONDS = 45.0
MATTERS = faults.on("/matters")

FLOODS: dict[str, Callable[[], Fault]] = {
    "a body of 1 GB": lambda: faults.huge_body(GIB),
    "gzip that unfolds to 1 GB": lambda: faults.gzip_bomb(GIB),
    "gzip in gzip": lambda: _twice_packed(),
    "millions of empty rows": lambda: faults.huge_body(2**22, fill=b"{},"),
    "a body that never ends": lambda: faults.huge_body(2**50),
}
HEADERS: dict[str, Fault] = {
    "one header of 1 MB": faults.headers(X_Padding="x" * 2**20),
    "1,000 headers of 1 KB": faults.headers(**{f"X_Padding_{n}": "x" * 1024 for n in range(1000)}),
    "a date of 60 KB": faults.headers(Date="Sun, " * 12_000),
    "a wait of 60,000 digits": faults.answer(429, headers={"Retry-After": "9" * 60_000}),
    "a rate limit without end": faults.headers(
        X_RateLimit_Remaining="0", X_RateLimit_Reset="9" * 12
    ),
}


def _twice_packed() -> Fault:
    """Say gzip twice over what was packed once: what unfolds is no gzip."""
    bomb = faults.gzip_bomb(GIB)

    def play(turn: faults.Turn) -> Any:
        delivery = bomb.play(turn)
        assert delivery.response is not None
        delivery.response.headers["Content-Encoding"] = "gzip, gzip"  # type: ignore[index]
        return delivery

    return Fault("gzip in gzip", play)


def _measured(world: World, *arguments: str, **settings: str | None) -> tuple[Ran, int]:
    """Run to the end, or for so long; return what the child needed of memory at most, in KB."""
    peak = world.folder.with_name(f"{world.folder.name}-peak")
    child = world.start(arguments, {**settings, "PEAK": str(peak)})
    alarm = threading.Timer(SECONDS, child.kill)
    alarm.start()
    try:
        ran = world.finish(child)
    finally:
        alarm.cancel()
    return ran, int(peak.read_text())


@pytest.mark.parametrize("name", FLOODS)
def test_clio_floods(world: World, name: str) -> None:
    """69 in little memory: nothing is recorded, and afterwards nobody is lost."""
    matter = world.closing().matter
    rule = world.clio.faults.add(FLOODS[name](), when=MATTERS, times=None)
    ran, kilobytes = _measured(world, "sync", "--json", **HURRY)
    assert (ran.code, world.rows(), world.posts) == (69, [], [])
    assert kilobytes < LITTLE
    rule.times = 0
    assert world.sync().code == 0
    assert world.asked == [matter]


@pytest.mark.parametrize("name", ["a body of 1 GB", "gzip that unfolds to 1 GB"])
def test_broadly_floods(world: World, name: str) -> None:
    """What it did is not known: held, in little memory, and nobody is asked again."""
    matter = world.closing().matter
    world.broadly.faults.add(FLOODS[name](), times=None)
    ran, kilobytes = _measured(world, "sync", "--json")
    assert (ran.code, ran.delivery) == (65, {"held": 1})
    assert kilobytes < LITTLE
    assert world.posts == [[matter]]


@pytest.mark.parametrize("name", HEADERS)
def test_headers_beyond_measure(world: World, name: str) -> None:
    """69 at once, without a wait that such a header asks for."""
    matters = world.closings(2)
    rule = world.clio.faults.add(HEADERS[name], when=MATTERS, times=None)
    ran, kilobytes = _measured(world, "sync", "--json", **HURRY)
    assert (ran.code, world.posts) == (69, [])
    assert kilobytes < LITTLE
    rule.times = 0
    assert world.sync().code == 0
    assert world.asked == matters


def test_headers_of_broadly_beyond_measure(world: World) -> None:
    """The batch may have been taken: held."""
    world.closing()
    world.broadly.faults.add(HEADERS["one header of 1 MB"])
    ran = world.sync("--json")
    assert (ran.code, ran.delivery) == (65, {"held": 1})


def test_redirects_carry_nothing_away(world: World) -> None:
    """78 for each kind, from either side; who stands at the other end hears nothing."""
    matter = world.closing().matter
    with Sandbox(Firm(contacts=0, matters=0)) as other:
        for status in (301, 307, 308):
            world.clio.faults.add(faults.redirect(other.clio.url, status), when=MATTERS)
            assert world.sync().code == 78
        for status in (302, 303, 307):
            world.broadly.faults.add(faults.redirect(other.broadly.endpoint, status))
            assert world.sync().code == 78
        assert other.clio.history == other.broadly.history == []
    assert world.sync().code == 0
    assert world.asked == [matter]


def test_next_page_over_another_scheme(world: World) -> None:
    """The same host and port by another scheme is another host: 78, and the page is not asked."""
    world.closing()
    there = world.clio.url.removeprefix("http://")
    world.forget()
    for link in (f"https://{there}/api/v4/matters.json", f"//{there}/x", f"ftp://{there}/x"):
        world.clio.faults.add(faults.next_link(link), when=MATTERS)
        assert world.sync("--json").code == 78, link
    assert world.paths == ["matters"] * 3
    assert (world.posts, world.rows()) == ([], [])


def test_pages_of_backfill_and_verify_end_too(world: World) -> None:
    """Whoever reads pages reads no endless ones."""
    world.closings(3)
    world.clio.faults.add(faults.endless_pages(), when=MATTERS, times=None)
    day = str(world.day())
    for command in (["backfill", "--from", day, "--to", day, "--yes"], ["verify"]):
        options = ["--against-clio", "7"] if command == ["verify"] else []
        ran, kilobytes = _measured(world, *command, *options, "--json")
        assert ran.code == 69
        assert kilobytes < LITTLE
    assert world.posts == []


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for a name that is not this machine's, with its key."""
    return certificate_for("clio.example", "DNS:clio.example", tmp_path_factory.mktemp("tls"))


@contextmanager
def _impostor(certificate: Path) -> Iterator[tuple[str, list[bytes]]]:
    """Listen with TLS under a wrong name; yield the address, and what was said under TLS."""
    heard: list[bytes] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    def serve() -> None:
        while True:
            connection, _ = listener.accept()
            with suppress(OSError), connection:
                connection.settimeout(5)
                with context.wrap_socket(connection, server_side=True) as wrapped:
                    heard.append(wrapped.recv(65536))

    def until_closed() -> None:
        with suppress(OSError):
            serve()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=until_closed, daemon=True)
        thread.start()
        yield f"https://127.0.0.1:{listener.getsockname()[1]}", heard
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()


@pytest.mark.parametrize("known", [True, False])
def test_clio_under_a_wrong_name(fresh: World, certificate: Path, known: bool) -> None:
    """78: whether or not its certificate is trusted, it gets no token, and no state is begun."""
    bundle = {"REQUESTS_CA_BUNDLE": str(certificate)} if known else {}
    with _impostor(certificate) as (url, heard):
        ran = fresh.sync("--json", CLIO_BASE_URL=url, **bundle)
        assert (ran.code, "TLS" in ran.err) == (78, True)
        assert b"".join(heard) == b""
    assert fresh.rows() == []


@pytest.mark.parametrize("known", [True, False])
def test_broadly_under_a_wrong_name(fresh: World, certificate: Path, known: bool) -> None:
    """78: it gets neither key nor client, and who was to go waits."""
    bundle = {"REQUESTS_CA_BUNDLE": str(certificate)} if known else {}
    with _impostor(certificate) as (url, heard):
        settings = {"BROADLY_URL": f"{url}/batch", **bundle}
        assert fresh.sync(**settings).code == 0
        fresh.later(minutes=1)
        matter = fresh.closing().matter
        ran = fresh.sync("--json", **settings)
        assert (ran.code, ran.delivery, "TLS" in ran.err) == (78, {"waiting": 1}, True)
        assert b"".join(heard) == b""
    assert fresh.ledger()[matter].state == "pending"
