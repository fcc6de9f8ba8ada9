"""No test meets the network: a connection that would leave this machine fails at once."""

import socket
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any

import pytest
from clio_contract import requests_fit_clios_contract
from quiet import pytest_runtest_makereport

__all__ = ["pytest_runtest_makereport", "requests_fit_clios_contract"]

_CONNECT = socket.socket.connect


def _connect(self: socket.socket, address: Any) -> None:
    if self.family in (socket.AF_INET, socket.AF_INET6) and not _is_loopback(address[0]):
        raise AssertionError(f"a test tried to reach {address[0]}")
    _CONNECT(self, address)


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


@pytest.fixture(autouse=True, scope="session")
def _no_network() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", _connect)
        yield
