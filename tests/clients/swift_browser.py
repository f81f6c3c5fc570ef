"""A browser at Swift: a site in a container with its index, listings and error pages, a form of another
site that uploads, and scripts of another origin that a container's rules let in or do not."""

import hashlib
import hmac
import json
import time

import swiftclient

from browser import PASSWORD, URL, USER, browse, elsewhere, submit

swift = swiftclient.Connection(f"{URL}/auth/v1.0", f"{USER}:{USER}", PASSWORD)
ACCOUNT, TOKEN = swift.get_auth()
PATH = ACCOUNT.removeprefix(URL)
TEXT = "document.body.innerText"


def site(browser):
    """Pages that link to each other, with a style sheet; a listing; a page that is not there."""
    web = {"X-Container-Read": ".r:*,.rlistings", "X-Container-Meta-Web-Index": "index.html",
           "X-Container-Meta-Web-Error": "error.html", "X-Container-Meta-Web-Listings": "true",
           "X-Container-Meta-Web-Listings-CSS": "/style.css"}
    swift.put_container("pages", web)
    page = "<!doctype html><title>{0}</title><link rel=stylesheet href=style.css><h1>{0}</h1>"
    pages = {"index.html": page.format("home") + "<a href='sub/'>further</a>",
             "sub/index.html": page.format("sub").replace("style.css", "../style.css")
             + "<a href='../files/'>files</a>",
             "404error.html": page.format("lost")}
    for name, text in pages.items():
        swift.put_object("pages", name, text.encode(), content_type="text/html")
    swift.put_object("pages", "style.css", b"h1 { color: rgb(1, 2, 3) }", content_type="text/css")
    swift.put_object("pages", "files/a <b> ü.txt", b"plain words", content_type="text/plain")
    browser.open(f"{ACCOUNT}/pages/")
    assert browser.run("document.title") == "home"
    browser.wait("getComputedStyle(document.querySelector('h1')).color === 'rgb(1, 2, 3)'")
    browser.run("document.querySelector('a').click()")
    browser.wait("document.title === 'sub'")
    browser.run("document.querySelector('a').click()")
    link = "[...document.querySelectorAll('td a')].find((one) => one.textContent === 'a <b> ü.txt')"
    browser.wait(f"{link} !== undefined")
    browser.picture("listing.png")
    browser.run(f"{link}.click()")
    browser.wait(f"{TEXT} === 'plain words'")
    browser.open(f"{ACCOUNT}/pages/nowhere")
    assert browser.run(TEXT) == "lost"


def form(browser):
    """A page of another site whose form uploads here and comes back."""
    swift.post_account({"X-Account-Meta-Temp-URL-Key": "key"})
    swift.put_container("forms")
    with elsewhere() as origin:
        fields = {"redirect": f"{origin}/thanks", "max_file_size": "1000", "max_file_count": "1",
                  "expires": str(int(time.time()) + 600)}
        text = "\n".join([f"{PATH}/forms/from-", *fields.values()])
        fields["signature"] = hmac.new(b"key", text.encode(), hashlib.sha256).hexdigest()
        browser.open(origin + "/")
        submit(browser, f"{ACCOUNT}/forms/from-", fields, "ü.txt", "sent by a form")
        browser.wait(f"location.href.startsWith('{origin}/thanks?status=201')")
        browser.open(origin + "/")
        submit(browser, f"{ACCOUNT}/forms/from-", fields, "big", "x" * 1001)
        browser.wait(f"{TEXT}.includes('max_file_size exceeded')")
    assert [one["name"] for one in swift.get_container("forms")[1]] == ["from-ü.txt"]
    assert swift.get_object("forms", "from-ü.txt")[1] == b"sent by a form"


def other_origin(browser):
    """What a container allows another origin, and nothing else."""
    swift.put_container("shared")
    with elsewhere() as origin:
        def ask(method, token=TOKEN):
            body = "undefined" if method == "GET" else "'by a script'"
            headers = json.dumps({"x-auth-token": token, "x-object-meta-colour": "red"})
            return browser.run(
                f"fetch('{ACCOUNT}/shared/o', {{method: '{method}', body: {body}, headers: {headers},"
                " cache: 'no-store'})"
                ".then((answer) => [answer.status, answer.headers.get('x-object-meta-colour'),"
                " answer.headers.get('x-trans-id') !== null], () => 'refused')"
            )

        browser.open(origin + "/")
        assert ask("PUT") == "refused"
        swift.post_container("shared", {
            "X-Container-Meta-Access-Control-Allow-Origin": f"http://other.example {origin}",
            "X-Container-Meta-Access-Control-Expose-Headers": "X-Object-Meta-Colour"})
        assert ask("PUT") == [201, None, True]
        assert ask("GET") == [200, "red", True]
        assert ask("GET", token="wrong") == [401, None, True]
        swift.post_container("shared", {
            "X-Container-Meta-Access-Control-Allow-Origin": "http://other.example"})
        assert ask("GET") == "refused"
    assert swift.get_object("shared", "o")[1] == b"by a script"


browse(site, form, other_origin)
