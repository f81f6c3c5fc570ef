"""The Flask example, driven as a browser would."""

import importlib.metadata
import importlib.util
import io
import os
import sys

folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../examples/python")
spec = importlib.util.spec_from_file_location("flask_uploads", f"{folder}/flask_uploads.py")
example = importlib.util.module_from_spec(spec)
sys.modules["flask_uploads"] = example
spec.loader.exec_module(example)

browser = example.app.test_client()
assert browser.get("/").status_code == 200
body = os.urandom(500_000)
for name, content in [("naïve report.bin", body), ("b/ü.txt", b"small")]:
    sent = browser.post("/", data={"file": (io.BytesIO(content), name)})
    assert sent.status_code == 303, sent
page = browser.get("/").text
assert "naïve report.bin" in page and "500000 bytes" in page, page

read = browser.get("/files/na%C3%AFve%20report.bin")
assert read.status_code == 200 and read.data == body
same = browser.get("/files/na%C3%AFve%20report.bin", headers={"If-None-Match": read.headers["ETag"]})
assert same.status_code == 304
part = browser.get("/files/na%C3%AFve%20report.bin", headers={"Range": "bytes=10-19"})
assert part.status_code == 206 and part.data == body[10:20]
assert browser.get("/files/b/%C3%BC.txt").data == b"small"
assert browser.get("/files/none").status_code == 404
assert browser.post("/", data={}).status_code == 400
print("= flask", importlib.metadata.version("flask"))
print("done")
