"""The lake as objects of one S3 bucket."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from cloud.errors import StoreError
from cloud.stores.lake import LAKE_PREFIX, RawSample, file_key, folder_key
from cloud.stores.parquet import by_day, decode, encode, parted

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client


class S3Lake:
    """A lake in a bucket, under an optional key prefix."""

    def __init__(self, client: "S3Client", *, bucket: str, prefix: str = "") -> None:
        self._client = client
        self._bucket = bucket
        self._prefix = prefix

    def write(self, *, zone: str, name: str, samples: Sequence[RawSample]) -> None:
        """Write samples as objects, one a day that they touch."""
        for day, of_day in by_day(samples).items():
            key = self._prefix + file_key(zone=zone, day=day, name=name)
            try:
                self._client.put_object(Bucket=self._bucket, Key=key, Body=encode(of_day))
            except (BotoCoreError, ClientError) as error:
                raise StoreError(f"lake object {key} cannot be written: {error}") from error

    def read(self, *, zone: str, day: datetime) -> Sequence[RawSample]:
        """Return a zone's samples that were filed under a UTC day."""
        folder = self._prefix + folder_key(zone=zone, day=day) + "/"
        samples: list[RawSample] = []
        try:
            for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=folder):
                for found in page.get("Contents", []):
                    body = self._client.get_object(Bucket=self._bucket, Key=found["Key"])["Body"].read()
                    samples.extend(decode(body))
        except (BotoCoreError, ClientError) as error:
            raise StoreError(f"lake folder {folder} cannot be read: {error}") from error
        return samples

    def of_site(self, site: str) -> Iterator[RawSample]:
        """Yield every sample of a site."""
        for key in self._keys():
            yield from self._parted(key, site)[0]

    def forget(self, site: str) -> int:
        """Remove every sample of a site, in the earlier versions of an object too, and return how many there were."""
        removed = 0
        for key in self._keys():
            own, rest = self._parted(key, site)
            if not own:
                continue
            try:
                newest = ""
                if rest is not None:
                    answer = self._client.put_object(Bucket=self._bucket, Key=key, Body=rest)
                    newest = answer.get("VersionId", "null")
                pages = self._client.get_paginator("list_object_versions").paginate(Bucket=self._bucket, Prefix=key)
                for page in pages:
                    for version in page.get("Versions", []):
                        if version["Key"] == key and version["VersionId"] != newest:
                            self._client.delete_object(Bucket=self._bucket, Key=key, VersionId=version["VersionId"])
            except (BotoCoreError, ClientError) as error:
                raise StoreError(f"lake object {key} cannot be written: {error}") from error
            removed += len(own)
        return removed

    def _keys(self) -> list[str]:
        try:
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=self._prefix + LAKE_PREFIX
            )
            return [found["Key"] for page in pages for found in page.get("Contents", [])]
        except (BotoCoreError, ClientError) as error:
            raise StoreError(f"the lake cannot be listed: {error}") from error

    def _parted(self, key: str, site: str) -> tuple[list[RawSample], bytes | None]:
        try:
            return parted(self._client.get_object(Bucket=self._bucket, Key=key)["Body"].read(), site)
        except (BotoCoreError, ClientError) as error:
            raise StoreError(f"lake object {key} cannot be read: {error}") from error
