"""curl: forms that upload, archives that are unpacked, temporary URLs, as their documentation shows them
on a command line."""

import hashlib
import hmac
import json
import os
import tarfile
import time

from commands import URL, run, version

USER, PASSWORD = os.environ["TRESTLE_USER"], os.environ["TRESTLE_PASSWORD"]


def curl(*words):
    """The status of an answer, its head in lower case, its body."""
    told = run("curl", "--silent", "--show-error", "--dump-header", "head", "--output", "body",
               "--write-out", "%{http_code}", *words)
    with open("head", encoding="latin-1") as head, open("body", encoding="utf-8") as body:
        lines = [line.partition(":") for line in head.read().splitlines()]
        return int(told), {name.lower(): value.strip() for name, _, value in lines}, body.read()


def mac(*lines, digest=hashlib.sha256):
    return hmac.new(b"key", "\n".join(lines).encode(), digest).hexdigest()


open("body", "w").close()
version("curl", run("curl", "--version").split()[1])
status, head, _ = curl("-H", f"X-Auth-User: {USER}:{USER}", "-H", f"X-Auth-Key: {PASSWORD}",
                       f"{URL}/auth/v1.0")
assert status == 200, status
account, token = head["x-storage-url"], f"X-Auth-Token: {head['x-auth-token']}"
path = account.removeprefix(URL)
later = str(int(time.time()) + 600)
assert curl("-X", "PUT", "-H", token, f"{account}/c")[0] == 201
assert curl("-X", "POST", "-H", token, "-H", "X-Account-Meta-Temp-URL-Key: key", account)[0] == 204

# Forms.
for name, text in (("one.txt", "first"), ("two.txt", "second")):
    with open(name, "w", encoding="utf-8") as file:
        file.write(text)


def form(*files, signature=None):
    fields = {"redirect": "", "max_file_size": "100", "max_file_count": "2", "expires": later}
    fields["signature"] = signature or mac(f"{path}/c/form/", *fields.values())
    words = [word for name, value in fields.items() for word in ("--form-string", f"{name}={value}")]
    for place, file in enumerate(files):
        words += ["--form", f"file{place}=@{file}"]
    return curl(*words, f"{account}/c/form/")[0]


assert form("one.txt", "two.txt") == 201
assert curl("-H", token, f"{account}/c/form/two.txt")[2] == "second"
assert form("one.txt", signature="0" * 64) == 401

# Archives.
for mode, kind in (("w", "tar"), ("w:gz", "tar.gz"), ("w:bz2", "tar.bz2")):
    with tarfile.open("packed", mode) as archive:
        for name in ("one.txt", "two.txt"):
            archive.add(name, f"sub/{name}")
    status, _, body = curl("-T", "packed", "-H", token, "-H", "Accept: application/json",
                           f"{account}/c/{kind}?extract-archive={kind}")
    report = json.loads(body)
    assert status == 200 and report["Number Files Created"] == 2, (kind, status, body)
    assert curl("-H", token, f"{account}/c/{kind}/sub/one.txt")[2] == "first"

# Temporary URLs: written, read, as a download, until somebody changes a letter.
sent = f"temp_url_sig={mac('PUT', later, f'{path}/c/temp')}&temp_url_expires={later}"
assert curl("-T", "one.txt", f"{account}/c/temp?{sent}")[0] == 201
for digest in (hashlib.sha1, hashlib.sha256, hashlib.sha512):
    signed = mac("GET", later, f"{path}/c/temp", digest=digest)
    query = f"temp_url_sig={signed}&temp_url_expires={later}"
    status, head, body = curl(f"{account}/c/temp?{query}&filename=named.txt")
    assert (status, body) == (200, "first"), (status, body)
    assert "named.txt" in head["content-disposition"], head
    wrong = ("0" if signed[0] != "0" else "1") + signed[1:]
    assert curl(f"{account}/c/temp?{query.replace(signed, wrong)}")[0] == 401
    assert curl("-X", "DELETE", f"{account}/c/temp?{query}")[0] == 401
assert curl(f"{account}/c/temp")[0] == 401

# Many deleted at once.
names = [f"c/{kind}/sub/{name}" for kind in ("tar", "tar.gz", "tar.bz2") for name in ("one.txt", "two.txt")]
with open("names", "w", encoding="utf-8") as file:
    file.write("\n".join(names))
status, _, body = curl("-X", "POST", "--data-binary", "@names", "-H", "Content-Type: text/plain", "-H", token,
                       "-H", "Accept: application/json", f"{account}?bulk-delete")
assert json.loads(body)["Number Deleted"] == 6, body
print("done")
