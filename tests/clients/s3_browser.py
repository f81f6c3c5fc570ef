"""A browser at S3: a form with a policy that uploads, and scripts of another origin that read and write
by presigned URLs where the bucket's rules let them."""

import json

import boto3
from botocore.client import Config

from browser import URL, browse, elsewhere, submit
from commands import ACCESS_KEY, SECRET_KEY

s3 = boto3.client("s3", endpoint_url=URL, aws_access_key_id=ACCESS_KEY, region_name="us-east-1",
                  aws_secret_access_key=SECRET_KEY, config=Config(signature_version="s3v4"))


def body(bucket, key):
    return s3.get_object(Bucket=bucket, Key=key)["Body"].read()


def form(browser):
    """A page of another site whose form uploads here and comes back."""
    s3.create_bucket(Bucket="forms")
    with elsewhere() as origin:
        fields = {"success_action_redirect": f"{origin}/thanks", "Content-Type": "text/plain",
                  "x-amz-meta-colour": "red"}
        conditions = [{name: value} for name, value in fields.items()]
        conditions.append(["content-length-range", 0, 1000])
        post = s3.generate_presigned_post("forms", "up/${filename}", Fields=fields, Conditions=conditions)
        browser.open(origin + "/")
        submit(browser, post["url"], post["fields"], "ü.txt", "sent by a form")
        browser.wait(f"location.href.startsWith('{origin}/thanks?')")
        told = browser.run("Object.fromEntries(new URLSearchParams(location.search))")
        assert told["bucket"] == "forms" and told["key"] == "up/ü.txt" and told["etag"], told
        browser.open(origin + "/")
        submit(browser, post["url"], post["fields"], "big", "x" * 1001)
        browser.wait("document.documentElement.outerHTML.includes('EntityTooLarge')")
    head = s3.head_object(Bucket="forms", Key="up/ü.txt")
    assert head["ContentType"] == "text/plain" and head["Metadata"] == {"colour": "red"}, head
    assert body("forms", "up/ü.txt") == b"sent by a form"
    assert s3.list_objects_v2(Bucket="forms")["KeyCount"] == 1


def other_origin(browser):
    """What the bucket's rules allow another origin, and nothing else."""
    s3.create_bucket(Bucket="shared")
    place = {"Bucket": "shared", "Key": "a b/ü"}
    put = s3.generate_presigned_url("put_object", Params=place)
    get = s3.generate_presigned_url("get_object", Params=place)
    with elsewhere() as origin:
        def ask(method, url, **more):
            options = json.dumps({"method": method, **more})
            return browser.run(
                f"fetch({json.dumps(url)}, {options}).then(async (answer) =>"
                " [answer.status, answer.headers.get('etag') !== null, await answer.text()],"
                " () => 'refused')"
            )

        browser.open(origin + "/")
        assert ask("PUT", put, body="by a script") == "refused"
        rule = {"AllowedOrigins": [origin], "AllowedMethods": ["GET", "PUT"],
                "AllowedHeaders": ["content-type"], "ExposeHeaders": ["ETag"], "MaxAgeSeconds": 5}
        s3.put_bucket_cors(Bucket="shared", CORSConfiguration={"CORSRules": [rule]})
        assert ask("PUT", put, body="by a script", headers={"content-type": "x/y"}) == [200, True, ""]
        assert ask("GET", get) == [200, True, "by a script"]
        assert ask("DELETE", put) == "refused"
        assert ask("PUT", put, body="x", headers={"x-other": "1"}) == "refused"
        # Of a refusal a script may read why.
        forged = get[:-1] + ("0" if get[-1] != "0" else "1")
        status, _, text = ask("GET", forged)
        assert status == 403 and "SignatureDoesNotMatch" in text, (status, text)
    assert body("shared", "a b/ü") == b"by a script"


browse(form, other_origin)
