"""From one server to another as docs/migrate.md has it: rclone moves contents, types and metadata,
and a few lines of Python what it has no means for: tags. Everything is compared afterwards."""

import os
import re

import boto3

from commands import ACCESS_KEY, SECRET_KEY, URL, run, version

OTHER = os.environ["TRESTLE_OTHER_URL"]


def remote(name, url):
    begin = f"RCLONE_CONFIG_{name}_"
    return {
        f"{begin}TYPE": "s3", f"{begin}PROVIDER": "Other", f"{begin}ENDPOINT": url,
        f"{begin}ACCESS_KEY_ID": ACCESS_KEY, f"{begin}SECRET_ACCESS_KEY": SECRET_KEY,
        f"{begin}REGION": "us-east-1",
    }


def client(url):
    return boto3.client("s3", endpoint_url=url, aws_access_key_id=ACCESS_KEY,
                        aws_secret_access_key=SECRET_KEY, region_name="us-east-1")


def documented():
    """The lines of docs/migrate.md that move tags, as they stand there."""
    place = os.path.join(os.path.dirname(os.path.realpath(__file__)), "../../docs/migrate.md")
    with open(place, encoding="utf-8") as file:
        return re.search(r"```python\n(.*?)```", file.read(), re.DOTALL)[1]


old, new = client(URL), client(OTHER)
open("none", "w").close()
REMOTES = {**remote("OLD", URL), **remote("NEW", OTHER), "RCLONE_CONFIG": "none"}
version("rclone", run("rclone", "version").split()[1].lstrip("v"))
old.create_bucket(Bucket="moved")
bodies = {"plain": b"text", "ü +/deep": os.urandom(100_000), "big": os.urandom(12 << 20), "none": b""}
for key, body in bodies.items():
    old.put_object(Bucket="moved", Key=key, Body=body, ContentType="text/x-test", CacheControl="max-age=5",
                   Metadata={"colour": "red"}, Tagging="kind=test&more=%2B")
run("rclone", "copy", "--metadata", "--s3-upload-cutoff", "8M", "--s3-chunk-size", "5M", "OLD:", "NEW:",
    **REMOTES)
run("rclone", "check", "--download", "OLD:moved", "NEW:moved", **REMOTES)
exec(compile(documented(), "docs/migrate.md", "exec"), {"old": old, "new": new})
for key, body in bodies.items():
    found = new.get_object(Bucket="moved", Key=key)
    assert found["Body"].read() == body, key
    assert found["ContentType"] == "text/x-test" and found["CacheControl"] == "max-age=5", found
    assert found["Metadata"]["colour"] == "red", found
    tags = new.get_object_tagging(Bucket="moved", Key=key)["TagSet"]
    assert sorted((tag["Key"], tag["Value"]) for tag in tags) == [("kind", "test"), ("more", "+")], tags
print("done")
