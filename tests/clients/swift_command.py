"""The command `swift`: trees in segments of both kinds, downloads compared, copies, metadata, ranges of
listings, temporary URLs, deletion with everything that belonged to it."""

import json
import os
import urllib.request

from commands import URL, run, same, tree, version

USER, PASSWORD = os.environ["TRESTLE_USER"], os.environ["TRESTLE_PASSWORD"]
LOGIN = {"ST_AUTH": f"{URL}/auth/v1.0", "ST_USER": f"{USER}:{USER}", "ST_KEY": PASSWORD}


def swift(*words, **more):
    return run("swift", *words, **LOGIN, **more)


def names(*words):
    return swift("list", *words).splitlines()


version("python-swiftclient", swift("--version").split()[-1])
source = tree("source")
# The older command makes dynamic ones unless it is told otherwise.
DYNAMIC = ["--use-dlo"] if "--use-dlo" in swift("upload", "--help") else []
for kind, flag in (("static", ["--use-slo"]), ("dynamic", DYNAMIC)):
    swift("upload", kind, source, "--segment-size", "5000000", *flag, "--object-name", "in")
    listed = [name for name in names(kind) if not name.endswith("/")]
    assert len(listed) == 44 and "in/b/c/ünïcode" in listed, listed
    assert len(names(f"{kind}_segments")) == 4
    told = swift("stat", kind, "in/big")
    assert (" Manifest: " in told) == (kind == "dynamic"), told
    swift("download", kind, "--output-dir", f"back-{kind}")
    same(source, f"back-{kind}/in")
    # What is there and the same is not sent again.
    before = [line for line in told.splitlines() if "X-Timestamp" in line]
    swift("upload", kind, source, "--segment-size", "5000000", *flag, "--object-name", "in",
          "--changed")
    assert before and before[0] in swift("stat", kind, "in/big")
assert names("static", "--prefix", "in/b", "--delimiter", "/") == ["in/b/", "in/big"]
told = json.loads(swift("list", "static", "--json", "--prefix", "in/big"))
assert told[0]["bytes"] == 17_000_000, told
swift("copy", "--destination", "/copies/a", "static", "in/a/with space + plus")
swift("download", "copies", "a", "--output", "copy")
with open("copy", "rb") as one, open("source/a/with space + plus", "rb") as other:
    assert one.read() == other.read()
swift("post", "copies", "a", "--meta", "Colour:red", "--header", "X-Delete-After: 3600")
told = swift("stat", "copies", "a")
assert "Meta Colour: red" in told and "X-Delete-At" in told, told
swift("post", "copies", "--read-acl", ".r:*")
assert ".r:*" in swift("stat", "copies")
swift("post", "--meta", "Temp-URL-Key:key")
account = swift("stat", "-v").split("StorageURL: ")[1].split()[0].removeprefix(URL)
path = swift("tempurl", "GET", "60", f"{account}/static/in/big", "key").strip()
with urllib.request.urlopen(URL + path) as answer:
    assert int(answer.headers["content-length"]) == len(answer.read()) == 17_000_000
# A new upload of the same name takes the old segments away.
with open("source/big", "ab") as file:
    file.write(b"more")
before = names("static_segments")
swift("upload", "static", "source/big", "--segment-size", "9000000", "--use-slo", "--object-name", "in/big")
after = names("static_segments")
assert len(after) == 2 and not set(before) & set(after), (before, after)
swift("delete", "static", "in/big")
assert names("static_segments") == [] and "in/big" not in names("static")
swift("delete", "dynamic", "--prefix", "in/a/")
assert not [name for name in names("dynamic") if name.startswith("in/a/")]
assert "static_large_object" not in run("swift", "delete", "none", **LOGIN, fails=True)
capabilities = json.loads(swift("capabilities", "--json"))
assert "slo" in capabilities and "tempurl" in capabilities
swift("delete", "--all")
assert names() == []
print("done")
