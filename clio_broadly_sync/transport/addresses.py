"""What of an address may be shown."""


def host_of(url: str) -> str:
    """Return the scheme, the host and the port of an address, as they are written there.

    What follows them may be a secret.
    """
    scheme, _, rest = url.partition("://")
    host = rest.partition("/")[0].partition("?")[0]
    return f"{scheme}://{host}"
