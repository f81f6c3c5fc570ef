"""rclone's Swift backend: trees up, compared, synchronised and down, a large file in segments, copies
within the server, times of files."""

import json
import os

import swiftclient

from commands import URL, run, same, tree, version

USER, PASSWORD = os.environ["TRESTLE_USER"], os.environ["TRESTLE_PASSWORD"]
REMOTE = {
    "RCLONE_CONFIG_T_TYPE": "swift",
    "RCLONE_CONFIG_T_AUTH": f"{URL}/auth/v1.0",
    "RCLONE_CONFIG_T_AUTH_VERSION": "1",
    "RCLONE_CONFIG_T_USER": f"{USER}:{USER}",
    "RCLONE_CONFIG_T_KEY": PASSWORD,
    "RCLONE_CONFIG_T_CHUNK_SIZE": "5M",
    "RCLONE_CONFIG": "none",
}


def rclone(*words, **more):
    return run("rclone", *words, **REMOTE, **more)


open("none", "w").close()
version("rclone", rclone("version").split()[1].lstrip("v"))
swift = swiftclient.Connection(f"{URL}/auth/v1.0", f"{USER}:{USER}", PASSWORD)
source = tree("source")
rclone("mkdir", "t:tree")
rclone("copy", source, "t:tree/in")
rclone("check", "--download", source, "t:tree/in")
head = swift.head_object("tree", "in/big")
assert "x-object-manifest" in head or "x-static-large-object" in head, head
rclone("copy", "t:tree/in", "back")
same(source, "back")
files = {file["Path"]: file for file in json.loads(rclone("lsjson", "-R", "t:tree/in"))}
assert files["b/c/ünïcode"]["Size"] == os.path.getsize("source/b/c/ünïcode")
# Times of files are kept, so nothing is sent again.
told = rclone("copy", "--dry-run", "-v", source, "t:tree/in", "--stats-one-line")
before = swift.head_object("tree", "in/empty")["x-timestamp"]
rclone("sync", source, "t:tree/in")
assert swift.head_object("tree", "in/empty")["x-timestamp"] == before, told
os.remove("source/empty")
with open("source/big", "ab") as file:
    file.write(b"more")
rclone("sync", source, "t:tree/in")
rclone("check", "--download", source, "t:tree/in")
rclone("copy", "t:tree/in/a", "t:tree/second")
rclone("check", "--download", "t:tree/in/a", "t:tree/second")
rclone("moveto", "t:tree/second/with space + plus", "t:tree/moved + ü")
assert "moved + ü" in rclone("lsf", "t:tree")
sizes = json.loads(rclone("size", "--json", "t:tree/in"))
assert sizes["bytes"] == sum(os.path.getsize(os.path.join(at, name))
                             for at, _, names in os.walk("source") for name in names), sizes
with open("source/big", "rb") as file:
    file.seek(5242870)
    part = swift.get_object("tree", "in/big", headers={"Range": "bytes=5242870-5242889"})[1]
    assert part == file.read(20)
rclone("purge", "t:tree")
left = [one["name"] for one in swift.get_account()[1]]
assert "tree" not in left, left
segments = [name for name in left if name.startswith("tree")]
assert all(swift.get_container(name)[1] == [] for name in segments), segments
print("done")
