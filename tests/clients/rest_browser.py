"""A browser at the pages of the REST API, as a person uses them: lists, uploads, opens, deletes, tries
an operation, and runs scripts of this and of another origin."""

import base64
import json
import os

from browser import PASSWORD, URL, USER, browse, elsewhere

FOLDER = os.getcwd()
LINKS = "[...document.querySelectorAll('td a')].map((link) => link.textContent)"


def listing(browser):
    """The pages that show buckets and objects."""
    browser.open("/rest/")
    assert "Buckets" in browser.run("document.body.innerText")
    browser.run(
        "document.querySelector('#create input').value = 'from-browser';"
        "document.querySelector('#create button').click()"
    )
    browser.wait(f"{LINKS}.includes('from-browser')")
    browser.picture(f"{FOLDER}/buckets.png")
    browser.open("/rest/from-browser/")
    text, noise = f"{FOLDER}/a <b> ü.txt", f"{FOLDER}/noise.bin"
    with open(text, "w") as file:
        file.write("hello from a browser")
    with open(noise, "wb") as file:
        file.write(os.urandom(3 << 20))
    browser.choose("#upload input", text, noise)
    browser.run("document.querySelector('#upload button').click()")
    browser.wait(f"{LINKS}.includes('noise.bin') && {LINKS}.includes('a <b> ü.txt')")
    browser.picture(f"{FOLDER}/listing.png")
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


def documentation(browser):
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
    browser.picture(f"{FOLDER}/docs.png")


def other_origin(browser):
    """A script of another origin may do what the bucket's rules say, and nothing else."""
    with elsewhere() as origin:
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


browse(listing, client, documentation, other_origin)
