"""Where the functions' code lies: bundles in a bucket, named by parameters; the template is the same everywhere."""

from aws_cdk import CfnParameter, Stack
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3

from cloud.infra.functions import Bundle


class Bundles:
    """The parameters of a stack that name its bundles."""

    def __init__(self, stack: Stack) -> None:
        """Add them: the bucket, and an object for each bundle."""
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
