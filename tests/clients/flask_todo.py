"""What Flask does by itself, as docs/library.md says it in its table side by side with the library."""

from flask import Flask, abort, jsonify, request

app = Flask(__name__)
todos = {}


@app.get("/todos")
def list_todos():
    return jsonify(list(todos.values()))


@app.post("/todos")
def create_todo():
    todo_id = max(todos, default=0) + 1
    todos[todo_id] = {"task": request.json["task"], "done": request.json.get("done", False)}
    return jsonify(todos[todo_id]), 201


@app.get("/todos/<int:todo_id>")
def read_todo(todo_id):
    return jsonify(todos.get(todo_id) or abort(404))


@app.put("/todos/<int:todo_id>")
def write_todo(todo_id):
    todos[todo_id] = {"task": request.json["task"], "done": request.json.get("done", False)}
    return jsonify(todos[todo_id])


@app.delete("/todos/<int:todo_id>")
def delete_todo(todo_id):
    todos.pop(todo_id, None) or abort(404)
    return "", 204


client = app.test_client()
JSON = {"content-type": "application/json"}


def ask(method, target, status, body=None, headers=None):
    answer = client.open(target, method=method, data=body, headers=headers)
    assert answer.status_code == status, (method, target, answer.status_code, answer.text)
    return answer


html = "text/html; charset=utf-8"
made = ask("POST", "/todos", 201, '{"task":"a"}', JSON)
assert "location" not in made.headers and "etag" not in made.headers
assert ask("POST", "/todos", 500, '{"tsk":"a"}', JSON).content_type == html
assert ask("POST", "/todos", 400, "{", JSON).content_type == html
assert ask("POST", "/todos", 415, '{"task":"a"}').content_type == html
head = ask("HEAD", "/todos/1", 200)
assert "etag" not in head.headers and "last-modified" not in head.headers
assert "GET" in ask("DELETE", "/todos", 405).headers["allow"]
assert "PUT" in ask("OPTIONS", "/todos/1", 200).headers["allow"]
whole = ask("GET", "/todos/1", 200).text
assert ask("GET", "/todos/1", 200, headers={"if-none-match": "*"}).text == whole
assert ask("GET", "/todos/1", 200, headers={"range": "bytes=1-6"}).text == whole
plain = ask("GET", "/todos/1", 200, headers={"accept": "text/html"})
assert plain.content_type == "application/json"
ask("PUT", "/todos/1", 200, '{"task":"lost"}', JSON | {"if-match": '"old"'})
assert ask("GET", "/todos/1", 200).json["task"] == "lost"
ask("PATCH", "/todos/1", 405, '{"done":true}', {"content-type": "application/merge-patch+json"})
before = len(todos)
for body in ['{"task":"b"}', '{"task":"b"}', '{"task":"c"}']:
    ask("POST", "/todos", 201, body, JSON | {"idempotency-key": "k"})
assert len(todos) == before + 3
page = ask("GET", "/todos?limit=1", 200)
assert len(page.json) == len(todos) and "link" not in page.headers
ask("GET", "/todos?colour=1", 200)
ask("GET", "/openapi.json", 404)
print("done")
