// The SDK of AWS for JavaScript: objects with its default checksums, parts, pages, conditions,
// versions, streams, signed URLs.
import assert from "node:assert";
import { randomBytes } from "node:crypto";
import { createRequire } from "node:module";

const folder = createRequire(process.env.TRESTLE_NODE + "/");
const s3 = folder("@aws-sdk/client-s3");
const { Upload } = folder("@aws-sdk/lib-storage");
const { getSignedUrl } = folder("@aws-sdk/s3-request-presigner");
console.log(`= @aws-sdk/client-s3 ${folder("@aws-sdk/client-s3/package.json").version}`);

const settings = {
  endpoint: process.env.TRESTLE_URL,
  region: "us-east-1",
  forcePathStyle: true,
  credentials: {
    accessKeyId: process.env.TRESTLE_ACCESS_KEY,
    secretAccessKey: process.env.TRESTLE_SECRET_KEY,
  },
};
const client = new s3.S3Client(settings);
const Bucket = "javascript";
const send = (Command, input = {}) => client.send(new Command({ Bucket, ...input }));
const refused = (name, promise) => assert.rejects(promise, (error) => error.name === name);

await send(s3.CreateBucketCommand);
const body = randomBytes(300_000);
const put = await send(s3.PutObjectCommand, {
  Key: "a b/ü+", Body: body, Metadata: { colour: "red" }, ContentType: "text/plain",
});
assert(put.ChecksumCRC32, "the SDK's own checksum is answered");
const got = await send(s3.GetObjectCommand, { Key: "a b/ü+" });
assert.deepEqual(Buffer.from(await got.Body.transformToByteArray()), body);
assert.equal(got.Metadata.colour, "red");
await refused("PreconditionFailed", send(s3.PutObjectCommand, { Key: "a b/ü+", Body: "x", IfNoneMatch: "*" }));
await refused("NoSuchKey", send(s3.GetObjectCommand, { Key: "none" }));

const big = randomBytes(12 << 20);
const upload = new Upload({ client, params: { Bucket, Key: "big", Body: big }, partSize: 5 << 20 });
const done = await upload.done();
assert(done.ETag.endsWith('-3"'), done.ETag);
const range = await send(s3.GetObjectCommand, { Key: "big", Range: "bytes=5242870-5242889" });
assert.deepEqual(Buffer.from(await range.Body.transformToByteArray()), big.subarray(5242870, 5242890));

for (let n = 0; n < 25; n++) await send(s3.PutObjectCommand, { Key: `many/${n}`, Body: `${n}` });
let count = 0;
for await (const page of s3.paginateListObjectsV2({ client, pageSize: 10 }, { Bucket, Prefix: "many/" }))
  count += page.Contents.length;
assert.equal(count, 25);

await send(s3.PutBucketVersioningCommand, { VersioningConfiguration: { Status: "Enabled" } });
const version = await send(s3.PutObjectCommand, { Key: "big", Body: "second" });
await send(s3.DeleteObjectCommand, { Key: "big" });
const old = await send(s3.GetObjectCommand, { Key: "big", VersionId: version.VersionId });
assert.equal(await old.Body.transformToString(), "second");
const attributes = await send(s3.GetObjectAttributesCommand, {
  Key: "big", VersionId: "null", ObjectAttributes: ["ETag", "ObjectSize", "ObjectParts"],
});
assert.equal(attributes.ObjectSize, big.length);
assert.equal(attributes.ObjectParts.TotalPartsCount, 3);

// Whoever signs for a body that it has not got must leave its checksum out.
const without = new s3.S3Client({ ...settings, requestChecksumCalculation: "WHEN_REQUIRED" });
const url = await getSignedUrl(without, new s3.PutObjectCommand({ Bucket, Key: "signed" }), { expiresIn: 60 });
assert.equal((await fetch(url, { method: "PUT", body: "by anybody" })).status, 200);
const signed = await send(s3.GetObjectCommand, { Key: "signed" });
assert.equal(await signed.Body.transformToString(), "by anybody");
console.log("done");
