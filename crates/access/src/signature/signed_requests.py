"""Makes signed_requests.json: requests as botocore signs them, for the tests beside it.

    pip install botocore && python3 signed_requests.py > signed_requests.json
"""

import datetime
import json
import sys
from unittest import mock
from urllib.parse import urlsplit

import botocore.auth
from botocore.awsrequest import AWSRequest
from botocore.compat import HTTPHeaders
from botocore.credentials import Credentials

NOW = datetime.datetime(2026, 1, 31, 12, 0, 0, tzinfo=datetime.timezone.utc)
KEY, SECRET = "AKIDEXAMPLE", "s3cr3t/with+signs=and spaces"
TOKEN = "FQoGZXIvYXdzE//token+with=signs"
URLS = [
    "http://127.0.0.1:9000/bucket/key",
    "http://127.0.0.1:9000/",
    "http://127.0.0.1:9000/bucket?list-type=2&prefix=a%20b%2Fc&delimiter=%2F&max-keys=2",
    "http://127.0.0.1:9000/bucket?uploads",
    "http://127.0.0.1:9000/bucket?acl=",
    "http://127.0.0.1:9000/bucket/a//b/../c/./d%20e%2Bf%25g",
    "http://127.0.0.1:9000/bucket/%E3%81%82%C3%A9?versionId=x%2By%3D&partNumber=7",
    "https://bucket.example.org/~user/-._%2A%27%28%29",
    "https://bucket.example.org/k?b=2&a=1&a=0&B=3&%C3%A9=%E2%82%AC",
    "https://bucket.example.org:8443/k?response-content-type=text%2Fplain%3B%20charset%3Dutf-8",
]
HEADERS = [
    {},
    {"Content-Type": "text/plain", "x-amz-meta-a": "  two   spaces  ", "x-amz-acl": "private"},
    {"Content-MD5": "1B2M2Y8AsgTpgAmY7PhCfg==", "x-amz-meta-b": "x,y", "Range": "bytes=0-1"},
]


class Frozen(datetime.datetime):
    @classmethod
    def utcnow(cls):
        return NOW.replace(tzinfo=None)

    @classmethod
    def now(cls, tz=None):
        return NOW if tz else NOW.replace(tzinfo=None)


def patched():
    """Every place from which this version of botocore takes the time."""
    patches = [mock.patch("botocore.auth.datetime.datetime", Frozen), mock.patch("time.time", NOW.timestamp)]
    patches.append(mock.patch("botocore.auth.formatdate", lambda **_: "Sat, 31 Jan 2026 12:00:00 GMT"))
    if hasattr(botocore.auth, "get_current_datetime"):
        patches.append(mock.patch("botocore.auth.get_current_datetime", lambda *_, **__: NOW.replace(tzinfo=None)))
    return patches


def case(name, method, url, headers, body, auth):
    request = AWSRequest(method=method, url=url, headers=headers, data=body)
    auth.add_auth(request)
    split = urlsplit(request.url)
    sent = [[k.lower(), v if isinstance(v, str) else v.decode()] for k, v in request.headers.items()]
    if not any(k == "host" for k, _ in sent):
        sent.append(["host", split.netloc])
    return {"name": name, "method": method, "path": split.path, "query": split.query or None, "headers": sent}


def main():
    cases = []
    signers = {
        "v4": lambda c: botocore.auth.S3SigV4Auth(c, "s3", "eu-west-3"),
        "v4-query": lambda c: botocore.auth.S3SigV4QueryAuth(c, "s3", "eu-west-3", expires=3600),
        "v2": botocore.auth.HmacV1Auth,
        "v2-query": lambda c: botocore.auth.HmacV1QueryAuth(c, expires=3600),
    }
    for name, signer in signers.items():
        for place, url in enumerate(URLS):
            for variant, headers in enumerate(HEADERS):
                for method in ["GET", "PUT"] if variant == 1 else ["GET"]:
                    token = TOKEN if variant == 2 else None
                    body = b"hello" if method == "PUT" and name == "v4" else b""
                    auth = signer(Credentials(KEY, SECRET, token))
                    cases.append(case(f"{name} {place} {variant} {method}", method, url, dict(headers), body, auth))
    policy = {"conditions": [{"bucket": "b"}], "expiration": "2026-01-31T13:00:00Z"}
    request = AWSRequest(method="POST", url="http://127.0.0.1/b")
    request.context["s3-presign-post-fields"] = {}
    request.context["s3-presign-post-policy"] = policy
    botocore.auth.S3SigV4PostAuth(Credentials(KEY, SECRET, TOKEN), "s3", "eu-west-3").add_auth(request)
    form = request.context["s3-presign-post-fields"]
    document = {"key": KEY, "secret": SECRET, "region": "eu-west-3", "now": int(NOW.timestamp()),
                "form": form, "cases": cases}
    json.dump(document, sys.stdout, ensure_ascii=False, indent=0)
    print()


for one in patched():
    one.start()
main()
