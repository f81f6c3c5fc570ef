"""A browser at the pages of the REST API, as a person uses them: lists, uploads, opens, deletes, tries
an operation, and runs scripts of this and of another origin. Spoken to by its debugging pipe."""

import base64
import json
import os
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

URL = os.environ["TRESTLE_URL"]
USER, PASSWORD = os.environ["TRESTLE_USER"], os.environ["TRESTLE_PASSWORD"]
LIMIT = 120


class Browser:
    """One page of a browser of its own."""

    def __init__(self, folder):
        (read_theirs, write_ours), (read_ours, write_theirs) = os.pipe(), os.pipe()

        def pipes():
            # What is read and written at the numbers 3 and 4.
            os.dup2(read_theirs, 13), os.dup2(write_theirs, 14)
            os.dup2(13, 3), os.dup2(14, 4)

        command = ["chromium", "--headless=new", "--no-sandbox", "--disable-gpu"]
        command += ["--disable-dev-shm-usage", "--no-first-run", "--disable-extensions"]
        command += ["--disable-background-networking", "--remote-debugging-pipe"]
        command += [f"--user-data-dir={folder}/profile", "about:blank"]
        self.log = open(f"{folder}/chromium.log", "w+")
        self.process = subprocess.Popen(
            command, preexec_fn=pipes, close_fds=False, stdout=self.log, stderr=self.log
        )
        os.close(read_theirs), os.close(write_theirs)
        self.out, self.number, self.answers = write_ours, 0, {}
        self.changed, self.loads, self.ended = threading.Condition(), 0, False
        self.session = None
        threading.Thread(target=self.listen, args=(read_ours,), daemon=True).start()
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        attached = self.send("Target.attachToTarget", targetId=target, flatten=True)
        self.session = attached["sessionId"]
        for domain in ["Page", "Runtime", "DOM"]:
            self.send(f"{domain}.enable")
        # A person types the password when the browser asks.
        self.send("Fetch.enable", handleAuthRequests=True)

    def listen(self, pipe):
        rest = b""
        while piece := os.read(pipe, 1 << 16):
            *messages, rest = (rest + piece).split(b"\0")
            for message in messages:
                self.heard(json.loads(message))
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def heard(self, message):
        method, parameters = message.get("method"), message.get("params", {})
        if method == "Fetch.requestPaused":
            self.post("Fetch.continueRequest", requestId=parameters["requestId"])
        elif method == "Fetch.authRequired":
            answer = {"response": "ProvideCredentials", "username": USER, "password": PASSWORD}
            name = parameters["requestId"]
            self.post("Fetch.continueWithAuth", requestId=name, authChallengeResponse=answer)
        elif method == "Page.javascriptDialogOpening":
            self.post("Page.handleJavaScriptDialog", accept=True)
        with self.changed:
            if "id" in message:
                self.answers[message["id"]] = message
            if method == "Page.loadEventFired":
                self.loads += 1
            self.changed.notify_all()

    def post(self, method, **parameters):
        with self.changed:
            self.number += 1
            message = {"id": self.number, "method": method, "params": parameters}
            if self.session:
                message["sessionId"] = self.session
            os.write(self.out, json.dumps(message).encode() + b"\0")
            return self.number

    def until(self, holds):
        with self.changed:
            assert self.changed.wait_for(lambda: holds() or self.ended, LIMIT), "it takes too long"
            if not holds():
                self.log.seek(0)
                raise AssertionError(f"the browser ended: {self.log.read()}")

    def send(self, method, **parameters):
        number = self.post(method, **parameters)
        self.until(lambda: number in self.answers)
        answer = self.answers.pop(number)
        assert "error" not in answer, f"{method}: {answer['error']}"
        return answer["result"]

    def open(self, path):
        before = self.loads
        answer = self.send("Page.navigate", url=path if ":" in path else URL + path)
        assert not answer.get("errorText"), answer
        self.until(lambda: self.loads > before)

    def run(self, script):
        """What an expression is, awaited, in the page."""
        answer = self.send(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True, userGesture=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait(self, script):
        """Asks until an expression is true; a page that goes away meanwhile is asked again."""
        end = time.monotonic() + LIMIT
        while True:
            try:
                if self.run(script):
                    return
            except AssertionError as error:
                if "context" not in str(error) and "navigat" not in str(error):
                    raise
            assert time.monotonic() < end, f"never: {script}: {self.run('document.body.innerText')}"
            time.sleep(0.05)

    def choose(self, selector, *files):
        document = self.send("DOM.getDocument")["root"]["nodeId"]
        node = self.send("DOM.querySelector", nodeId=document, selector=selector)["nodeId"]
        self.send("DOM.setFileInputFiles", nodeId=node, files=list(files))

    def picture(self, path):
        data = self.send("Page.captureScreenshot")["data"]
        with open(path, "wb") as file:
            file.write(base64.b64decode(data))


class Elsewhere(BaseHTTPRequestHandler):
    """A page of another origin."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>elsewhere</title>")

    def log_message(self, *_):
        pass


LINKS = "[...document.querySelectorAll('td a')].map((link) => link.textContent)"


def listing(browser, folder):
    """The pages that show buckets and objects."""
    browser.open("/rest/")
    assert "Buckets" in browser.run("document.body.innerText")
    browser.run(
        "document.querySelector('#create input').value = 'from-browser';"
        "document.querySelector('#create button').click()"
    )
    browser.wait(f"{LINKS}.includes('from-browser')")
    browser.picture(f"{folder}/buckets.png")
    browser.open("/rest/from-browser/")
    text, noise = f"{folder}/a <b> ü.txt", f"{folder}/noise.bin"
    with open(text, "w") as file:
        file.write("hello from a browser")
    with open(noise, "wb") as file:
        file.write(os.urandom(3 << 20))
    browser.choose("#upload input", text, noise)
    browser.run("document.querySelector('#upload button').click()")
    browser.wait(f"{LINKS}.includes('noise.bin') && {LINKS}.includes('a <b> ü.txt')")
    browser.picture(f"{folder}/listing.png")
    opened = browser.run("[...document.querySelectorAll('td a')].find((a) => a.textContent[0] === 'a').href")
    browser.open(opened)
    assert browser.run("document.body.innerText") == "hello from a browser"
    browser.open("/rest/from-browser/")
    browser.run("document.querySelector('[data-delete=\"noise.bin\"]').click()")
    browser.wait(f"!{LINKS}.includes('noise.bin')")
    browser.open("/rest/from-browser/")
    assert browser.run(LINKS) == ["a <b> ü.txt"]


def client(browser):
    """The JavaScript client, in a page of this origin."""
    script = """(async () => {
      const { Trestle, TrestleError } = await import("/-/client.js");
      const trestle = new Trestle();
      const body = new Uint8Array(2 << 20).map((_, at) => at * 7);
      const seen = [];
      const progress = (done, all) => seen.push([done, all]);
      const put = await trestle.upload("from-browser", "dir/ä?#.bin", new Blob([body]), { progress });
      const events = new Promise((resolve) => {
        const source = trestle.events("from-browser", (event) => { source.close(); resolve(event); });
        source.onopen = () => trestle.upload("from-browser", "told", "x");
      });
      const told = await events;
      const keys = [];
      for await (const item of trestle.list("from-browser", { limit: 1 })) keys.push(item.key);
      const back = new Uint8Array(await (await trestle.read("from-browser", "dir/ä?#.bin")).arrayBuffer());
      const part = await (await trestle.read("from-browser", "dir/ä?#.bin", { range: "bytes=1-2" })).blob();
      const changed = await trestle.change("from-browser", "dir/ä?#.bin", { tags: { a: "1" } });
      const stat = await trestle.stat("from-browser", "dir/ä?#.bin");
      await trestle.delete("from-browser", "dir/ä?#.bin");
      let missing = 0;
      try { await trestle.read("from-browser", "dir/ä?#.bin"); } catch (error) {
        missing = error instanceof TrestleError ? error.status : -1;
      }
      const buckets = [];
      for await (const bucket of trestle.buckets()) buckets.push(bucket.name);
      return { put: put.status, seen: seen.at(-1), told: told.key, keys, part: part.size, missing,
        same: back.length === body.length && back.every((byte, at) => byte === body[at]),
        tags: changed.tags, size: stat.size, buckets };
    })()"""
    found = browser.run(script)
    assert found["put"] == 201 and found["seen"] == [2 << 20, 2 << 20], found
    assert found["told"] == "told" and found["same"] and found["part"] == 2, found
    assert found["keys"] == ["a <b> ü.txt", "dir/ä?#.bin", "told"], found
    assert found["tags"] == {"a": "1"} and found["size"] == 2 << 20, found
    assert found["missing"] == 404 and "from-browser" in found["buckets"], found


def documentation(browser, folder):
    """The pages that explain, and let one try."""
    browser.open("/-/docs")
    browser.wait("document.querySelectorAll('details').length > 15")
    browser.run(
        "const shown = [...document.querySelectorAll('details')].find((one) =>"
        " one.textContent.includes('service document'));"
        "shown.open = true; shown.querySelector('button').click()"
    )
    browser.wait("document.querySelector('details[open] pre').textContent.includes('200')")
    shown = browser.run("document.querySelector('details[open] pre').textContent")
    assert '"buckets"' in shown and "from-browser" in shown, shown
    browser.picture(f"{folder}/docs.png")


def other_origin(browser):
    """A script of another origin may do what the bucket's rules say, and nothing else."""
    server = HTTPServer(("127.0.0.1", 0), Elsewhere)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    origin = f"http://127.0.0.1:{server.server_port}"
    token = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()

    def ask(method, body="undefined"):
        return browser.run(
            f"fetch('{URL}/rest/from-browser/shared', {{method: '{method}', body: {body},"
            f" headers: {{authorization: 'Basic {token}'}}}})"
            ".then((answer) => [answer.status, answer.headers.get('etag') !== null], () => 'refused')"
        )

    browser.open(origin + "/")
    assert ask("PUT", "'x'") == "refused"
    browser.open("/rest/from-browser/")
    rule = {"origins": [origin], "methods": ["GET", "PUT"], "headers": ["*"], "expose": ["ETag"]}
    patch = json.dumps({"cors": [rule]})
    status = browser.run(
        "fetch(location.origin + location.pathname, {method: 'PATCH', body: JSON.stringify(" + patch + "),"
        " headers: {'content-type': 'application/merge-patch+json'}}).then((answer) => answer.status)"
    )
    assert status == 204, status
    browser.open(origin + "/")
    assert ask("PUT", "'x'") == [201, True]
    assert ask("GET") == [200, True]
    assert ask("DELETE") == "refused"
    server.shutdown()


def main():
    folder = os.getcwd()
    browser = Browser(folder)
    try:
        listing(browser, folder)
        client(browser)
        documentation(browser, folder)
        other_origin(browser)
    finally:
        browser.process.kill()
        browser.process.wait()
    print("done")


main()
