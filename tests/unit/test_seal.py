"""What of a firm is secret, sealed: by which key it opens, for whom, and what it shows."""

import pytest

from clio_broadly_sync.domain.credentials import Secret
from clio_broadly_sync.domain.errors import ConfigError
from clio_broadly_sync.settings.fleet import fleet_settings, given_in
from clio_broadly_sync.store.seal import Seal, new_key

CONTENT = {"broadly_api_key": "broadly-key-é", "hash_key": "5f" * 32}


def make_seal(*keys: str) -> Seal:
    return Seal([Secret(key) for key in keys])


def test_what_is_sealed_opens_for_its_firm() -> None:
    """It is another text each time, and shows neither name nor value."""
    seal = make_seal(new_key())
    sealed = [seal.close("acme", CONTENT) for _ in range(2)]
    assert [seal.open("acme", one) for one in sealed] == [CONTENT, CONTENT]
    assert sealed[0] != sealed[1]
    for word in ("acme", "broadly", "hash_key", "5f5f"):
        assert word.encode() not in sealed[0]


def test_what_is_another_firms_does_not_open() -> None:
    """So nobody gets a firm's secrets by copying its column into a row of his own."""
    seal = make_seal(new_key())
    with pytest.raises(ConfigError, match="the firm beta is another firm's") as caught:
        seal.open("beta", seal.close("acme", CONTENT))
    assert "acme" not in str(caught.value)


@pytest.mark.parametrize("sealed", [b"", b"sealed", b"gAAAAAB" + b"x" * 100])
def test_what_is_no_seal_does_not_open(sealed: bytes) -> None:
    with pytest.raises(ConfigError, match="None of FLEET_KEYS"):
        make_seal(new_key()).open("acme", sealed)


def test_one_changed_byte_is_noticed() -> None:
    seal = make_seal(new_key())
    sealed = bytearray(seal.close("acme", CONTENT))
    sealed[40] ^= 1
    with pytest.raises(ConfigError, match="None of FLEET_KEYS"):
        seal.open("acme", bytes(sealed))


def test_missing_key_is_named() -> None:
    """78: the operator has to add it."""
    sealed = make_seal(new_key()).close("acme", CONTENT)
    with pytest.raises(ConfigError) as caught:
        make_seal(new_key()).open("acme", sealed)
    assert str(caught.value) == (
        "None of FLEET_KEYS opens what is sealed of the firm acme: add the key with which it was "
        "sealed."
    )


def test_rekeyed_with_two_keys_then_the_old_one_goes() -> None:
    """Both open as long as both are there; from then on the new one alone does."""
    old, new = new_key(), new_key()
    sealed = make_seal(old).close("acme", CONTENT)
    both = make_seal(new, old)
    assert both.open("acme", sealed) == CONTENT
    renewed = both.renewed("acme", sealed)
    assert make_seal(new).open("acme", renewed) == CONTENT
    with pytest.raises(ConfigError):
        make_seal(old).open("acme", renewed)
    with pytest.raises(ConfigError):
        both.renewed("beta", sealed)


def test_new_keys_are_what_the_settings_take() -> None:
    keys = f"{new_key()},{new_key()}"
    given = given_in(f"FLEET_DATABASE=postgresql:///fleet\nFLEET_KEYS={keys}\n")
    seal = Seal(fleet_settings(given).fleet_keys)
    assert seal.open("acme", seal.close("acme", CONTENT)) == CONTENT
