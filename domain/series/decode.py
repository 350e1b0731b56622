"""Bytes of a file to text: UTF-8 with or without a mark, UTF-16, else Windows-1252."""

import codecs

from domain.series.errors import SeriesError

BYTES_MAX = 200_000_000
# By how they begin, in small letters.
_NO_TEXT = {
    b"pk\x03\x04": "a spreadsheet or an archive, not text; save it as CSV",
    b"\xd0\xcf\x11\xe0": "a spreadsheet of old, not text; save it as CSV",
    b"\x1f\x8b": "packed with gzip; unpack it first",
    b"par1": "a Parquet file, not text; save it as CSV",
    b"%pdf": "a PDF, not text; save its table as CSV",
    b"sqlite format 3": "a database, not text; save a table of it as CSV",
    b"<!doctype html": "a web page, not a table of values; is it the export itself?",
    b"<html": "a web page, not a table of values; is it the export itself?",
}


def decode(data: bytes) -> tuple[str, str]:
    """Return the text of a file and the name of its encoding.

    Raises:
        SeriesError: The file is empty, too large, or a picture, an archive or a spreadsheet rather than text.
    """
    if len(data) > BYTES_MAX:
        raise SeriesError(f"it has {len(data)} bytes, more than {BYTES_MAX}; cut it into years")
    for mark, words in _NO_TEXT.items():
        if data[:64].lstrip(b" \t\r\n").lower().startswith(mark):
            raise SeriesError(f"it is {words}")
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return _or_error(data, "utf-16"), "UTF-16"
    if data.startswith(codecs.BOM_UTF8):
        data = data[len(codecs.BOM_UTF8) :]
    # Text of Latin letters in UTF-16 without a mark has a zero in every second byte.
    head = data[:2000]
    if len(head) >= 4 and head.count(0) * 3 > len(head):
        name = "utf-16-le" if head[1::2].count(0) > head[0::2].count(0) else "utf-16-be"
        return _or_error(data, name), "UTF-16"
    if 0 in head:
        raise SeriesError("it is not text: it has zero bytes")
    try:
        text, name = data.decode("utf-8"), "UTF-8"
    except UnicodeDecodeError:
        text, name = data.decode("cp1252", errors="replace"), "Windows-1252"
    if not text.strip():
        raise SeriesError("it is empty")
    return text, name


def _or_error(data: bytes, encoding: str) -> str:
    text = data.decode(encoding, errors="replace").lstrip("\ufeff")
    if not text.strip():
        raise SeriesError("it is empty")
    return text
