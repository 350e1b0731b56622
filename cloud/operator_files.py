"""Files of the operator that a function reads anew each time: prices, weather, published load."""

from pathlib import Path
from typing import Final

from cloud.errors import ProviderError
from contracts.reasons import reason_of

FILE_BYTES_MAX: Final = 8_000_000


def operator_file(path: Path, kind: str) -> bytes:
    """Return what is in a file; ``kind`` says of what it is, for a sentence.

    Raises:
        ProviderError: It cannot be read, or is too large.
    """
    try:
        with path.open("rb") as file:
            data = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise ProviderError(f"{kind} file {path} cannot be read: {reason_of(error)}") from error
    if len(data) > FILE_BYTES_MAX:
        raise ProviderError(f"{kind} file {path} is larger than {FILE_BYTES_MAX} bytes; not read")
    return data
