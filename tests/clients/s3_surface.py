"""Every operation of the protocol, as botocore's model of the service lists them, asked of the server:
the table in docs/conformance/s3.md says of each whether it is served, and has to be right and whole.
With TRESTLE_WRITE set the table is written anew from what the server answers."""

import os
import re
import sys
import urllib.error
import urllib.request

import botocore.session
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from commands import ACCESS_KEY, SECRET_KEY, URL

PAGE = os.path.join(os.path.dirname(os.path.realpath(__file__)), "../../docs/conformance/s3.md")
BEGIN, END = "<!-- operations: begin -->\n", "<!-- operations: end -->\n"
# Two operations of one route are told apart by a header.
HEADERS = {"CopyObject": {"x-amz-copy-source": "bucket/none"},
           "UploadPartCopy": {"x-amz-copy-source": "bucket/none"}}
# Two operations that only the name tells apart which clients send along.
BY_ID = {"ListDirectoryBuckets"}
# What an object may have or not, and none has here.
NEVER_THERE = {"GetObjectTorrent"}
# It is asked of a host of its own, which this server cannot be.
ELSEWHERE = {"WriteGetObjectResponse"}


def ask(method, target, headers):
    """The status and the error code that a signed request without a body is answered with."""
    request = AWSRequest(method, URL + target, headers=headers, data=b"")
    S3SigV4Auth(Credentials(ACCESS_KEY, SECRET_KEY), "s3", "us-east-1").add_auth(request)
    prepared = request.prepare()
    sent = urllib.request.Request(prepared.url, method=method, headers=dict(prepared.headers),
                                  data=b"" if method in ("PUT", "POST") else None)
    try:
        with urllib.request.urlopen(sent) as answer:
            return answer.status, ""
    except urllib.error.HTTPError as error:
        code = re.search(rb"<Code>(.*?)</Code>", error.read())
        return error.code, code[1].decode() if code else ""


def operations():
    model = botocore.session.get_session().get_service_model("s3")
    for name in sorted(model.operation_names):
        operation = model.operation_model(name)
        shape = operation.input_shape
        members = shape.members if shape else {}
        target = operation.http["requestUri"].replace("{Bucket}", "bucket").replace("{Key+}", "key")
        required = [members[one].serialization for one in (shape.required_members if shape else [])]
        queries = [f"{one['name']}=1" for one in required if one.get("location") == "querystring"]
        queries += [f"x-id={name}"] if name in BY_ID else []
        if queries:
            target += ("&" if "?" in target else "?") + "&".join(queries)
        yield name, operation.http["method"], target


def main():
    rows, wrong = [], []
    for name, method, target in operations():
        if name in ELSEWHERE:
            rows.append((name, method, target, "of another host"))
            continue
        status, code = ask(method, target, HEADERS.get(name, {}))
        if code == "NoSuchKey" and name in NEVER_THERE:
            rows.append((name, method, target, "`NoSuchKey`: none is made"))
        elif status == 501:
            rows.append((name, method, target, "`NotImplemented`"))
        elif status < 500 and status != 405:
            rows.append((name, method, target, "served"))
        else:
            wrong.append((name, method, target, status, code))
    assert not wrong, wrong
    table = "| operation | request | |\n|---|---|---|\n"
    for name, method, target, state in rows:
        shown = re.sub(r"=1\b", "=…", target)
        table += f"| {name} | `{method} {shown}` | {state} |\n"
    with open(PAGE, encoding="utf-8") as file:
        page = file.read()
    before, rest = page.split(BEGIN)
    present, after = rest.split(END)
    if os.environ.get("TRESTLE_WRITE"):
        with open(PAGE, "w", encoding="utf-8") as file:
            file.write(before + BEGIN + table + END + after)
    elif present != table:
        asked, told = set(table.splitlines()), set(present.splitlines())
        sys.exit(f"docs/conformance/s3.md: lacks {asked - told}, has {told - asked}")
    print("done")


main()
