"""Iceberg tables by PyIceberg: appends, overwrites, a changed schema and former snapshots, with data
and metadata in S3; the catalogue is a file of SQLite."""

import os

import boto3
import pyarrow as pa
import pyiceberg
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.types import StringType

from commands import ACCESS_KEY, SECRET_KEY, URL, version

version("pyiceberg", pyiceberg.__version__)
s3 = boto3.client("s3", endpoint_url=URL, aws_access_key_id=ACCESS_KEY,
                  aws_secret_access_key=SECRET_KEY, region_name="us-east-1")
s3.create_bucket(Bucket="iceberg")
catalog = SqlCatalog("tests", **{
    "uri": f"sqlite:///{os.getcwd()}/catalogue.db",
    "warehouse": "s3://iceberg/warehouse",
    "s3.endpoint": URL,
    "s3.access-key-id": ACCESS_KEY,
    "s3.secret-access-key": SECRET_KEY,
    "s3.region": "us-east-1",
})
catalog.create_namespace("n")


def rows(first, count):
    return pa.table({"id": pa.array(range(first, first + count), pa.int64())})


table = catalog.create_table("n.t", schema=rows(0, 0).schema)
table.append(rows(0, 100_000))
table.append(rows(100_000, 50_000))
first = table.snapshots()[0].snapshot_id
assert table.scan().to_arrow().num_rows == 150_000
assert table.scan(row_filter="id >= 149990").to_arrow().num_rows == 10
table.delete("id < 1000")
assert table.scan().to_arrow().num_rows == 149_000
with table.update_schema() as update:
    update.add_column("kind", StringType())
assert table.scan(snapshot_id=first).to_arrow().num_rows == 100_000
again = catalog.load_table("n.t")
assert again.scan(selected_fields=("id",)).to_arrow().num_rows == 149_000
listed = s3.list_objects_v2(Bucket="iceberg", Prefix="warehouse/n/t/metadata/")
assert any(one["Key"].endswith(".metadata.json") for one in listed["Contents"])
catalog.purge_table("n.t")
print("done")
