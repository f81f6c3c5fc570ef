"""Swift from python-swiftclient, its command, and plain requests where it has no call of its own:
forms, archives, temporary URLs, sites."""

import hashlib
import hmac
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import time

import requests
import swiftclient
from swiftclient.service import SwiftService, SwiftUploadObject
from swiftclient.utils import generate_temp_url

server = os.environ["TRESTLE_URL"]
user, password = os.environ["TRESTLE_USER"], os.environ["TRESTLE_PASSWORD"]
auth = f"{server}/auth/v1.0"
swift = swiftclient.Connection(auth, f"{user}:{user}", password)
url, token = swift.get_auth()
headers = {"X-Auth-Token": token}


def expect(response, status):
    assert response.status_code == status, (response.status_code, response.text)
    return response


def refused(status, call, *arguments, **named):
    try:
        call(*arguments, **named)
    except swiftclient.ClientException as error:
        assert error.http_status == status, error
    else:
        raise AssertionError(f"{call} was not refused")


# Objects, and listings that are right at once.
swift.put_container("c", {"X-Container-Meta-Color": "blue"})
swift.put_object("c", "a/ü", b"hello", content_type="text/x", headers={"X-Object-Meta-K": "v"})
head, body = swift.get_object("c", "a/ü")
assert body == b"hello" and head["content-type"] == "text/x" and head["x-object-meta-k"] == "v"
head, rows = swift.get_container("c", delimiter="/")
assert head["x-container-object-count"] == "1" and head["x-container-bytes-used"] == "5"
assert rows == [{"subdir": "a/"}], rows
swift.post_object("c", "a/ü", {"X-Object-Meta-Other": "w"})
head = swift.head_object("c", "a/ü")
assert "x-object-meta-k" not in head and head["x-object-meta-other"] == "w"
swift.copy_object("c", "a/ü", "/c/copy")
assert swift.get_object("c", "copy")[1] == b"hello"
refused(409, swift.delete_container, "c")
refused(404, swift.get_object, "c", "none")
refused(401, swiftclient.Connection(auth, f"{user}:{user}", "wrong").get_auth)

# The same object in the other dialects.
rest = requests.get(f"{server}/rest/c/a/%C3%BC", auth=(user, password))
assert rest.content == b"hello" and rest.headers["content-type"] == "text/x"

# A segmented upload, and its deletion with all segments.
data = os.urandom(300_000)
options = {"auth": auth, "user": f"{user}:{user}", "key": password, "segment_size": 100_000}
options |= {"use_slo": True, "auth_version": "1.0"}
with SwiftService(options=options) as service:
    sent = list(service.upload("c", [SwiftUploadObject(io.BytesIO(data), "large")]))
    assert all(one["success"] for one in sent), sent
head, body = swift.get_object("c", "large")
assert body == data and head["x-static-large-object"] == "True"
assert swift.get_object("c", "large", headers={"Range": "bytes=99990-100009"})[1] == data[99990:100010]
assert len(swift.get_container("c_segments")[1]) == 3
swift.delete_object("c", "large", query_string="multipart-manifest=delete")
assert swift.get_container("c_segments")[1] == []

# The command.
with tempfile.TemporaryDirectory() as folder:
    with open(f"{folder}/file", "wb") as file:
        file.write(data)
    command = [sys.executable, "-m", "swiftclient.shell", "-A", auth, "-U", f"{user}:{user}", "-K", password]
    for words in (["upload", "c", "file", "-S", "120000"], ["stat", "c", "file"], ["delete", "c", "file"]):
        subprocess.run(command + words, cwd=folder, check=True, capture_output=True)
refused(404, swift.get_object, "c", "file")

# Versions.
swift.post_container("c", {"X-Versions-Enabled": "true"})
for text in (b"one", b"two"):
    swift.put_object("c", "v", text)
swift.delete_object("c", "v")
rows = [row for row in swift.get_container("c", query_string="versions&format=json")[1] if row["name"] == "v"]
assert len(rows) == 3 and rows[0]["content_type"].startswith("application/x-deleted"), rows
old = swift.get_object("c", "v", query_string="version-id=" + rows[-1]["version_id"])[1]
assert old == b"one"
swift.post_container("c", {"X-Versions-Enabled": "false"})

# Temporary URLs, with an address and a prefix.
swift.post_account({"X-Account-Meta-Temp-URL-Key": "key"})
path = url[len(server):]
for digest in ("sha1", "sha256", "sha512"):
    one = generate_temp_url(f"{path}/c/copy", 60, "key", "GET", digest=digest)
    assert expect(requests.get(server + one), 200).content == b"hello"
    expect(requests.put(server + one, data=b"no"), 401)
# What is not signed does nothing: no manifest is made by a URL, and none of its segments deleted.
one = generate_temp_url(f"{path}/c/made", 60, "key", "PUT", digest="sha256")
manifest = json.dumps([{"path": "/c/copy"}]).encode()
expect(requests.put(server + one + "&multipart-manifest=put", data=manifest), 201)
assert swift.get_object("c", "made")[1] == manifest
swift.put_object("c", "made", manifest, query_string="multipart-manifest=put")
assert swift.get_object("c", "made")[1] == b"hello"
one = generate_temp_url(f"{path}/c/made", 60, "key", "DELETE", digest="sha256")
expect(requests.delete(server + one + "&multipart-manifest=delete"), 204)
assert swift.get_object("c", "copy")[1] == b"hello"
for network, status in (("127.0.0.0/8", 200), ("10.0.0.0/8", 401), ("127.0.0.1/8", 401)):
    one = generate_temp_url(f"{path}/c/copy", 60, "key", "GET", ip_range=network)
    expect(requests.get(server + one), status)
