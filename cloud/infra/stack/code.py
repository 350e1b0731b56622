"""Where the functions' code lies: bundles in a bucket, named by parameters, so an account is not written into them."""

from collections.abc import Mapping

from aws_cdk import CfnParameter, Stack
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3

from cloud.infra.functions import Bundle


class Bundles:
    """The parameters of a stack that name its bundles."""

    def __init__(self, stack: Stack, *, digests: Mapping[Bundle, str]) -> None:
        """Add them: the bucket, and an object for each bundle.

        Args:
            stack: Where.
            digests: The SHA-256 of each bundle that is known already.
        """
        self._digests = digests
        bucket = CfnParameter(stack, "BundleBucket", type="String", description="The bucket that holds the bundles")
        self._bucket = s3.Bucket.from_bucket_name(stack, "bundle-bucket", bucket.value_as_string)
        self._keys = {
            bundle: CfnParameter(
                stack, f"{bundle.value.title()}Bundle", type="String", description=f"The object of bundle {bundle}"
            )
            for bundle in Bundle
        }

    def code(self, bundle: Bundle) -> lambda_.Code:
        """Return a bundle as code of a function."""
        return lambda_.Code.from_bucket(self._bucket, self._keys[bundle].value_as_string)

    def publish(self, function: lambda_.Function, bundle: Bundle) -> None:
        """Let another content of the bundle be another version of a function.

        A version is published where the template's text about it changes, and a parameter's name does not: without the
        digest the alias would go on calling the old code for ever.
        """
        if digest := self._digests.get(bundle):
            function.invalidate_version_based_on(digest)
