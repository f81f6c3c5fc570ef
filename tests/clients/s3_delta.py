"""Delta Lake: commits by conditional puts. Writers that begin with the same version of a table make
the same next one: exactly one of each round wins, and no row is lost or doubled."""

import multiprocessing
import os

import deltalake
import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, write_deltalake

from commands import ACCESS_KEY, SECRET_KEY, URL, version

OPTIONS = {
    "AWS_ACCESS_KEY_ID": ACCESS_KEY,
    "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
    "AWS_ENDPOINT_URL": URL,
    "AWS_REGION": "us-east-1",
    "AWS_ALLOW_HTTP": "true",
    "aws_conditional_put": "etag",
}
PLACE = "s3://delta/table"
WRITERS = 4
ROUNDS = 5


def rows(writer, number):
    return pa.table({"writer": pa.array([writer], pa.int64()), "n": pa.array([number], pa.int64())})


def write(writer, start, results):
    won = 0
    for number in range(ROUNDS):
        table = DeltaTable(PLACE, storage_options=OPTIONS)
        start.wait()
        try:
            # Without trying again, so that whoever comes second hears of it.
            write_deltalake(table, rows(writer, number), mode="overwrite",
                            commit_properties=CommitProperties(max_commit_retries=0))
            won += 1
            results.put((number, writer, None))
        except Exception as error:
            results.put((number, writer, f"{type(error).__name__}: {error}"))
        start.wait()


def main():
    version("deltalake", deltalake.__version__)
    import boto3
    boto3.client("s3", endpoint_url=URL, aws_access_key_id=ACCESS_KEY, region_name="us-east-1",
                 aws_secret_access_key=SECRET_KEY).create_bucket(Bucket="delta")
    write_deltalake(PLACE, rows(-1, -1), storage_options=OPTIONS)
    context = multiprocessing.get_context("spawn")
    start, results = context.Barrier(WRITERS), context.Queue()
    writers = [context.Process(target=write, args=(n, start, results)) for n in range(WRITERS)]
    for writer in writers:
        writer.start()
    told = [results.get(timeout=200) for _ in range(WRITERS * ROUNDS)]
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    for number in range(ROUNDS):
        winners = [writer for at, writer, error in told if at == number and error is None]
        assert len(winners) == 1, (number, told)
    table = DeltaTable(PLACE, storage_options=OPTIONS)
    assert table.version() == ROUNDS, table.version()
    # With retries, nobody loses anything.
    for number in range(3):
        write_deltalake(PLACE, rows(9, number), mode="append", storage_options=OPTIONS)
    table = DeltaTable(PLACE, storage_options=OPTIONS)
    assert table.to_pyarrow_table().num_rows == 4
    print("done", flush=True)
    # Without the interpreter's own end, at which a thread of the library's that still runs aborts it.
    os._exit(0)


if __name__ == "__main__":
    main()
