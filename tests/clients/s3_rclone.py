"""rclone: trees up, checked, synchronised and down, copies within the server, metadata, versions."""

import json

from commands import ACCESS_KEY, SECRET_KEY, URL, run, same, tree, version

REMOTE = {
    "RCLONE_CONFIG_T_TYPE": "s3",
    "RCLONE_CONFIG_T_PROVIDER": "Other",
    "RCLONE_CONFIG_T_ENDPOINT": URL,
    "RCLONE_CONFIG_T_ACCESS_KEY_ID": ACCESS_KEY,
    "RCLONE_CONFIG_T_SECRET_ACCESS_KEY": SECRET_KEY,
    "RCLONE_CONFIG_T_REGION": "us-east-1",
    "RCLONE_CONFIG": "none",
}


def rclone(*words, **more):
    return run("rclone", *words, **REMOTE, **more)


open("none", "w").close()
version("rclone", rclone("version").split()[1].lstrip("v"))
source = tree("source")
parts = ["--s3-upload-cutoff", "8M", "--s3-chunk-size", "5M"]
rclone("mkdir", "t:rclone-tree")
rclone("copy", *parts, source, "t:rclone-tree/in")
rclone("check", "--download", source, "t:rclone-tree/in")
rclone("check", source, "t:rclone-tree/in")
rclone("copy", "t:rclone-tree/in", "back")
same(source, "back")
# Times of files are kept, so nothing is sent again.
log = run("rclone", "sync", "-v", source, "t:rclone-tree/in", "--stats-one-line", **REMOTE)
files = json.loads(rclone("lsjson", "-R", "t:rclone-tree/in"))
assert any(file["Path"] == "b/c/ünïcode" for file in files)
rclone("sync", "t:rclone-tree/in", "t:rclone-tree/second")
rclone("check", "t:rclone-tree/in", "t:rclone-tree/second")
rclone("moveto", "t:rclone-tree/second/big", "t:rclone-tree/moved")
assert rclone("md5sum", "t:rclone-tree/moved").split()[0] == rclone("md5sum", "source/big").split()[0]
rclone("copyto", "--metadata", "--metadata-set", "colour=red", "--header-upload",
       "Cache-Control: no-cache", "source/empty", "t:rclone-tree/tagged")
told = json.loads(rclone("lsjson", "--metadata", "--stat", "t:rclone-tree/tagged"))
assert told["Metadata"]["colour"] == "red", told
assert told["Metadata"]["cache-control"] == "no-cache", told
rclone("delete", "t:rclone-tree/second")
rclone("purge", "t:rclone-tree")
assert "rclone-tree" not in rclone("lsd", "t:")
print("done")
