"""s3cmd: buckets, files in parts, synchronised trees, access control lists, signed URLs."""

import os
import urllib.request

from commands import ACCESS_KEY, HOST, SECRET_KEY, URL, run, same, tree, version


def s3cmd(*words, **more):
    return run("s3cmd", "--no-ssl", "--host", HOST, "--host-bucket", HOST, "--config", "none",
               "--access_key", ACCESS_KEY, "--secret_key", SECRET_KEY, "--no-progress", *words,
               **more)


open("none", "w").close()
version("s3cmd", s3cmd("--version").split()[-1])
source = tree("source")
s3cmd("mb", "s3://s3cmd-tree")
s3cmd("sync", "--multipart-chunk-size-mb=5", f"{source}/", "s3://s3cmd-tree/in/")
s3cmd("sync", "s3://s3cmd-tree/in/", "back/")
same(source, "back")
assert s3cmd("sync", f"{source}/", "s3://s3cmd-tree/in/").count("upload:") == 0
listed = s3cmd("ls", "--recursive", "s3://s3cmd-tree/in/")
assert "ünïcode" in listed and "17000000" in listed, listed
s3cmd("cp", "s3://s3cmd-tree/in/big", "s3://s3cmd-tree/copy")
s3cmd("mv", "s3://s3cmd-tree/copy", "s3://s3cmd-tree/moved")
s3cmd("modify", "--add-header=x-amz-meta-colour:red", "s3://s3cmd-tree/moved")
assert "red" in s3cmd("info", "s3://s3cmd-tree/moved")
s3cmd("put", "--acl-public", "--mime-type=text/plain", "source/a/with space + plus",
      "s3://s3cmd-tree/public")
with urllib.request.urlopen(f"{URL}/s3cmd-tree/public") as answer:
    assert answer.headers["content-type"] == "text/plain"
    assert answer.read() == open("source/a/with space + plus", "rb").read()
s3cmd("setacl", "--acl-private", "s3://s3cmd-tree/public")
try:
    urllib.request.urlopen(f"{URL}/s3cmd-tree/public")
    raise AssertionError("still public")
except urllib.error.HTTPError as error:
    assert error.code == 403
signed = s3cmd("signurl", "s3://s3cmd-tree/public", "+60").strip()
assert urllib.request.urlopen(signed).status == 200
s3cmd("del", "--recursive", "--force", "s3://s3cmd-tree/")
assert s3cmd("ls", "--recursive", "s3://s3cmd-tree/") == ""
s3cmd("rb", "s3://s3cmd-tree")
assert "s3cmd-tree" not in s3cmd("ls")
print("done")
