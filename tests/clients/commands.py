"""What scripts of clients share: where the server is, trees of files, and programs run to their end."""

import filecmp
import os
import random
import subprocess
import sys

URL = os.environ["TRESTLE_URL"]
HOST = URL.removeprefix("http://")
ACCESS_KEY = os.environ["TRESTLE_ACCESS_KEY"]
SECRET_KEY = os.environ["TRESTLE_SECRET_KEY"]
AWS = {
    "AWS_ACCESS_KEY_ID": ACCESS_KEY,
    "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


def run(*words, fails=False, **variables):
    """Runs a program; its standard output. It has to succeed, or to fail when that is expected."""
    done = subprocess.run(words, env={**os.environ, **variables}, capture_output=True, text=True,
                          timeout=300)
    if (done.returncode != 0) != fails:
        print(done.stdout, done.stderr, sep="\n")
        sys.exit(f"{' '.join(words)}: ended with {done.returncode}")
    return done.stdout + (done.stderr if fails else "")


def version(client, text):
    """Says which client this is."""
    print(f"= {client} {text}")


def tree(folder, files=40, seed=1):
    """A tree of files of many sizes, empty ones and odd names among them."""
    numbers = random.Random(seed)
    names = [f"{numbers.choice(['a', 'b/c', 'd é'])}/{n}.bin" for n in range(files)]
    names += ["empty", "a/with space + plus", "b/c/ünïcode", "big"]
    for name in names:
        place = os.path.join(folder, name)
        os.makedirs(os.path.dirname(place), exist_ok=True)
        size = {"empty": 0, "big": 17_000_000}.get(name, numbers.choice([1, 700, 90_000, 400_000]))
        with open(place, "wb") as file:
            file.write(numbers.randbytes(size))
    return folder


def files_of(folder):
    """The names of all files below a folder."""
    return sorted(os.path.relpath(os.path.join(at, name), folder)
                  for at, _, names in os.walk(folder) for name in names)


def same(one, other):
    """Both folders hold the same files with the same bytes."""
    names = files_of(one)
    assert names == files_of(other), (names, files_of(other))
    _, different, missing = filecmp.cmpfiles(one, other, names, shallow=False)
    assert not different and not missing, (different, missing)
