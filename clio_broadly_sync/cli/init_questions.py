"""What `init` asks, and in which words."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from clio_broadly_sync.settings import Settings

_REDIRECT: Final = Settings.clio_redirect_uri


@dataclass(frozen=True, slots=True)
class Question:
    """One setting; `asked_if` sees what is known by then, from the environment too."""

    name: str
    text: str
    default: str = ""
    secret: bool = False
    asked_if: Callable[[Mapping[str, str]], bool] = lambda known: True


QUESTIONS: Final = (
    Question(
        "CLIO_REGION",
        """\
Where is your account with Clio: us, ca (Canada), eu or au (Australia)?
To practise, give the CLIO_BASE_URL that `clio-broadly-sync sandbox` prints.""",
        default="us",
    ),
    Question(
        "SYNC_RULE",
        """\
Which checkbox in Clio decides who receives a thank-you and a review request?
  opt-out   everybody, unless BroadlyOptOut is checked on the contact
  opt-in    where SendBroadlyThankYou is checked on the matter, and
            BroadlyOptOut (where you have it) is not checked on the contact
  both      as opt-in, but both fields must exist""",
    ),
    Question(
        "CLIO_CLIENT_ID",
        f"""\
The key of your app in Clio's developer portal. The app needs the permission
to read Matters, Contacts, Custom fields and Users, and this redirect address:
  {_REDIRECT}
Without an app, leave it empty: you are then asked for an access token.""",
    ),
    Question(
        "CLIO_CLIENT_SECRET",
        "The secret of that app.",
        secret=True,
        asked_if=lambda known: "CLIO_CLIENT_ID" in known,
    ),
    Question(
        "CLIO_ACCESS_TOKEN",
        "The access token for Clio. Leave it empty to fill it in later.",
        secret=True,
        asked_if=lambda known: "CLIO_CLIENT_ID" not in known,
    ),
    Question("BROADLY_URL", "The address to which Broadly receives customers in batches."),
    Question("BROADLY_API_KEY", "Your key for it, from Broadly.", secret=True),
    Question(
        "SYNC_SETTLE_HOURS",
        """\
How many hours does a closed matter rest before its client is handed over?
We recommend 24: a matter that was closed by mistake can then be reopened, and
a forgotten box be checked, before anybody is asked. With 0, it is minutes.""",
        default="24",
    ),
)
