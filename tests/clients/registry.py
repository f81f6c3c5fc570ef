"""docker-registry over a storage driver: an image pushed in pieces and pulled, a layer mounted from another
repository, tags, deletion, and the collection of what nobody refers to."""

import hashlib
import json
import os
import socket
import subprocess
import time

import requests

from commands import run, version

IMAGE = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG = "application/vnd.docker.container.image.v1+json"
LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"


def digest(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()


class Registry:
    """A registry as a child process, without its own cache of what is where."""

    def __init__(self, storage):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{free.getsockname()[1]}"
        # JSON is YAML, too.
        settings = {"version": 0.1, "storage": {**storage, "delete": {"enabled": True}},
                    "http": {"addr": address, "secret": "of the registry"}}
        with open("registry.yml", "w", encoding="utf-8") as file:
            json.dump(settings, file)
        self.url = f"http://{address}/v2/"
        self.process = None

    def __enter__(self):
        self.log = open("registry.log", "a+", encoding="utf-8")
        self.process = subprocess.Popen(["docker-registry", "serve", "registry.yml"], stdout=self.log,
                                        stderr=self.log)
        end = time.monotonic() + 120
        while True:
            try:
                self.ask("GET", "", 200)
                return self
            except requests.ConnectionError:
                assert self.process.poll() is None and time.monotonic() < end, self.said()
                time.sleep(0.1)

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()

    def said(self):
        self.log.seek(0)
        return self.log.read()[-4000:]

    def ask(self, method, path, status, **more):
        place = path if path.startswith("http") else self.url + path
        answer = requests.request(method, place, timeout=300, **more)
        assert answer.status_code == status, (method, path, answer.status_code, answer.text, self.said())
        return answer

    def push(self, name, content, pieces=1):
        """A blob in pieces, as docker sends a layer."""
        place = self.ask("POST", f"{name}/blobs/uploads/", 202).headers["location"]
        size = -(-len(content) // pieces)
        for at in range(0, len(content), size):
            part = content[at:at + size]
            headers = {"content-type": "application/octet-stream",
                       "content-range": f"{at}-{at + len(part) - 1}"}
            place = self.ask("PATCH", place, 202, data=part, headers=headers).headers["location"]
        mark = "&" if "?" in place else "?"
        self.ask("PUT", f"{place}{mark}digest={digest(content)}", 201)
        return {"size": len(content), "digest": digest(content)}

    def image(self, name, tag, layers):
        """An image of layers that are there; its digest."""
        config = self.push(name, json.dumps({"made for": f"{name}:{tag}"}).encode())
        manifest = json.dumps({
            "schemaVersion": 2, "mediaType": IMAGE, "config": {"mediaType": CONFIG, **config},
            "layers": [{"mediaType": LAYER, **layer} for layer in layers]}).encode()
        self.ask("PUT", f"{name}/manifests/{tag}", 201, data=manifest, headers={"content-type": IMAGE})
        return digest(manifest)

    def pull(self, name, tag):
        """The contents of all layers."""
        manifest = self.ask("GET", f"{name}/manifests/{tag}", 200, headers={"accept": IMAGE}).json()
        return [self.ask("GET", f"{name}/blobs/{layer['digest']}", 200).content
                for layer in manifest["layers"]]


def drive(storage):
    """All of it over one kind of storage."""
    version("docker-registry", run("docker-registry", "--version").split()[-1])
    small, large = os.urandom(70_000), os.urandom(23_000_000)
    registry = Registry(storage)
    with registry:
        layers = [registry.push("team/app", small), registry.push("team/app", large, pieces=4)]
        first = registry.image("team/app", "one", layers)
        assert registry.pull("team/app", "one") == [small, large]
        part = registry.ask("GET", f"team/app/blobs/{layers[1]['digest']}", 206,
                            headers={"range": "bytes=5242870-5242889"}).content
        assert part == large[5242870:5242890]
        mount = f"other/blobs/uploads/?mount={layers[1]['digest']}&from=team/app"
        registry.ask("POST", mount, 201)
        registry.image("other", "one", layers[1:])
        second = registry.image("team/app", "two", layers[:1])
        assert sorted(registry.ask("GET", "team/app/tags/list", 200).json()["tags"]) == ["one", "two"]
        assert registry.ask("GET", "_catalog", 200).json()["repositories"] == ["other", "team/app"]
        place = registry.ask("POST", "team/app/blobs/uploads/", 202).headers["location"]
        registry.ask("DELETE", place, 204)
        registry.ask("DELETE", f"team/app/manifests/{first}", 202)
        registry.ask("GET", f"team/app/manifests/{first}", 404)
    run("docker-registry", "garbage-collect", "registry.yml")
    # Another process, which has nothing in its memory.
    with registry:
        assert registry.pull("other", "one") == [large]
        assert registry.pull("team/app", second) == [small]
        listed = registry.ask("GET", "team/app/tags/list", 200).json()["tags"]
        assert listed == ["two"], listed
    print("done")
