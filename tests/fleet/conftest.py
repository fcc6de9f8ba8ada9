"""The storm takes longer than any other test, and so it is the first that begins."""

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: "test_storm.py" not in item.nodeid)
