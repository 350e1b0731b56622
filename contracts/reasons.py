"""Why a file, a port or a host could not be used, in words for the person who named it. Pure."""

import errno
import os
import re
from json import JSONDecodeError

_NO_DATABASE = "unable to open database file"  # SQLite's SQLITE_CANTOPEN.
_NUMBER = re.compile(r"\[Errno -?\d+\] ")
# What the decoder of YAML means, by what its C library and its own code say; the first that fits counts.
_YAML: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(said), means)
    for said, means in (
        (r"expected ',' or '}'", "a section in { } is not closed, or a comma is missing in it"),
        (r"expected ',' or '\]'", "a list in [ ] is not closed, or a comma is missing in it"),
        (
            r"found character .*cannot start any token",
            "a tab, or a text that needs quotation marks",
        ),
        (r"mapping values are not allowed", "a second colon in one line, or a line too far to the right"),
        (r"could not find expected ':'", "a key without its colon"),
        (r"expected <?(key|block end)", "a line that does not stand under the ones above it"),
        (r"expected '-' indicator", "an item of a list that does not stand under the ones above it"),
        (r"(block )?sequence entries are not allowed", "a list must begin on a line of its own"),
        (r"mapping keys are not allowed", "a question mark that needs quotation marks around its text"),
        (r"unexpected end of stream", "a quotation mark is not closed"),
        (r"unexpected document indicator", "a quotation mark is not closed before ---"),
        (r"unknown escape character|expected escape|invalid Unicode", "a backslash that begins nothing known"),
        (r"undefined (alias|anchor)", "a text that begins with * needs quotation marks"),
        (r"alphabetic or numeric character", "a text that begins with & or * needs quotation marks"),
        (r"undefined tag handle|determine a constructor", "a text that begins with ! needs quotation marks"),
        (r"expected '?<?(document start|a single document)", "it goes on after its end"),
        (r"node content|expected the node", "a value is missing, or a bracket closes nothing"),
        (r"characters are not allowed", "a character that no text has"),
    )
)
# The same of JSON, by what Python's decoder says, the backslash of its escapes included.
_JSON = {
    "Expecting value": "a value is missing",
    "Expecting property name enclosed in double quotes": "a key in double quotation marks is missing",
    "Expecting ':' delimiter": "the colon after a key is missing",
    "Expecting ',' delimiter": "a comma is missing, or a bracket is not closed",
    "Illegal trailing comma before end of object": "a comma before a closing bracket",
    "Illegal trailing comma before end of array": "a comma before a closing bracket",
    "Unterminated string starting at": "a quotation mark is not closed",
    "Invalid control character at": "a line break, a tab or the like within a text",
    "Invalid control character": "a line break, a tab or the like within a text",
    "Invalid \\escape": "a backslash that begins nothing known",
    "Invalid \\uXXXX escape": "a backslash that begins nothing known",
    "Extra data": "it goes on after its end",
    "Unexpected UTF-8 BOM (decode using utf-8-sig)": "it begins with a byte order mark",
}
# How asyncio and pyserial put the machine's error into a sentence of theirs.
_OF_A_LIBRARY = re.compile(r"\[Errno \d+\]|Connect call failed|error while attempting to bind")


def reason_of(error: Exception) -> str:
    """Return the reason alone: without the number and the path of the machine's errors, and the words of decoders."""
    if isinstance(error, OSError):
        return _reason_of_the_machine(error)
    if isinstance(error, UnicodeDecodeError):
        return f"it is not text in UTF-8 (byte {error.start + 1})"
    if isinstance(error, JSONDecodeError):
        line = f"line {error.lineno}, " if "\n" in error.doc.strip() else ""
        return f"it is not JSON at {line}column {error.colno}: {_JSON.get(error.msg.rstrip(':'), error.msg)}"
    if isinstance(error, RecursionError):
        return "it is nested too deep"
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    if mark is not None and problem:  # What YAML's errors have.
        means = next((means for said, means in _YAML if said.search(problem)), problem)
        return f"it is not YAML at line {mark.line + 1}, column {mark.column + 1}: {means}"
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
