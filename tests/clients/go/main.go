// The SDK of AWS for Go: objects with its default checksums, conditions, uploads and downloads in
// parts, pages, versions, deletes of many, presigned requests.
package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime/debug"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/s3/manager"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
)

var (
	ctx    = context.Background()
	bucket = aws.String("from-go")
)

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func must[T any](value T, err error) T {
	check(err)
	return value
}

func expect(holds bool, told ...any) {
	if !holds {
		panic(fmt.Sprintln(told...))
	}
}

// refused is the code of an error that has to be one.
func refused(err error) string {
	var told smithy.APIError
	expect(errors.As(err, &told), "not refused:", err)
	return told.ErrorCode()
}

func noise(length int) []byte {
	body := make([]byte, length)
	_, err := rand.Read(body)
	check(err)
	return body
}

func version() string {
	info, _ := debug.ReadBuildInfo()
	for _, one := range info.Deps {
		if strings.HasSuffix(one.Path, "/service/s3") {
			return strings.TrimPrefix(one.Version, "v")
		}
	}
	return "unknown"
}

func main() {
	fmt.Println("= aws-sdk-go-v2/service/s3", version())
	client := s3.New(s3.Options{
		BaseEndpoint: aws.String(os.Getenv("TRESTLE_URL")),
		Region:       "us-east-1",
		UsePathStyle: true,
		// As they are for whoever loads settings from files.
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenSupported,
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenSupported,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{
				AccessKeyID:     os.Getenv("TRESTLE_ACCESS_KEY"),
				SecretAccessKey: os.Getenv("TRESTLE_SECRET_KEY"),
			}, nil
		}),
	})
	must(client.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: bucket}))
	objects(client)
	transfers(client)
	pages(client)
	versions(client)
	fmt.Println("done")
}

func get(client *s3.Client, input *s3.GetObjectInput) []byte {
	input.Bucket = bucket
	got := must(client.GetObject(ctx, input))
	defer got.Body.Close()
	return must(io.ReadAll(got.Body))
}

func objects(client *s3.Client) {
	key, body := aws.String("a b/ü+"), noise(300_000)
	put := must(client.PutObject(ctx, &s3.PutObjectInput{
		Bucket: bucket, Key: key, Body: bytes.NewReader(body), Metadata: map[string]string{"colour": "red"},
	}))
	expect(put.ChecksumCRC32 != nil, "the SDK's own checksum is answered")
	expect(bytes.Equal(get(client, &s3.GetObjectInput{Key: key}), body))
	head := must(client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: bucket, Key: key}))
	expect(head.Metadata["colour"] == "red", head.Metadata)
	_, err := client.PutObject(ctx, &s3.PutObjectInput{
		Bucket: bucket, Key: key, Body: strings.NewReader("x"), IfNoneMatch: aws.String("*"),
	})
	expect(refused(err) == "PreconditionFailed", err)
	_, err = client.GetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: aws.String("none")})
	expect(refused(err) == "NoSuchKey", err)
	part := get(client, &s3.GetObjectInput{Key: key, Range: aws.String("bytes=10-19")})
	expect(bytes.Equal(part, body[10:20]))
	must(client.CopyObject(ctx, &s3.CopyObjectInput{
		Bucket: bucket, Key: aws.String("copy"), CopySource: aws.String("from-go/a%20b/%C3%BC%2B"),
	}))
	signer := s3.NewPresignClient(client)
	signed := must(signer.PresignGetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: key}))
	answer := must(http.Get(signed.URL))
	expect(bytes.Equal(must(io.ReadAll(answer.Body)), body), answer.Status)
}

// A stream of unknown length goes up in parts, with checksums in trailers, and comes down in parts.
func transfers(client *s3.Client) {
	whole := noise(12<<20 + 345)
	uploader := manager.NewUploader(client)
	done := must(uploader.Upload(ctx, &s3.PutObjectInput{
		Bucket: bucket, Key: aws.String("parts"), Body: io.MultiReader(bytes.NewReader(whole)),
		ChecksumAlgorithm: types.ChecksumAlgorithmCrc32c,
	}))
	expect(strings.HasSuffix(aws.ToString(done.ETag), `-3"`), aws.ToString(done.ETag))
	back := manager.NewWriteAtBuffer(nil)
	size := must(manager.NewDownloader(client).Download(ctx, back, &s3.GetObjectInput{
		Bucket: bucket, Key: aws.String("parts"),
	}))
	expect(size == int64(len(whole)) && bytes.Equal(back.Bytes(), whole), size)
	told := must(client.GetObjectAttributes(ctx, &s3.GetObjectAttributesInput{
		Bucket: bucket, Key: aws.String("parts"),
		ObjectAttributes: []types.ObjectAttributes{types.ObjectAttributesObjectParts, types.ObjectAttributesChecksum},
	}))
	expect(aws.ToInt32(told.ObjectParts.TotalPartsCount) == 3 && told.Checksum.ChecksumCRC32C != nil, told)
}

func pages(client *s3.Client) {
	for number := range 25 {
		must(client.PutObject(ctx, &s3.PutObjectInput{
			Bucket: bucket, Key: aws.String(fmt.Sprint("many/", number)), Body: strings.NewReader("one"),
		}))
	}
	pages := s3.NewListObjectsV2Paginator(client, &s3.ListObjectsV2Input{
		Bucket: bucket, Prefix: aws.String("many/"), MaxKeys: aws.Int32(10),
	})
	var found []types.ObjectIdentifier
	for pages.HasMorePages() {
		for _, one := range must(pages.NextPage(ctx)).Contents {
			found = append(found, types.ObjectIdentifier{Key: one.Key})
		}
	}
	expect(len(found) == 25, len(found))
	told := must(client.DeleteObjects(ctx, &s3.DeleteObjectsInput{
		Bucket: bucket, Delete: &types.Delete{Objects: found},
	}))
	expect(len(told.Deleted) == 25 && len(told.Errors) == 0, told)
}

func versions(client *s3.Client) {
	must(client.PutBucketVersioning(ctx, &s3.PutBucketVersioningInput{
		Bucket: bucket,
		VersioningConfiguration: &types.VersioningConfiguration{
			Status: types.BucketVersioningStatusEnabled,
		},
	}))
	key := aws.String("copy")
	second := must(client.PutObject(ctx, &s3.PutObjectInput{
		Bucket: bucket, Key: key, Body: strings.NewReader("second"),
	}))
	must(client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: bucket, Key: key}))
	old := get(client, &s3.GetObjectInput{Key: key, VersionId: second.VersionId})
	expect(string(old) == "second", string(old))
	listed := must(client.ListObjectVersions(ctx, &s3.ListObjectVersionsInput{Bucket: bucket, Prefix: key}))
	expect(len(listed.Versions) == 2 && len(listed.DeleteMarkers) == 1, listed)
}
