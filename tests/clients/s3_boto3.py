"""S3 with boto3: buckets, objects, conditions, copies, uploads, versions, locks, signed URLs, forms."""

import datetime
import hashlib
import io
import json
import os

import boto3
import requests
from botocore.config import Config
from botocore.exceptions import ClientError

url = os.environ["TRESTLE_URL"]
keys = {
    "aws_access_key_id": os.environ["TRESTLE_ACCESS_KEY"],
    "aws_secret_access_key": os.environ["TRESTLE_SECRET_KEY"],
    "region_name": "us-east-1",
}
s3 = boto3.client("s3", endpoint_url=url, **keys)
old = boto3.client("s3", endpoint_url=url, config=Config(signature_version="s3"), **keys)


def refused(code, call, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        assert error.response["Error"]["Code"] == code, error.response
        return error.response
    raise AssertionError(f"not refused: {code}")


def content(**arguments):
    return s3.get_object(**arguments)["Body"].read()


def objects():
    s3.create_bucket(Bucket="boto3")
    body = os.urandom(300_000)
    put = s3.put_object(
        Bucket="boto3",
        Key="a b/ü+.bin",
        Body=body,
        ContentType="text/plain",
        Metadata={"Colour": "red"},
        Tagging="k=v",
        ChecksumAlgorithm="SHA256",
    )
    assert put["ETag"] == f'"{hashlib.md5(body).hexdigest()}"'
    read = s3.get_object(Bucket="boto3", Key="a b/ü+.bin", ChecksumMode="ENABLED")
    assert read["Body"].read() == body and read["Metadata"] == {"colour": "red"}
    assert read["ChecksumSHA256"] == put["ChecksumSHA256"] and read["TagCount"] == 1
    assert content(Bucket="boto3", Key="a b/ü+.bin", Range="bytes=-7") == body[-7:]
    refused("InvalidRange", s3.get_object, Bucket="boto3", Key="a b/ü+.bin", Range="bytes=300000-")
    refused("304", s3.get_object, Bucket="boto3", Key="a b/ü+.bin", IfNoneMatch=put["ETag"])
    refused("PreconditionFailed", s3.put_object, Bucket="boto3", Key="a b/ü+.bin", IfNoneMatch="*")
    refused("BadDigest", s3.put_object, Bucket="boto3", Key="x", Body=b"x",
            ContentMD5="1B2M2Y8AsgTpgAmY7PhCfg==")
    missing = refused("NoSuchKey", s3.get_object, Bucket="boto3", Key="x")
    assert missing["Error"]["Key"] == "x"
    missing = refused("NoSuchBucket", s3.copy_object, Bucket="boto3", Key="x", CopySource="no/x")
    assert missing["Error"]["BucketName"] == "no"
    # Nothing unknown is ignored.
    refused("NotImplemented", s3.put_object, Bucket="boto3", Key="x",
            ServerSideEncryption="aws:kms:dsse")
    refused("InvalidArgument", s3.put_object, Bucket="boto3", Key="x", GrantRead="id=x")
    refused("NotImplemented", s3.get_bucket_website, Bucket="boto3")
    s3.copy_object(Bucket="boto3", Key="copy", CopySource={"Bucket": "boto3", "Key": "a b/ü+.bin"})
    copy = s3.head_object(Bucket="boto3", Key="copy")
    assert copy["Metadata"] == {"colour": "red"} and copy["ETag"] == put["ETag"]
    page = s3.list_objects_v2(Bucket="boto3", Delimiter="/")
    assert [p["Prefix"] for p in page["CommonPrefixes"]] == ["a b/"]
    assert [o["Key"] for o in page["Contents"]] == ["copy"]
    for name, value in (("XXHASH64", "JseCfYifbaM="), ("XXHASH3", "lVXoVVxi3P0="),
                        ("XXHASH128", "tenBrQcbPn/Hec+qXlI4GA==")):
        sum_of_hello = {f"Checksum{name}": value}
        s3.put_object(Bucket="boto3", Key="copy", Body=b"hello", **sum_of_hello)
        shown = s3.head_object(Bucket="boto3", Key="copy", ChecksumMode="ENABLED")
        assert shown[f"Checksum{name}"] == value, shown
        refused("BadDigest", s3.put_object, Bucket="boto3", Key="copy", Body=b"other",
                **sum_of_hello)
    # A header that no version of the protocol knows changes nothing.
    with_header("PutObject", {"x-amz-unheard-of": "1"}).put_object(Bucket="boto3", Key="copy")
    old.put_object(Bucket="boto3", Key="old", Body=b"signed by version 2")
    assert content(Bucket="boto3", Key="old") == b"signed by version 2"
    move = {"Bucket": "boto3", "Key": "moved", "RenameSource": "/boto3/copy", "ClientToken": "1"}
    s3.copy_object(Bucket="boto3", Key="other", CopySource="boto3/copy")
    for _ in range(2):
        s3.rename_object(**move)
    refused("NoSuchKey", s3.get_object, Bucket="boto3", Key="copy")
    refused("IdempotentParameterMismatch", s3.rename_object, **{**move, "Key": "more"})
    refused("NoSuchKey", s3.rename_object, **{**move, "ClientToken": "2"})
    s3.rename_object(Bucket="boto3", Key="copy", RenameSource="boto3/moved")
    s3.delete_object(Bucket="boto3", Key="other")
    gone = s3.delete_objects(Bucket="boto3", Delete={"Objects": [{"Key": "copy"}, {"Key": "no"}]})
    assert len(gone["Deleted"]) == 2 and "Errors" not in gone


def files():
    """A client that sends a file waits for a 100 first, and for an empty one none is sent."""
    for body in [b"", b"one", b"", b"another"]:
        put = s3.put_object(Bucket="boto3", Key="file", Body=io.BytesIO(body))
        assert put["ETag"] == f'"{hashlib.md5(body).hexdigest()}"'
    assert content(Bucket="boto3", Key="file") == b"another"


def uploads():
    upload = s3.create_multipart_upload(Bucket="boto3", Key="big", ChecksumAlgorithm="CRC32")
    place = {"Bucket": "boto3", "Key": "big", "UploadId": upload["UploadId"]}
    pieces = [os.urandom(5 << 20), os.urandom(1000)]
    parts = []
    for number in (2, 1):
        part = s3.upload_part(PartNumber=number, Body=pieces[number - 1], ChecksumAlgorithm="CRC32",
                              **place)
        named = {name: part[name] for name in ("ETag", "ChecksumCRC32")}
        parts.append({"PartNumber": number, **named})
    assert [p["PartNumber"] for p in s3.list_parts(**place)["Parts"]] == [1, 2]
    refused("InvalidPartOrder", s3.complete_multipart_upload, MultipartUpload={"Parts": parts},
            **place)
    copied = s3.upload_part_copy(PartNumber=3, CopySource="boto3/old", **place)["CopyPartResult"]
    assert copied["ChecksumCRC32"] and copied["ETag"]
    parts.reverse()
    # Of a part that is named twice the last counts.
    parts.insert(0, {**parts[0], "ETag": f'"{"0" * 32}"'})
    for _ in range(2):
        done = s3.complete_multipart_upload(MultipartUpload={"Parts": parts}, **place)
        assert done["ETag"].endswith('-2"'), done
    assert content(Bucket="boto3", Key="big") == b"".join(pieces)
    second = s3.get_object(Bucket="boto3", Key="big", PartNumber=2)
    assert second["PartsCount"] == 2 and second["Body"].read() == pieces[1]
    assert second["ChecksumCRC32"] == parts[2]["ChecksumCRC32"]
    attributes = s3.get_object_attributes(Bucket="boto3", Key="big",
                                          ObjectAttributes=["Checksum", "ObjectParts"])
    assert attributes["Checksum"]["ChecksumCRC32"] == done["ChecksumCRC32"]
    assert attributes["ObjectParts"]["TotalPartsCount"] == 2
    assert second["ChecksumType"] == "COMPOSITE"
    assert "Uploads" not in s3.list_multipart_uploads(Bucket="boto3")


def with_header(operation, headers):
    client = boto3.client("s3", endpoint_url=url, **keys)
    client.meta.events.register(f"before-call.s3.{operation}",
                                lambda params, **_: params["headers"].update(headers))
    return client


def uploads_under_keys():
    place = {"Bucket": "boto3", "Key": "sealed"}
    key = os.urandom(32)
    own = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": key}
    other = {**own, "SSECustomerKey": os.urandom(32)}
    of_store = {"ServerSideEncryption": "AES256"}
    for under, sent in ((of_store, {}), (own, own)):
        place["UploadId"] = s3.create_multipart_upload(
            Bucket="boto3", Key="sealed", ChecksumAlgorithm="CRC32", **under)["UploadId"]
        part = s3.upload_part(PartNumber=1, Body=b"sealed", ChecksumAlgorithm="CRC32", **place,
                              **sent)
        copy = s3.upload_part_copy(PartNumber=2, CopySource="boto3/old", **place, **sent)
        for answer in (part, copy):
            assert answer.get("ServerSideEncryption") == under.get("ServerSideEncryption")
            assert answer.get("SSECustomerAlgorithm") == sent.get("SSECustomerAlgorithm")
        named = {"PartNumber": 1, "ETag": part["ETag"], "ChecksumCRC32": part["ChecksumCRC32"]}
        done = {"MultipartUpload": {"Parts": [named]}, **place}
        refused("InvalidRequest", s3.complete_multipart_upload, **done, **other)
        if sent:
            # The checksum is of bytes that only the key's holder may know of.
            refused("InvalidRequest", s3.complete_multipart_upload, **done)
        # How it is encrypted was said when the upload began, and may be said again.
        method = "x-amz-server-side-encryption"
        refused("InvalidArgument", with_header("CompleteMultipartUpload",
                {method: "aws:kms"}).complete_multipart_upload, **done)
        again = {method: under["ServerSideEncryption"]} if under is of_store else {}
        with_header("CompleteMultipartUpload", again).complete_multipart_upload(**done, **sent)
        assert content(Bucket="boto3", Key="sealed", **sent) == b"sealed"


def owners():
    enforced = {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    s3.create_bucket(Bucket="boto3-owner", ACL="public-read")
    # What is in effect until somebody chooses is not shown as chosen.
    refused("OwnershipControlsNotFoundError", s3.get_bucket_ownership_controls,
            Bucket="boto3-owner")
    own = {"Bucket": "boto3-owner", "OwnershipControls": enforced}
    refused("InvalidBucketAclWithObjectOwnership", s3.put_bucket_ownership_controls, **own)
    s3.put_bucket_acl(Bucket="boto3-owner", ACL="private")
    s3.put_bucket_ownership_controls(**own)
    shown = s3.get_bucket_ownership_controls(Bucket="boto3-owner")
    assert shown["OwnershipControls"] == enforced


def manage(method, path, **document):
    root = (os.environ["TRESTLE_USER"], os.environ["TRESTLE_PASSWORD"])
    answer = requests.request(method, f"{url}/-/{path}", auth=root, json=document)
    assert answer.ok, answer.text
    return answer.json()


def lists_of_new_objects():
    """A right to write is enough for a list that gives nothing but to the bucket's owner."""
    user = "accounts/of-boto3/users/bob"
    manage("PUT", user, admin=True)
    pair = manage("POST", f"{user}/keys")
    bob = boto3.client("s3", endpoint_url=url, region_name="us-east-1",
                       aws_access_key_id=pair["access_key"],
                       aws_secret_access_key=pair["secret_key"])
    s3.create_bucket(Bucket="boto3-lists")
    policy = {"Version": "2012-10-17", "Statement": {
        "Effect": "Allow", "Principal": "*", "Action": "s3:PutObject",
        "Resource": "arn:aws:s3:::boto3-lists/*"}}
    s3.put_bucket_policy(Bucket="boto3-lists", Policy=json.dumps(policy))
    owner = s3.get_bucket_acl(Bucket="boto3-lists")["Owner"]["ID"]
    put = {"Bucket": "boto3-lists", "Key": "k", "Body": b"x"}
    bob.put_object(**put)
    for given in ({"ACL": "bucket-owner-full-control"}, {"GrantFullControl": f"id={owner}"}):
        bob.put_object(**put, **given)
        grants = s3.get_object_acl(Bucket="boto3-lists", Key="k")["Grants"]
        assert owner in [grant["Grantee"]["ID"] for grant in grants]
    everybody = "uri=http://acs.amazonaws.com/groups/global/AllUsers"
    # Of an object that is there already, bob is the owner.
    new = {**put, "Key": "new"}
    for given in ({"ACL": "public-read"}, {"GrantRead": everybody}, {"Tagging": "a=b"}):
        refused("AccessDenied", bob.put_object, **new, **given)


def versions():
    s3.create_bucket(Bucket="kept", ObjectLockEnabledForBucket=True)
    first = s3.put_object(Bucket="kept", Key="k", Body=b"1")["VersionId"]
    s3.put_object(Bucket="kept", Key="k", Body=b"2")
    marker = s3.delete_object(Bucket="kept", Key="k")
    assert marker["DeleteMarker"]
    refused("NoSuchKey", s3.get_object, Bucket="kept", Key="k")
    assert content(Bucket="kept", Key="k", VersionId=first) == b"1"
    named = refused("MethodNotAllowed", s3.get_object, Bucket="kept", Key="k",
                    VersionId=marker["VersionId"])
    assert "last-modified" in named["ResponseMetadata"]["HTTPHeaders"], named
    listed = s3.list_object_versions(Bucket="kept")
    assert len(listed["Versions"]) == 2 and listed["DeleteMarkers"][0]["IsLatest"]
    s3.delete_object(Bucket="kept", Key="k", VersionId=marker["VersionId"])
    assert content(Bucket="kept", Key="k") == b"2"
    until = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=1)
    s3.put_object_retention(Bucket="kept", Key="k", VersionId=first,
                            Retention={"Mode": "GOVERNANCE", "RetainUntilDate": until})
    refused("AccessDenied", s3.delete_object, Bucket="kept", Key="k", VersionId=first)
    s3.delete_object(Bucket="kept", Key="k", VersionId=first, BypassGovernanceRetention=True)
    refused("InvalidBucketState", s3.put_bucket_versioning, Bucket="kept",
            VersioningConfiguration={"Status": "Suspended"})
    full = refused("BucketNotEmpty", s3.delete_bucket, Bucket="kept")
    assert full["Error"]["BucketName"] == "kept"


def signed_by_others():
    get = s3.generate_presigned_url("get_object", {"Bucket": "boto3", "Key": "old"})
    assert requests.get(get).content == b"signed by version 2"
    assert requests.get(get[:-1] + ("0" if get[-1] != "0" else "1")).status_code == 403
    assert requests.get(get, headers={"x-amz-acl": "private"}).status_code == 403
    assert requests.put(get, data=b"x").status_code == 403
    assert requests.get(f"{url}/boto3/old").status_code == 403
    form = s3.generate_presigned_post("boto3", "form/${filename}",
                                      Conditions=[["content-length-range", 1, 10]])
    send = lambda data: requests.post(form["url"], form["fields"], files={"file": ("f.txt", data)})
    assert send(b"by a form").status_code == 204
    assert content(Bucket="boto3", Key="form/f.txt") == b"by a form"
    assert send(b"longer than it may be").status_code == 400
    answers = [{"success_action_status": "201"}, ["starts-with", "$x-amz-meta-any", ""]]
    form = s3.generate_presigned_post("boto3", "form/201", {"success_action_status": "201"}, answers)
    answer = send(b"created")
    assert answer.status_code == 201 and b"<PostResponse>" in answer.content, answer.content
    # An unknown subresource is not the plain operation.
    signed = s3.generate_presigned_url("delete_bucket", {"Bucket": "boto3"})
    assert requests.delete(signed + "&anything").status_code in (400, 403)
    s3.head_bucket(Bucket="boto3")


def rules_for_other_origins():
    rule = {"AllowedOrigins": ["http://*.a"], "AllowedMethods": ["PUT"], "AllowedHeaders": ["x-*"]}
    s3.put_bucket_cors(Bucket="boto3", CORSConfiguration={"CORSRules": [rule]})
    assert s3.get_bucket_cors(Bucket="boto3")["CORSRules"] == [rule]
    asked = {"Origin": "http://b.a", "Access-Control-Request-Method": "PUT"}
    preflight = requests.options(f"{url}/boto3/k", headers=asked)
    assert preflight.headers["access-control-allow-origin"] == "http://b.a"
    asked["Origin"] = "http://b.b"
    assert requests.options(f"{url}/boto3/k", headers=asked).status_code == 403


def sessions():
    """A token of a role, and one that a policy narrows, used as temporary credentials."""
    root = (os.environ["TRESTLE_USER"], os.environ["TRESTLE_PASSWORD"])
    ann = ("root/ann-of-boto3", "a long enough password")

    def manage(method, path, who=root, **document):
        answer = requests.request(method, f"{url}/-/{path}", auth=who, json=document)
        assert answer.ok, answer.text
        return answer.json()

    def client(session, **other):
        given = {"access_key": session["access_key"], "secret_key": session["secret_key"]} | other
        return boto3.client(
            "s3",
            endpoint_url=url,
            region_name="us-east-1",
            aws_access_key_id=given["access_key"],
            aws_secret_access_key=given["secret_key"],
            aws_session_token=given.get("token", session["token"]),
        )

    def put(through):
        return lambda: through.put_object(Bucket="boto3", Key="session", Body=b"x")

    read = {"Statement": {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}}
    trust = {
        "Effect": "Allow",
        "Principal": {"AWS": "arn:aws:iam::root:user/ann-of-boto3"},
        "Action": "sts:AssumeRole",
    }
    manage("PUT", "accounts/root/policies/read-of-boto3", **read)
    manage("PUT", "accounts/root/users/ann-of-boto3", password=ann[1])
    role = "accounts/root/roles/of-boto3"
    manage("PUT", role, policies=["read-of-boto3"], trust={"Statement": trust})
    s3.put_object(Bucket="boto3", Key="session", Body=b"of a role")
    taken = manage("POST", f"{role}/sessions", ann, session="today", lifetime_seconds=600)
    narrowed = manage("POST", "tokens", policies=[read])
    for session in [taken, narrowed]:
        through = client(session)
        got = through.get_object(Bucket="boto3", Key="session")
        assert got["Body"].read() == b"of a role"
        signed = through.generate_presigned_url(
            "get_object", {"Bucket": "boto3", "Key": "session"}
        )
        assert requests.get(signed).content == b"of a role"
        refused("AccessDenied", put(through))
        refused("InvalidAccessKeyId", put(client(session, token=None)))
        refused("SignatureDoesNotMatch", put(client(session, secret_key="another")))
    mixed = client(taken, token=narrowed["token"])
    refused("InvalidToken", put(mixed))
    own = {"access_key": keys["aws_access_key_id"], "secret_key": keys["aws_secret_access_key"]}
    refused("InvalidToken", put(client(own | {"token": taken["token"]})))


print(f"= boto3 {boto3.__version__}")
objects()
files()
uploads()
versions()
signed_by_others()
uploads_under_keys()
owners()
lists_of_new_objects()
rules_for_other_origins()
sessions()
print("done")
