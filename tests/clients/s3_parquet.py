"""pyarrow and DuckDB: a Parquet data set written in parts and read by ranges, columns and filters."""

import pathlib

import duckdb
import duckdb_extension_httpfs
import pyarrow as pa
import pyarrow.dataset as dataset
import pyarrow.fs
import pyarrow.parquet as parquet

from commands import ACCESS_KEY, HOST, SECRET_KEY, version

version("pyarrow", f"{pa.__version__}, DuckDB {duckdb.__version__}")
store = pyarrow.fs.S3FileSystem(access_key=ACCESS_KEY, secret_key=SECRET_KEY, scheme="http",
                                endpoint_override=HOST, region="us-east-1",
                                allow_bucket_creation=True, allow_bucket_deletion=True)
store.create_dir("parquet")
count = 2_000_000
rows = pa.table({
    "id": pa.array(range(count), pa.int64()),
    "half": pa.array((n / 2 for n in range(count)), pa.float64()),
    "kind": pa.array((str(n % 5) for n in range(count)), pa.string()),
})
parquet.write_table(rows, "parquet/one.parquet", filesystem=store, row_group_size=100_000)
info = store.get_file_info("parquet/one.parquet")
assert info.size > 5 << 20, info
read = parquet.read_table("parquet/one.parquet", filesystem=store, columns=["id"],
                          filters=[("id", ">=", count - 10)])
assert read.column("id").to_pylist() == list(range(count - 10, count))
dataset.write_dataset(rows, "parquet/many", filesystem=store, format="parquet",
                      partitioning=["kind"], partitioning_flavor="hive")
many = dataset.dataset("parquet/many", filesystem=store, partitioning="hive")
assert many.count_rows() == count
assert many.to_table(filter=dataset.field("kind") == 3).num_rows == count // 5
with store.open_input_file("parquet/one.parquet") as file:
    file.seek(info.size - 4)
    assert file.read() == b"PAR1"
store.copy_file("parquet/one.parquet", "parquet/copy.parquet")
store.move("parquet/copy.parquet", "parquet/moved.parquet")

base = duckdb.connect()
# Its package has the extension beside it, which DuckDB would get from a place of its own.
package = pathlib.Path(duckdb_extension_httpfs.__file__).parent
(extension,) = package.glob("extensions/*/httpfs.duckdb_extension")
base.execute(f"LOAD '{extension}'")
base.execute(f"""CREATE SECRET (TYPE s3, KEY_ID '{ACCESS_KEY}', SECRET '{SECRET_KEY}',
                 ENDPOINT '{HOST}', URL_STYLE 'path', USE_SSL false, REGION 'us-east-1')""")
source = "read_parquet('s3://parquet/many/*/*.parquet', hive_partitioning = true)"
base.execute(f"COPY (SELECT * FROM {source} WHERE id < 1000) TO 's3://parquet/out.parquet'")
assert base.sql("SELECT count(*) FROM 's3://parquet/out.parquet'").fetchone() == (1000,)
total = base.sql(f"SELECT kind, count(*), sum(half) FROM {source} GROUP BY kind ORDER BY kind")
found = total.fetchall()
assert [row[1] for row in found] == [count // 5] * 5, found
assert sum(row[2] for row in found) == sum(range(count)) / 2
store.delete_dir_contents("parquet")
store.delete_dir("parquet")
print("done")
