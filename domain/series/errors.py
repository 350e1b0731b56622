"""Why a file is no series. The message says which line or column, and what to change or to add."""


class SeriesError(ValueError):
    """A file cannot be read as a series."""

    def __init__(self, message: str) -> None:
        """Keep the message on one line, whatever cell of the file it quotes."""
        super().__init__(" ".join(message.split()))


class Undecided(SeriesError):
    """A file can be read in more than one way; the message names the option that decides."""
