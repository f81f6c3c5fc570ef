"""The REST API from Python with requests: create, read, condition, range, list, delete."""

import os

import requests

url = os.environ["TRESTLE_URL"] + "/rest"
session = requests.Session()
session.auth = (os.environ["TRESTLE_USER"], os.environ["TRESTLE_PASSWORD"])


def expect(response, status):
    assert response.status_code == status, (response.status_code, response.text)
    return response


expect(session.put(f"{url}/python/"), 201)
body = os.urandom(300_000)
created = expect(session.put(f"{url}/python/a b/ü.bin", data=body), 201)
read = expect(session.get(f"{url}/python/a b/ü.bin"), 200)
assert read.content == body
assert read.headers["etag"] == created.headers["etag"]

current = {"If-None-Match": read.headers["etag"]}
expect(session.get(f"{url}/python/a b/ü.bin", headers=current), 304)
once = {"If-None-Match": "*"}
expect(session.put(f"{url}/python/a b/ü.bin", data=b"no", headers=once), 412)
part = expect(session.get(f"{url}/python/a b/ü.bin", headers={"Range": "bytes=-5"}), 206)
assert part.content == body[-5:]


def pieces():
    for _ in range(10):
        yield b"x" * 10_000


expect(session.put(f"{url}/python/streamed", data=pieces()), 201)
listing = expect(session.get(f"{url}/python/"), 200).json()
assert [item["key"] for item in listing["items"]] == ["a b/ü.bin", "streamed"], listing
assert listing["bytes"] == 400_000

for item in listing["items"]:
    expect(session.delete(os.environ["TRESTLE_URL"] + item["href"]), 204)
expect(session.delete(f"{url}/python/"), 204)
anonymous = expect(requests.get(f"{url}/b/"), 401)
assert anonymous.headers["www-authenticate"].startswith("Basic")
print(f"= requests {requests.__version__}")
print("done")
