"""s5cmd: whole trees with many workers, patterns, parts, pipes."""

from commands import AWS, URL, files_of, run, same, tree, version


def s5cmd(*words, **more):
    return run("s5cmd", "--endpoint-url", URL, *words, **AWS, **more)


version("s5cmd", s5cmd("version").strip().lstrip("v"))
source = tree("source", files=200)
s5cmd("mb", "s3://s5cmd-tree")
s5cmd("cp", "--part-size", "5", f"{source}/", "s3://s5cmd-tree/in/")
assert len(s5cmd("ls", "s3://s5cmd-tree/in/*").splitlines()) == len(files_of(source))
s5cmd("cp", "s3://s5cmd-tree/in/*", "back/")
same(source, "back")
s5cmd("sync", "--delete", "s3://s5cmd-tree/in/*", "s3://s5cmd-tree/second/")
assert s5cmd("sync", "--delete", "s3://s5cmd-tree/in/*", "s3://s5cmd-tree/second/") == ""
s5cmd("cp", "s3://s5cmd-tree/second/a/with space + plus", "one")
assert open("one", "rb").read() == open("source/a/with space + plus", "rb").read()
assert "17000000" in s5cmd("du", "s3://s5cmd-tree/second/big")
s5cmd("rm", "s3://s5cmd-tree/second/*")
s5cmd("mv", "s3://s5cmd-tree/in/big", "moved")
assert open("moved", "rb").read() == open("source/big", "rb").read()
s5cmd("rm", "s3://s5cmd-tree/*")
s5cmd("rb", "s3://s5cmd-tree")
assert "NoSuchBucket" in s5cmd("ls", "s3://s5cmd-tree", fails=True)
print("done")
