"""restic: a repository in a bucket, two backups of a real tree, a check of every byte, pruning,
and the tree restored."""

import json
import os
import shutil

from commands import AWS, URL, files_of, run, same, version


def restic(*words, **more):
    return run("restic", "--repo", f"s3:{URL}/restic/repository", "--no-cache", *words,
               RESTIC_PASSWORD="of the repository", **AWS, **more)


version("restic", restic("version").split()[1])
os.makedirs("source")
# A tree that was not made for this: the libraries of the interpreter.
shutil.copytree(os.path.dirname(os.__file__), "source/lib", ignore=lambda folder, names: [
    name for name in names if name in ("__pycache__", "test", "site-packages", "dist-packages")
    or os.path.islink(os.path.join(folder, name))])
assert len(files_of("source")) > 300
restic("init")
restic("backup", "source")
with open("source/new", "wb") as file:
    file.write(os.urandom(20_000_000))
restic("backup", "source")
restic("check", "--read-data")
restic("restore", "latest", "--target", "back")
same("source", "back/source")
os.remove("source/new")
restic("backup", "source")
restic("forget", "--keep-last", "1", "--prune")
restic("check", "--read-data")
assert len(json.loads(restic("snapshots", "--json"))) == 1
shutil.rmtree("back")
restic("restore", "latest", "--target", "back")
same("source", "back/source")
print("done")
