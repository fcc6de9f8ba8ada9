"""`firms remove`: a firm's sign-in is withdrawn, its secrets are wiped, and its ledger is kept."""

from collections.abc import Callable
from contextlib import closing

from clio_broadly_sync.cli import app
from clio_broadly_sync.cli.login import NOT_TOLD, withdraw
from clio_broadly_sync.cli.one_firm import Fleet, firm_named
from clio_broadly_sync.cli.output import say
from clio_broadly_sync.domain.errors import ConfigError
from clio_broadly_sync.store.firm import FirmPlace
from clio_broadly_sync.store.firms import HASH_KEY, REMOVED, Firm, Firms
from clio_broadly_sync.store.postgresql import OWNER


def question(name: str, *, erase: bool) -> str:
    """Return what a person is asked before a firm is removed."""
    if erase:
        return (
            f"Remove the firm {name}, and erase its ledger for good? If it ever comes back, "
            "whoever was asked may be asked again."
        )
    return (
        f"Remove the firm {name}? It is not run any more, and its settings and its sign-in are "
        "erased; its ledger is kept."
    )


def remove(
    known: Fleet, call: app.Call, *, name: str, erase: bool, agrees: Callable[[app.Call], bool]
) -> None:
    """Remove a firm, where a person `agrees`; one that was removed already can still be erased.

    Raise BusyError where a run holds it, and UsageError where there is none.
    """
    with closing(known.connect()) as session:
        firms = Firms(session)
        found = firms.named(name)
        firm = found if erase and found is not None else firm_named(firms, name)
    if not agrees(call):
        return
    hash_key = "" if erase else known.secrets_of(firm)[HASH_KEY]  # to erase, no key is needed
    place = known.place_of(firm, hash_key)
    with place.locked(app.called()):
        told = firm.state == REMOVED or _is_withdrawn(known, call, firm, place)
        with call.stop.to_the_end():
            _removed(known, firm, hash_key, erase=erase)
    if not told:
        say(NOT_TOLD)
    say(f"Removed: {name}. Its ledger is {'erased, too' if erase else 'kept'}.")


def _is_withdrawn(known: Fleet, call: app.Call, firm: Firm, place: FirmPlace) -> bool:
    """Withdraw the sign-in at Clio; tell whether there is none, or that worked."""
    try:
        if place.sign_in().read() is None:
            return True
        settings = known.settings_of(firm)
    except ConfigError:
        return False
    return withdraw(settings, call.stop)


def _removed(known: Fleet, firm: Firm, hash_key: str, *, erase: bool) -> None:
    if erase:
        with closing(known.connect(OWNER)) as session:
            Firms(session).erase(firm.number)
    else:
        sealed = known.seal.close(firm.name, {HASH_KEY: hash_key})
        with closing(known.connect()) as session:
            Firms(session).remove(firm.number, sealed)
