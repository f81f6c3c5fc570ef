"""Iceberg tables without a catalogue that locks: a commit is the next metadata file, written on the
condition that it is not there. Writers that begin with the same version make the same next one: exactly
one of each round wins, and no row is lost or doubled."""

import multiprocessing

import boto3
import pyarrow as pa
import pyiceberg
from botocore.exceptions import ClientError
from pyiceberg.catalog import MetastoreCatalog
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.serializers import FromInputFile
from pyiceberg.table import CommitTableResponse, Table

from commands import ACCESS_KEY, SECRET_KEY, URL, version

BUCKET, NAME = "commits", ("n", "t")
PLACE = f"s3://{BUCKET}/table"
PROPERTIES = {"s3.endpoint": URL, "s3.access-key-id": ACCESS_KEY, "s3.secret-access-key": SECRET_KEY,
              "s3.region": "us-east-1"}
WRITERS = 4
ROUNDS = 5


class Bucket(MetastoreCatalog):
    """One table, whose versions are numbered files: the highest number is the table."""

    def __init__(self):
        super().__init__("bucket", **PROPERTIES)
        self.s3 = boto3.client("s3", endpoint_url=URL, aws_access_key_id=ACCESS_KEY,
                               aws_secret_access_key=SECRET_KEY, region_name="us-east-1")

    def put(self, number, metadata):
        try:
            self.s3.put_object(Bucket=BUCKET, Key=f"table/metadata/v{number:05}.metadata.json",
                               Body=metadata.model_dump_json().encode(), IfNoneMatch="*")
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] in (409, 412):
                raise CommitFailedException(f"version {number} is there") from error
            raise
        return f"{PLACE}/metadata/v{number:05}.metadata.json"

    def create(self, schema, properties):
        staged = self._create_staged_table(NAME, schema, location=PLACE, properties=properties)
        self.put(1, staged.metadata)

    def load_table(self, identifier):
        listed = self.s3.list_objects_v2(Bucket=BUCKET, Prefix="table/metadata/v")["Contents"]
        place = f"s3://{BUCKET}/{listed[-1]['Key']}"
        io = self._load_file_io(location=place)
        metadata = FromInputFile.table_metadata(io.new_input(place))
        return Table(NAME, metadata, place, io, self)

    def commit_table(self, table, requirements, updates):
        staged = self._update_and_stage_table(table, NAME, requirements, updates)
        number = int(table.metadata_location.split("/v")[-1].split(".")[0]) + 1
        return CommitTableResponse(metadata=staged.metadata,
                                   metadata_location=self.put(number, staged.metadata))


# Of what a catalogue may do, one table needs no more.
Bucket.__abstractmethods__ = frozenset()


def rows(writer, number):
    return pa.table({"writer": pa.array([writer], pa.int64()), "n": pa.array([number], pa.int64())})


def write(writer, start, results):
    catalog = Bucket()
    for number in range(ROUNDS):
        table = catalog.load_table(NAME)
        start.wait()
        try:
            table.append(rows(writer, number))
            results.put((number, writer, None))
        except Exception as error:
            results.put((number, writer, f"{type(error).__name__}: {error}"))
        start.wait()


def append(writer, start, results):
    """With retries, as one writes in earnest."""
    table = Bucket().load_table(NAME)
    start.wait()
    table.append(rows(writer, -1))
    results.put(writer)


def together(work):
    """Runs it by all writers at once; what they told."""
    context = multiprocessing.get_context("spawn")
    start, results = context.Barrier(WRITERS), context.Queue()
    writers = [context.Process(target=work, args=(n, start, results)) for n in range(WRITERS)]
    for writer in writers:
        writer.start()
    count = WRITERS * ROUNDS if work is write else WRITERS
    told = [results.get(timeout=250) for _ in range(count)]
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    return told


def main():
    version("pyiceberg", pyiceberg.__version__)
    catalog = Bucket()
    catalog.s3.create_bucket(Bucket=BUCKET)
    catalog.create(rows(0, 0).schema, {"commit.retry.num-retries": "0"})
    told = together(write)
    won = []
    for number in range(ROUNDS):
        winners = [writer for at, writer, error in told if at == number and error is None]
        assert len(winners) == 1, (number, told)
        won.append((winners[0], number))
    lost = [error for _, _, error in told if error is not None]
    assert all(error.startswith("CommitFailedException") for error in lost), lost
    table = catalog.load_table(NAME)
    kept = table.scan().to_arrow().to_pylist()
    assert sorted((row["writer"], row["n"]) for row in kept) == sorted(won), (kept, won)
    with table.transaction() as change:
        change.set_properties({"commit.retry.num-retries": "20", "commit.retry.min-wait-ms": "10"})
    assert sorted(together(append)) == list(range(WRITERS))
    kept = catalog.load_table(NAME).scan(row_filter="n == -1").to_arrow().to_pylist()
    assert sorted(row["writer"] for row in kept) == list(range(WRITERS)), kept
    print("done")


if __name__ == "__main__":
    main()
