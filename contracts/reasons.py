"""Why a file could not be used, in words for the person who named it. Pure."""


def reason_of(error: Exception) -> str:
    """Return the reason alone: without the number and the path of the machine's errors, and the words of decoders."""
    if isinstance(error, OSError):
        return error.strerror or str(error)
    if isinstance(error, UnicodeDecodeError):
        return f"it is not text in UTF-8 (byte {error.start + 1})"
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    if mark is not None and problem:  # What YAML's errors have.
        return f"it is not YAML at line {mark.line + 1}, column {mark.column + 1}: {problem}"
    return str(error)
