"""Why a file, a port or a host could not be used, in words for the person who named it. Pure."""

import errno
import os
import re

_NO_DATABASE = "unable to open database file"  # SQLite's SQLITE_CANTOPEN.
_NUMBER = re.compile(r"\[Errno -?\d+\] ")
# How asyncio and pyserial put the machine's error into a sentence of theirs.
_OF_A_LIBRARY = re.compile(r"\[Errno \d+\]|Connect call failed|error while attempting to bind")


def reason_of(error: Exception) -> str:
    """Return the reason alone: without the number and the path of the machine's errors, and the words of decoders."""
    if isinstance(error, OSError):
        return _reason_of_the_machine(error)
    if isinstance(error, UnicodeDecodeError):
        return f"it is not text in UTF-8 (byte {error.start + 1})"
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    if mark is not None and problem:  # What YAML's errors have.
        return f"it is not YAML at line {mark.line + 1}, column {mark.column + 1}: {problem}"
    if str(error) == _NO_DATABASE:
        return "it is not there, or this user may not open it"
    return _NUMBER.sub("", str(error))  # Of a library that hands the machine's error on as text.


def file_reason_of(error: Exception) -> str:
    """Return the reason with the file, where an error of the machine names one: no sentence has named it before."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {reason_of(error)}"
    return reason_of(error)


def _reason_of_the_machine(error: OSError) -> str:
    said = error.strerror or str(error)
    if _OF_A_LIBRARY.search(said) is None:
        return said
    if error.errno is not None and error.errno in errno.errorcode:
        return os.strerror(error.errno)
    numbers = {int(number) for number in re.findall(r"\[Errno (\d+)\]", said)}  # Of a name with several addresses.
    return " or ".join(os.strerror(number) for number in sorted(numbers)) or said
