"""A Flask application that keeps what its users upload in Trestle.

    pip install flask requests
    TRESTLE_URL=http://127.0.0.1:9000 TRESTLE_USER=root TRESTLE_PASSWORD=... \
        flask --app flask_uploads run

It streams in both directions, so neither it nor a worker of it ever holds a whole file. What a
browser may cache, conditions and ranges are Trestle's answers, passed on as they are.
"""

import os
from urllib.parse import quote

import requests
from flask import Flask, Response, abort, redirect, render_template_string, request, url_for

BUCKET = f"{os.environ.get('TRESTLE_URL', 'http://127.0.0.1:9000')}/rest/flask-uploads/"
ASKED = ("If-None-Match", "If-Modified-Since", "If-Range", "Range")
ANSWERED = ("Content-Type", "Content-Length", "Content-Range", "Accept-Ranges", "ETag",
            "Last-Modified", "Cache-Control")
PAGE = """<!doctype html><title>Uploads</title>
<form method=post enctype=multipart/form-data><input type=file name=file><button>Upload</button></form>
<ul>{% for item in items %}
  <li><a href="{{ url_for('download', name=item.key) }}">{{ item.key }}</a> {{ item.size }} bytes
{% endfor %}</ul>"""

app = Flask(__name__)
storage = requests.Session()
storage.auth = (os.environ.get("TRESTLE_USER", "root"), os.environ.get("TRESTLE_PASSWORD", ""))


def stored(name):
    return BUCKET + quote(name, safe="")


@app.get("/")
def index():
    listing = storage.get(BUCKET)
    if listing.status_code == 404:  # nothing was uploaded yet
        return render_template_string(PAGE, items=[])
    listing.raise_for_status()
    return render_template_string(PAGE, items=listing.json()["items"])


@app.post("/")
def upload():
    file = request.files.get("file")
    if file is None or not file.filename:
        abort(400)
    made = storage.put(BUCKET)
    if made.status_code not in (201, 409):  # 409: it is there already
        made.raise_for_status()
    headers = {"Content-Type": file.mimetype or "application/octet-stream"}
    storage.put(stored(file.filename), data=file.stream, headers=headers).raise_for_status()
    return redirect(url_for("index"), code=303)


@app.get("/files/<path:name>")
def download(name):
    asked = {name: request.headers[name] for name in ASKED if name in request.headers}
    # As it is stored, byte by byte: no decoding on the way.
    asked["Accept-Encoding"] = "identity"
    answer = storage.get(stored(name), headers=asked, stream=True)
    headers = {name: answer.headers[name] for name in ANSWERED if name in answer.headers}
    return Response(answer.iter_content(64 * 1024), answer.status_code, headers)
