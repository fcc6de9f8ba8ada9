"""Messages by apprise: what arrives, and that nothing a receiver does reaches whoever sends."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from socket import socket
from typing import Any

import pytest
from notified import Notified
from rig import faults
from surroundings import at_once

from clio_broadly_sync import notify
from clio_broadly_sync.domain.credentials import Secret

Listen = Callable[[Callable[[socket], object]], int]


def test_title_and_text_arrive(capfd: pytest.CaptureFixture[str]) -> None:
    """At every address, whatever the others do; and nothing of it is printed."""
    with Notified() as running:
        running.faults.add(faults.answer(500), times=1)
        addresses = [Secret(running.address), Secret("nonsense://s3cret"), Secret(running.address)]
        worked = notify.send(addresses, "Prüfung", "1 – 2\n3")
        said = [json.loads(exchange.request.body) for exchange in running.history]
    assert sorted(worked) == [False, False, True]
    assert [(one["title"], one["message"]) for one in said] == [("Prüfung", "1 – 2\n3")] * 2
    assert capfd.readouterr() == ("", "")


def test_receiver_that_hangs(listen: Listen, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is left behind when the time is over; who took the message by then is known."""
    monkeypatch.setattr(notify, "WHOLE_CALL_SECONDS", 6.0)
    port = listen(lambda connection: connection.recv(1 << 20) and connection.recv(1))
    hanging = Secret(f"json://127.0.0.1:{port}/?rto=60")
    with Notified() as running, at_once():
        assert notify.send([hanging, Secret(running.address)], "t", "b") == [False, True]


def test_no_process_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*command: Any, **named: Any) -> None:
        raise OSError

    monkeypatch.setattr(subprocess, "run", refuse)
    assert notify.send([Secret("json://127.0.0.1:1")], "t", "b") == [False]


def test_no_address_is_on_a_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every user of the machine can read those."""
    begun: list[Any] = []
    run = subprocess.run

    def note(command: Any, **named: Any) -> Any:
        begun.append(command)
        return run(["true"], **named)

    monkeypatch.setattr(subprocess, "run", note)
    assert notify.send([Secret("json://s3cret")], "t", "b") == [False]
    assert "s3cret" not in str(begun)


@pytest.mark.parametrize(
    ("address", "scheme", "usable"),
    [
        ("NTFYS://ntfy.sh/topic", "ntfys", True),
        ("mailtos://me:pass@firm.test?to=a@firm.test,b@firm.test", "mailtos", True),
        ("slack://only-one-part", "slack", False),
        ("nonsense://s3cret", "nonsense", False),
    ],
)
def test_what_may_be_said_of_an_address(address: str, scheme: str, usable: bool) -> None:
    """Its scheme alone, and whether apprise can read it."""
    assert notify.scheme_of(Secret(address)) == scheme
    assert notify.is_usable(Secret(address)) is usable


def test_nothing_is_kept_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Apprise would like to keep something of an address."""
    for name in ("HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "TMPDIR"):
        monkeypatch.setenv(name, str(tmp_path))
    with Notified() as running:
        assert notify.send([Secret(running.address)], "t", "b") == [True]
    assert not [*tmp_path.rglob("*")]
