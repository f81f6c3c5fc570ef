"""docker-registry over S3."""

import boto3

from commands import ACCESS_KEY, SECRET_KEY, URL
from registry import drive

boto3.client("s3", endpoint_url=URL, aws_access_key_id=ACCESS_KEY, region_name="us-east-1",
             aws_secret_access_key=SECRET_KEY).create_bucket(Bucket="registry")
drive({"redirect": {"disable": True},
       "s3": {"accesskey": ACCESS_KEY, "secretkey": SECRET_KEY, "region": "us-east-1",
              "regionendpoint": URL, "bucket": "registry", "rootdirectory": "/images", "secure": False,
              "v4auth": True, "chunksize": 5 << 20, "multipartcopythresholdsize": 6 << 20,
              "multipartcopychunksize": 5 << 20}})
