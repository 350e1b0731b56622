"""A journal as text: JSON without spaces, of whole numbers and texts; one way to write and to read it.

The serialiser is the one that the schemas are built on: twice as fast as the standard library's on commands. Texts
stand as they are in UTF-8; what the standard library wrote, with everything beyond ASCII escaped, is read the same.
"""

from pydantic_core import from_json, to_json


def encode(value: object) -> bytes:
    """Return a value of dictionaries, lists, texts, whole numbers and truth values as text.

    Raises:
        ValueError: A text is no Unicode, such as half a surrogate pair, or a value has no form in JSON.
    """
    return to_json(value)


def decode(text: str | bytes) -> object:
    """Return the value of a text.

    Raises:
        ValueError: The text is not JSON.
    """
    return from_json(text)
