"""MinIO's library for Python: buckets, objects in parts, streams, tags, versions, locks, policies,
copies and joins, signed URLs and forms."""

import datetime
import io
import json
import os
import urllib.request

import minio
from minio.commonconfig import ComposeSource, CopySource, Tags, ENABLED, GOVERNANCE
from minio.deleteobjects import DeleteObject
from minio.retention import Retention
from minio.versioningconfig import VersioningConfig

from commands import ACCESS_KEY, HOST, SECRET_KEY, version

version("minio", minio.__version__)
client = minio.Minio(HOST, access_key=ACCESS_KEY, secret_key=SECRET_KEY, secure=False)
client.make_bucket(bucket_name="minio", object_lock=True)
assert client.bucket_exists(bucket_name="minio")
data = os.urandom(11 << 20)
put = client.put_object(bucket_name="minio", object_name="streamed/ü +", data=io.BytesIO(data),
                        length=-1, part_size=5 << 20, metadata={"colour": "red"})
stat = client.stat_object(bucket_name="minio", object_name="streamed/ü +")
assert stat.size == len(data) and stat.etag.endswith("-3"), stat
assert stat.metadata["x-amz-meta-colour"] == "red"
answer = client.get_object(bucket_name="minio", object_name="streamed/ü +", offset=100, length=1000)
assert answer.read() == data[100:1100]
answer.close()
tags = Tags.new_object_tags()
tags["kind"] = "test"
client.set_object_tags(bucket_name="minio", object_name="streamed/ü +", tags=tags)
assert client.get_object_tags(bucket_name="minio", object_name="streamed/ü +") == tags
client.copy_object(bucket_name="minio", object_name="copy",
                   source=CopySource(bucket_name="minio", object_name="streamed/ü +"))
client.compose_object(bucket_name="minio", object_name="joined", sources=[
    ComposeSource(bucket_name="minio", object_name=name) for name in ("copy", "streamed/ü +")])
answer = client.get_object(bucket_name="minio", object_name="joined")
assert answer.read() == data + data
answer.close()
assert client.get_bucket_versioning(bucket_name="minio").status == ENABLED
client.set_bucket_versioning(bucket_name="minio", config=VersioningConfig(ENABLED))
until = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=1)
client.set_object_retention(bucket_name="minio", object_name="copy",
                            config=Retention(GOVERNANCE, until))
locked = client.stat_object(bucket_name="minio", object_name="copy").version_id
try:
    client.remove_object(bucket_name="minio", object_name="copy", version_id=locked)
    raise AssertionError("removed what is retained")
except minio.error.S3Error as error:
    assert error.code == "AccessDenied", error
policy = {"Version": "2012-10-17", "Statement": [{
    "Effect": "Allow", "Principal": {"AWS": ["*"]}, "Action": ["s3:GetObject"],
    "Resource": ["arn:aws:s3:::minio/joined"]}]}
client.set_bucket_policy(bucket_name="minio", policy=json.dumps(policy))
assert urllib.request.urlopen(f"http://{HOST}/minio/joined").read(10) == data[:10]
client.delete_bucket_policy(bucket_name="minio")
url = client.presigned_get_object(bucket_name="minio", object_name="joined")
assert urllib.request.urlopen(url).read(10) == data[:10]
listed = list(client.list_objects(bucket_name="minio", recursive=True))
assert [one.object_name for one in listed] == ["copy", "joined", "streamed/ü +"]
gone = [DeleteObject(one.object_name) for one in listed]
assert list(client.remove_objects(bucket_name="minio", delete_object_list=gone)) == []
kept = list(client.list_objects(bucket_name="minio", recursive=True, include_version=True))
assert sum(one.is_delete_marker for one in kept) == 3 and len(kept) == 6
print("done")
