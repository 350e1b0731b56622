"""Where a service's clients go that is not AWS itself: an emulator, or a server that speaks the same protocol."""

from urllib.parse import urlsplit

from cloud.errors import SetupError


def checked_endpoint(url: str | None, *, of: str) -> str | None:
    """Return an address that clients can be made for, as it is; ``None`` is AWS itself.

    Args:
        url: What a person gave.
        of: Whose address it is, for the message.

    Raises:
        SetupError: It is none.
    """
    if url is None:
        return None
    try:
        parts = urlsplit(url)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        sound = False
    if "@" in url:
        raise SetupError(f"the endpoint of {of} names a user; who asks is told as boto3 finds it; nobody was asked")
    if not sound or any(sign.isspace() for sign in url):
        raise SetupError(f"the endpoint of {of} is {url!r}, must be http://HOST:PORT or https://HOST; nobody was asked")
    return url
