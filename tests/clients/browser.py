"""A browser that scripts drive by its debugging pipe, and a page of another origin beside it."""

import base64
import json
import os
import subprocess
import threading
import time
from contextlib import contextmanager
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
        self.changed, self.loaded, self.ended = threading.Condition(), set(), False
        self.session = None
        threading.Thread(target=self.listen, args=(read_ours,), daemon=True).start()
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        attached = self.send("Target.attachToTarget", targetId=target, flatten=True)
        self.session = attached["sessionId"]
        for domain in ["Page", "Runtime", "DOM"]:
            self.send(f"{domain}.enable")
        self.send("Page.setLifecycleEventsEnabled", enabled=True)
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
            if method == "Page.lifecycleEvent" and parameters["name"] == "load":
                self.loaded.add(parameters["loaderId"])
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
        answer = self.send("Page.navigate", url=path if ":" in path else URL + path)
        assert not answer.get("errorText"), answer
        # This page and no other: the one before may still be loading.
        self.until(lambda: answer["loaderId"] in self.loaded)

    def run(self, script):
        """What an expression is, awaited, in the page."""
        answer = self.send(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True,
            userGesture=True
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
        self.send_header("content-type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>elsewhere</title>")

    def log_message(self, *_):
        pass


def submit(browser, url, fields, name, content):
    """Fills in a form with a file, as a page of a site does, and sends it off."""
    browser.run(
        f"""(() => {{
          const form = document.createElement("form");
          Object.assign(form, {{ method: "post", action: {json.dumps(url)}, enctype: "multipart/form-data" }});
          const add = (name, type) => {{
            const input = form.appendChild(document.createElement("input"));
            Object.assign(input, {{ name, type }});
            return input;
          }};
          for (const [name, value] of Object.entries({json.dumps(fields)})) add(name, "hidden").value = value;
          const chosen = new DataTransfer();
          chosen.items.add(new File([{json.dumps(content)}], {json.dumps(name)}, {{ type: "text/plain" }}));
          add("file", "file").files = chosen.files;
          document.body.appendChild(form);
          setTimeout(() => form.submit());
        }})()"""
    )


@contextmanager
def elsewhere():
    """Another origin, which serves its page to whatever is asked for."""
    server = HTTPServer(("127.0.0.1", 0), Elsewhere)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def browse(*steps):
    """Runs steps, functions of a browser, in one, and ends it."""
    told = subprocess.run(["chromium", "--version"], capture_output=True, text=True, check=True)
    print(f"= chromium {told.stdout.split()[1]}")
    browser = Browser(os.getcwd())
    try:
        for step in steps:
            step(browser)
    finally:
        browser.process.kill()
        browser.process.wait()
    print("done")
