"""The command line of AWS: buckets, files in parts, synchronised trees, signed URLs, versions."""

import json
import os
import shutil
import urllib.request

from commands import AWS, URL, run, same, tree, version


def aws(*words, **more):
    return run("aws", "--endpoint-url", URL, *words, **AWS, **more)


def api(*words):
    return json.loads(aws("s3api", *words, "--output", "json") or "{}")


told = aws("--version").split()[0].split("/")[1]
NUMBER = tuple(int(part) for part in told.split("."))
version("awscli", told)
source = tree("source")
aws("s3", "mb", "s3://aws-tree")
aws("s3", "sync", source, "s3://aws-tree/in", "--no-progress")
assert "17000000" in aws("s3", "ls", "s3://aws-tree/in/", "--recursive")
aws("s3", "sync", "s3://aws-tree/in", "back", "--no-progress")
same(source, "back")
# Nothing has changed, so nothing is sent.
assert aws("s3", "sync", source, "s3://aws-tree/in", "--no-progress") == ""
os.remove("source/empty")
assert "delete" in aws("s3", "sync", source, "s3://aws-tree/in", "--delete", "--no-progress")
# Written in parts, it says so.
assert api("head-object", "--bucket", "aws-tree", "--key", "in/big")["ETag"].endswith('-3"')
aws("s3", "cp", "s3://aws-tree/in/big", "s3://aws-tree/copy", "--no-progress")
aws("s3", "mv", "s3://aws-tree/copy", "moved", "--no-progress")
assert open("moved", "rb").read() == open("source/big", "rb").read()
url = aws("s3", "presign", "s3://aws-tree/in/big", "--expires-in", "60").strip()
assert urllib.request.urlopen(url).read() == open("source/big", "rb").read()
place = ["put-object", "--bucket", "aws-tree", "--key", "sum"]
# Conditions of writes came to S3 in 2024.
once = ["--if-none-match", "*"] if NUMBER >= (2, 17, 34) or NUMBER[0] == 1 else []
put = api(*place, "--body", "source/big", "--checksum-algorithm", "SHA256", "--tagging", "a=b", *once)
assert put["ChecksumSHA256"]
if once:
    assert "PreconditionFailed" in aws("s3api", *place, *once, fails=True)
aws("s3api", "put-bucket-versioning", "--bucket", "aws-tree", "--versioning-configuration",
    "Status=Enabled")
aws("s3api", "put-object", "--bucket", "aws-tree", "--key", "sum", "--body", "source/a/with space + plus")
versions = api("list-object-versions", "--bucket", "aws-tree", "--prefix", "sum")["Versions"]
assert len(versions) == 2 and versions[1]["VersionId"] == "null"
# The bucket keeps former versions, so it is not empty.
assert "BucketNotEmpty" in aws("s3", "rb", "s3://aws-tree", "--force", fails=True)
aws("s3", "mb", "s3://aws-gone")
aws("s3", "cp", "source/big", "s3://aws-gone/k", "--no-progress")
aws("s3", "rb", "s3://aws-gone", "--force")
assert "NoSuchBucket" in aws("s3", "ls", "s3://aws-gone", fails=True)
# What has no body gets no 100: this client took the next answer on that connection for a part of it.
os.mkdir("mixed")
for name in range(40):
    open(f"mixed/{name:02}", "wb").close()
shutil.copy("source/big", "mixed/last")
aws("s3", "sync", "mixed", "s3://aws-tree/mixed", "--no-progress")
aws("s3", "sync", "s3://aws-tree/mixed", "mixed-back", "--no-progress")
same("mixed", "mixed-back")
print("done")
