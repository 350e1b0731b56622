"""Raw samples as Parquet: the one encoding, and the lake that is a folder of files."""

import functools
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from cloud.errors import StoreError
from cloud.stores.lake import LAKE_PREFIX, RawSample, file_key, folder_key
from contracts.reasons import reason_of

if TYPE_CHECKING:
    import pyarrow


@functools.cache
def _schema() -> "pyarrow.Schema":
    # The library is 160 MB and half a second: only who reads or writes raw samples bears it.
    import pyarrow as pa

    return pa.schema(
        [
            ("site", pa.dictionary(pa.int32(), pa.string())),
            ("epoch", pa.int64()),
            ("seq", pa.int64()),
            ("point", pa.dictionary(pa.int32(), pa.string())),
            ("at", pa.timestamp("ms", tz="UTC")),
            ("value", pa.float64()),
            ("quality", pa.dictionary(pa.int32(), pa.string())),
        ]
    )


def encode(samples: Sequence[RawSample]) -> bytes:
    """Return samples as one Parquet file (zstd)."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {name: [getattr(sample, name) for sample in samples] for name in _schema().names}
    out = BytesIO()
    pq.write_table(pa.table(columns, schema=_schema()), out, compression="zstd")
    return out.getvalue()


def decode(data: bytes) -> list[RawSample]:
    """Return the samples of one Parquet file; the inverse of ``encode``."""
    import pyarrow.parquet as pq

    rows = pq.read_table(BytesIO(data)).to_pylist()
    return [RawSample(**{**row, "at": row["at"].astimezone(UTC)}) for row in rows]


def parted(data: bytes, site: str) -> tuple[list[RawSample], bytes | None]:
    """Return a site's samples of one file, and the file without them; ``None`` where nothing else is in it."""
    samples = decode(data)
    others = [sample for sample in samples if sample.site != site]
    return [sample for sample in samples if sample.site == site], encode(others) if others else None


class FolderLake:
    """A lake in a folder of this machine."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def write(self, *, zone: str, name: str, samples: Sequence[RawSample]) -> None:
        """Write samples as files, one a day that they touch; a reader never sees half a file."""
        for day, of_day in by_day(samples).items():
            path = self._root / file_key(zone=zone, day=day, name=name)
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                part = path.with_suffix(".part")
                part.write_bytes(encode(of_day))
                part.replace(path)
            except OSError as error:
                raise StoreError(f"lake file {path} cannot be written: {reason_of(error)}") from error

    def read(self, *, zone: str, day: datetime) -> Sequence[RawSample]:
        """Return a zone's samples that were filed under a UTC day."""
        folder = self._root / folder_key(zone=zone, day=day)
        try:
            return [sample for path in sorted(folder.glob("*.parquet")) for sample in decode(path.read_bytes())]
        except OSError as error:
            raise StoreError(f"lake folder {folder} cannot be read: {reason_of(error)}") from error

    def of_site(self, site: str) -> Iterator[RawSample]:
        """Yield every sample of a site."""
        for path in self._files():
            yield from self._parted(path, site)[0]

    def forget(self, site: str) -> int:
        """Remove every sample of a site and return how many there were."""
        removed = 0
        for path in self._files():
            own, rest = self._parted(path, site)
            if not own:
                continue
            try:
                if rest is None:
                    path.unlink()
                else:
                    part = path.with_suffix(".part")
                    part.write_bytes(rest)
                    part.replace(path)
            except OSError as error:
                raise StoreError(f"lake file {path} cannot be written: {reason_of(error)}") from error
            removed += len(own)
        return removed

    def _files(self) -> list[Path]:
        return sorted((self._root / LAKE_PREFIX).rglob("*.parquet"))

    def _parted(self, path: Path, site: str) -> tuple[list[RawSample], bytes | None]:
        try:
            return parted(path.read_bytes(), site)
        except (OSError, ValueError) as error:
            raise StoreError(f"lake file {path} cannot be read: {reason_of(error)}") from error


def by_day(samples: Sequence[RawSample]) -> dict[datetime, list[RawSample]]:
    """Split samples by the UTC day of their source time."""
    days: dict[datetime, list[RawSample]] = {}
    for sample in samples:
        day = sample.at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        days.setdefault(day, []).append(sample)
    return days