prefix = generate_temp_url(f"{path}/c/a/", 60, "key", "GET", prefix=True)
expect(requests.get(server + prefix.replace("/a/?", "/a/%C3%BC?")), 200)
expect(requests.get(server + prefix.replace("/a/?", "/copy?")), 401)

# Forms.
def form(path, files, signature=None, **fields):
    fields = {"redirect": "", "max_file_size": "100", "max_file_count": "2"} | fields
    fields.setdefault("expires", str(int(time.time()) + 60))
    text = "\n".join([path] + [fields[n] for n in ("redirect", "max_file_size", "max_file_count", "expires")])
    fields["signature"] = signature or hmac.new(b"key", text.encode(), hashlib.sha256).hexdigest()
    parts = [("file", file) for file in files]
    return requests.post(server + path, data=fields, files=parts, allow_redirects=False)


expect(form(f"{path}/c/form-", [("one", b"1"), ("two", b"22")]), 201)
assert swift.get_object("c", "form-two")[1] == b"22"
encoded = form(f"{path}/c/form-", [("packed", b"p", "text/x-own", {"Content-Encoding": "x-own"})])
expect(encoded, 201)
kept = swift.head_object("c", "form-packed")
assert (kept["content-type"], kept["content-encoding"]) == ("text/x-own", "x-own"), kept
swift.delete_object("c", "form-packed")
sent = expect(form(f"{path}/c/form-", [("three", b"3")], redirect="http://x/?y"), 303)
assert sent.headers["location"] == "http://x/?y&status=201&message=", sent.headers
expect(form(f"{path}/c/form-", [("large", b"x" * 101)]), 400)
expect(form(f"{path}/c/form-", [("f", b"1")] * 3), 400)
expect(form(f"{path}/c/form-", [("forged", b"1")], signature="0" * 64), 401)
expect(form(f"{path}/c/form-", [("late", b"1")], expires="1"), 401)
for name in ("form-large", "form-forged", "form-late"):
    refused(404, swift.get_object, "c", name)

# Archives, in each compression; a name that climbs is refused.
def archive(mode, names):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode=f"w:{mode}", format=tarfile.PAX_FORMAT) as tar:
        for name in names:
            entry = tarfile.TarInfo(name)
            entry.size = 5
            entry.pax_headers = {"SCHILY.xattr.user.meta.color": "red"}
            tar.addfile(entry, io.BytesIO(b"tarry"))
    return packed.getvalue()


for mode, kind in (("", "tar"), ("gz", "tar.gz"), ("bz2", "tar.bz2")):
    packed = archive(mode, [f"new-{mode}/a", f"new-{mode}/é", f"new-{mode}/{'long' * 60}"])
    asked = {**headers, "Accept": "application/json"}
    report = expect(requests.put(f"{url}?extract-archive={kind}", data=packed, headers=asked), 200).json()
    assert report["Response Status"] == "201 Created" and report["Number Files Created"] == 3, report
    head, body = swift.get_object(f"new-{mode}", "é")
    assert body == b"tarry" and head["x-object-meta-color"] == "red"
for packed in (archive("", ["../out", "c/../../out"]), b"no archive at all" * 100):
    report = requests.put(f"{url}/c?extract-archive=tar", data=packed, headers=asked).json()
    assert report["Response Status"].startswith("400"), report

# A site: index, error page, listing.
public = {"X-Container-Read": ".r:*,.rlistings", "X-Container-Meta-Web-Index": "index.html"}
swift.put_container("site", public | {"X-Container-Meta-Web-Error": "error.html"})
swift.put_object("site", "index.html", b"<p>index", content_type="text/html")
swift.put_object("site", "404error.html", b"<p>nothing here", content_type="text/html")
swift.put_object("site", "d/<b>", b"x")
assert expect(requests.get(f"{url}/site/"), 200).text == "<p>index"
expect(requests.get(f"{url}/site", allow_redirects=False), 301)
missing = expect(requests.get(f"{url}/site/none"), 404)
assert missing.text == "<p>nothing here" and missing.headers["content-type"] == "text/html"
swift.post_container("site", {"X-Container-Meta-Web-Listings": "true"})
page = expect(requests.get(f"{url}/site/d/"), 200).text
assert "&lt;b&gt;" in page and "<b>" not in page, page
swift.post_container("site", {"X-Container-Read": ""})
assert expect(requests.get(f"{url}/site/"), 401).headers["www-authenticate"].startswith("Swift realm=")

# Many deletes at once.
names = "c/a/%C3%BC\nc/none\nc/form-one\n"
report = requests.post(f"{url}?bulk-delete", data=names, headers={**asked, "Content-Type": "text/plain"}).json()
assert (report["Number Deleted"], report["Number Not Found"]) == (2, 1), report
assert json.loads(requests.get(f"{server}/info").text)["swift"]["account_autocreate"] is True
print(f"= python-swiftclient {swiftclient.__version__}")
print("done")
