import java.io.ByteArrayInputStream;
import java.net.URI;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.StaticCredentialsProvider;
import software.amazon.awssdk.core.sync.RequestBody;
import software.amazon.awssdk.core.util.VersionInfo;
import software.amazon.awssdk.http.urlconnection.UrlConnectionHttpClient;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.services.s3.S3Client;
import software.amazon.awssdk.services.s3.model.*;

/** The SDK of AWS for Java: objects with its default checksums, streams, parts, pages, versions. */
class S3 {
  static final String BUCKET = "from-java";
  static final int PART = 5 << 20;

  static void expect(boolean holds, Object told) {
    if (!holds) throw new AssertionError(told);
  }

  static String refused(Runnable call) {
    try {
      call.run();
    } catch (S3Exception error) {
      return error.awsErrorDetails().errorCode();
    }
    throw new AssertionError("it was not refused");
  }

  static byte[] noise(int length) {
    byte[] body = new byte[length];
    new Random(length).nextBytes(body);
    return body;
  }

  public static void main(String[] words) {
    System.out.println("= aws-sdk-java " + VersionInfo.SDK_VERSION);
    var keys = AwsBasicCredentials.create(
        System.getenv("TRESTLE_ACCESS_KEY"), System.getenv("TRESTLE_SECRET_KEY"));
    try (var s3 = S3Client.builder()
        .endpointOverride(URI.create(System.getenv("TRESTLE_URL")))
        .region(Region.US_EAST_1)
        .credentialsProvider(StaticCredentialsProvider.create(keys))
        .httpClient(UrlConnectionHttpClient.create())
        .forcePathStyle(true)
        .build()) {
      s3.createBucket(b -> b.bucket(BUCKET));
      objects(s3);
      parts(s3);
      pages(s3);
      versions(s3);
    }
    System.out.println("done");
  }

  static void objects(S3Client s3) {
    String key = "a b/ü+";
    byte[] body = noise(300_000);
    var put = s3.putObject(
        b -> b.bucket(BUCKET).key(key).contentType("text/plain").metadata(Map.of("colour", "red")),
        RequestBody.fromBytes(body));
    expect(put.checksumCRC32() != null || put.checksumCRC64NVME() != null, put);
    var got = s3.getObjectAsBytes(b -> b.bucket(BUCKET).key(key));
    expect(Arrays.equals(got.asByteArray(), body), got.response());
    expect("red".equals(got.response().metadata().get("colour")), got.response());
    // A stream: in signed chunks, its checksum in a trailer.
    s3.putObject(
        b -> b.bucket(BUCKET).key("stream").checksumAlgorithm(ChecksumAlgorithm.SHA256),
        RequestBody.fromContentProvider(
            () -> new ByteArrayInputStream(body), body.length, "x/y"));
    expect(Arrays.equals(s3.getObjectAsBytes(b -> b.bucket(BUCKET).key("stream")).asByteArray(), body),
        "the stream");
    expect(refused(() -> s3.putObject(b -> b.bucket(BUCKET).key(key).ifNoneMatch("*"),
        RequestBody.fromString("x"))).equals("PreconditionFailed"), "a condition");
    expect(refused(() -> s3.getObjectAsBytes(b -> b.bucket(BUCKET).key("none"))).equals("NoSuchKey"),
        "what is not there");
    var part = s3.getObjectAsBytes(b -> b.bucket(BUCKET).key(key).range("bytes=10-19"));
    expect(Arrays.equals(part.asByteArray(), Arrays.copyOfRange(body, 10, 20)), part.response());
    s3.copyObject(b -> b.sourceBucket(BUCKET).sourceKey(key).destinationBucket(BUCKET)
        .destinationKey("copy"));
    s3.putObjectTagging(b -> b.bucket(BUCKET).key("copy")
        .tagging(Tagging.builder().tagSet(Tag.builder().key("k").value("v w").build()).build()));
    expect(s3.getObjectTagging(b -> b.bucket(BUCKET).key("copy")).tagSet().get(0).value().equals("v w"),
        "tags");
  }

  static void parts(S3Client s3) {
    byte[] whole = noise(2 * PART + 12_345);
    String id = s3.createMultipartUpload(b -> b.bucket(BUCKET).key("parts")).uploadId();
    List<CompletedPart> done = new ArrayList<>();
    for (int n = 1; n <= 3; n++) {
      int number = n;
      byte[] part = Arrays.copyOfRange(whole, (n - 1) * PART, Math.min(n * PART, whole.length));
      var sent = s3.uploadPart(b -> b.bucket(BUCKET).key("parts").uploadId(id).partNumber(number),
          RequestBody.fromBytes(part));
      done.add(CompletedPart.builder().partNumber(n).eTag(sent.eTag())
          .checksumCRC32(sent.checksumCRC32()).build());
    }
    var complete = s3.completeMultipartUpload(b -> b.bucket(BUCKET).key("parts").uploadId(id)
        .multipartUpload(CompletedMultipartUpload.builder().parts(done).build()));
    expect(complete.eTag().endsWith("-3\""), complete);
    expect(Arrays.equals(s3.getObjectAsBytes(b -> b.bucket(BUCKET).key("parts")).asByteArray(), whole),
        "the parts");
  }

  static void pages(S3Client s3) {
    for (int n = 0; n < 25; n++) {
      String key = "many/" + n;
      s3.putObject(b -> b.bucket(BUCKET).key(key), RequestBody.fromString("one"));
    }
    List<ObjectIdentifier> found = new ArrayList<>();
    s3.listObjectsV2Paginator(b -> b.bucket(BUCKET).prefix("many/").maxKeys(10)).contents()
        .forEach(one -> found.add(ObjectIdentifier.builder().key(one.key()).build()));
    expect(found.size() == 25, found);
    var told = s3.deleteObjects(b -> b.bucket(BUCKET).delete(d -> d.objects(found)));
    expect(told.deleted().size() == 25 && told.errors().isEmpty(), told);
  }

  static void versions(S3Client s3) {
    s3.putBucketVersioning(b -> b.bucket(BUCKET).versioningConfiguration(
        v -> v.status(BucketVersioningStatus.ENABLED)));
    var second = s3.putObject(b -> b.bucket(BUCKET).key("copy"), RequestBody.fromString("second"));
    s3.deleteObject(b -> b.bucket(BUCKET).key("copy"));
    var old = s3.getObjectAsBytes(b -> b.bucket(BUCKET).key("copy").versionId(second.versionId()));
    expect(old.asUtf8String().equals("second"), old.response());
    var listed = s3.listObjectVersions(b -> b.bucket(BUCKET).prefix("copy"));
    expect(listed.versions().size() == 2 && listed.deleteMarkers().size() == 1, listed);
  }
}
