//! The to-do API of the examples, asked for everything that a resource gives by itself.

#[expect(dead_code, reason = "its main is not run here")]
#[path = "../../examples/todo.rs"]
mod todo;

use crate::client::{Answer, Server, start};
use trestle_http::CorsRule;

const JSON: &str = "Content-Type: application/json\r\n";
const MERGE: &str = "Content-Type: application/merge-patch+json\r\n";

async fn server() -> Server {
    let rule = CorsRule {
        origins: vec!["http://page".into()],
        methods: vec!["PUT".into()],
        ..CorsRule::default()
    };
    start(todo::app().cors(vec![rule]).into_handler()).await
}

async fn create(server: &Server, task: &str) -> Answer {
    server
        .ask("POST /todos", JSON, &format!("{{\"task\": \"{task}\"}}"))
        .await
}

#[tokio::test]
async fn items_are_created_read_changed_and_deleted() {
    let server = server().await;
    let created = create(&server, "a").await;
    assert_eq!(created.status(), 201);
    assert_eq!(created.header("location"), Some("/todos/1"));
    let etag = created.header("etag").unwrap();
    let read = server.ask("GET /todos/1", "", "").await;
    assert_eq!(
        (read.status(), read.body.as_str()),
        (200, "{\"task\":\"a\",\"done\":false}")
    );
    assert_eq!(read.header("etag"), Some(etag));
    let head = server.ask("HEAD /todos/1", "", "").await;
    assert_eq!(
        (head.header("content-length"), head.body.as_str()),
        (Some("25"), "")
    );
    let patched = server
        .ask("PATCH /todos/1", MERGE, "{\"done\": true}")
        .await;
    assert_eq!(
        (patched.status(), patched.body.as_str()),
        (200, "{\"task\":\"a\",\"done\":true}")
    );
    let put = server.ask("PUT /todos/7", JSON, "{\"task\": \"b\"}").await;
    assert_eq!(put.status(), 201);
    assert_eq!(
        server
            .ask("PUT /todos/7", JSON, "{\"task\": \"c\"}")
            .await
            .status(),
        200
    );
    assert_eq!(server.ask("DELETE /todos/7", "", "").await.status(), 204);
    assert_eq!(server.ask("DELETE /todos/7", "", "").await.status(), 404);
    let missing = server.ask("GET /todos/7", "", "").await;
    assert_eq!(
        missing.header("content-type"),
        Some("application/problem+json")
    );
    assert!(missing.body.contains("todo 7 doesn't exist"));
}

#[tokio::test]
async fn methods_are_told_and_others_refused() {
    let server = server().await;
    let options = server.ask("OPTIONS /todos/1", "", "").await;
    assert_eq!(options.status(), 204);
    assert_eq!(
        options.header("allow"),
        Some("GET, HEAD, PUT, PATCH, DELETE, OPTIONS")
    );
    assert_eq!(
        options.header("accept-patch"),
        Some("application/merge-patch+json")
    );
    for request in ["DELETE /todos", "POST /todos/1", "BREW /todos/1"] {
        let refused = server.ask(request, "", "").await;
        assert_eq!(refused.status(), 405, "{request}");
        assert!(refused.header("allow").is_some());
    }
    for path in ["/", "/todo", "/todos/x", "/todos/1/2", "/todos/-1"] {
        assert_eq!(
            server.ask(&format!("GET {path}"), "", "").await.status(),
            404,
            "{path}"
        );
    }
    let moved = server.ask("GET /todos/?limit=1", "", "").await;
    assert_eq!(
        (moved.status(), moved.header("location")),
        (308, Some("/todos?limit=1"))
    );
}

#[tokio::test]
async fn bodies_and_forms_are_negotiated() {
    let server = server().await;
    for (headers, body, status) in [
        ("", "{}", 415),
        ("Content-Type: text/plain\r\n", "{}", 415),
        (JSON, "{", 400),
        (JSON, "{}", 422),
        (JSON, "{\"task\": 1}", 422),
        (JSON, "{\"task\": \"a\", \"x\": 1}", 422),
        (
            "Content-Type: application/json; charset=utf-8\r\n",
            "{\"task\": \"a\"}",
            201,
        ),
    ] {
        assert_eq!(
            server.ask("POST /todos", headers, body).await.status(),
            status,
            "{body}"
        );
    }
    let large = format!("{{\"task\": \"{}\"}}", "a".repeat(1 << 20));
    assert_eq!(server.ask("POST /todos", JSON, &large).await.status(), 413);
    let refused = server
        .ask("GET /todos/1", "Accept: text/html\r\n", "")
        .await;
    assert_eq!(refused.status(), 406);
    let put = server.ask("PATCH /todos/1", JSON, "{}").await;
    assert_eq!(
        (put.status(), put.header("accept-patch")),
        (415, Some("application/merge-patch+json"))
    );
    assert_eq!(
        server
            .ask("PATCH /todos/1", MERGE, "{\"task\": null}")
            .await
            .status(),
        422
    );
}

#[tokio::test]
async fn conditions_and_ranges_hold() {
    let server = server().await;
    let etag = create(&server, "a")
        .await
        .header("etag")
        .unwrap()
        .to_owned();
    let with = |name: &str, value: &str| format!("{name}: {value}\r\n");
    let same = server
        .ask("GET /todos/1", &with("If-None-Match", &etag), "")
        .await;
    assert_eq!((same.status(), same.body.as_str()), (304, ""));
    let merge = |condition: String| format!("{MERGE}{condition}");
    let stale = merge(with("If-Match", "\"old\""));
    assert_eq!(
        server
            .ask("PATCH /todos/1", &stale, "{\"done\": true}")
            .await
            .status(),
        412
    );
    let right = merge(with("If-Match", &etag));
    assert_eq!(
        server
            .ask("PATCH /todos/1", &right, "{\"done\": true}")
            .await
            .status(),
        200
    );
    // The state has changed, so the same condition fails now.
    assert_eq!(
        server
            .ask("PATCH /todos/1", &right, "{\"done\": false}")
            .await
            .status(),
        412
    );
    assert_eq!(
        server
            .ask("DELETE /todos/1", &with("If-Match", &etag), "")
            .await
            .status(),
        412
    );
    let absent = format!("{JSON}If-None-Match: *\r\n");
    assert_eq!(
        server
            .ask("PUT /todos/1", &absent, "{\"task\": \"b\"}")
            .await
            .status(),
        412
    );
    assert_eq!(
        server
            .ask("PUT /todos/2", &absent, "{\"task\": \"b\"}")
            .await
            .status(),
        201
    );
    let part = server.ask("GET /todos/1", "Range: bytes=1-6\r\n", "").await;
    assert_eq!((part.status(), part.body.as_str()), (206, "\"task\""));
    assert_eq!(part.header("content-range"), Some("bytes 1-6/24"));
    let parts = server
        .ask("GET /todos/1", "Range: bytes=0-0, -1\r\n", "")
        .await;
    assert_eq!(parts.status(), 206);
    assert!(
        parts
            .header("content-type")
            .unwrap()
            .starts_with("multipart/byteranges; boundary=")
    );
    assert!(
        parts
            .body
            .contains("Content-Range: bytes 23-23/24\r\n\r\n}\r\n--")
    );
    let beyond = server.ask("GET /todos/1", "Range: bytes=24-\r\n", "").await;
    assert_eq!(
        (beyond.status(), beyond.header("content-range")),
        (416, Some("bytes */24"))
    );
    let conditional = "Range: bytes=1-6\r\nIf-Range: \"old\"\r\n";
    assert_eq!(
        server.ask("GET /todos/1", conditional, "").await.status(),
        200
    );
}

#[tokio::test]
async fn lists_come_in_pages() {
    let server = server().await;
    for task in ["a", "b", "c"] {
        create(&server, task).await;
    }
    let first = server.ask("GET /todos?limit=2", "", "").await;
    assert_eq!(
        first.header("link"),
        Some("</todos?limit=2&after=2>; rel=\"next\"")
    );
    let second = server.ask("GET /todos?limit=2&after=2", "", "").await;
    assert_eq!(second.body, "[{\"task\":\"c\",\"done\":false}]");
    assert_eq!(second.header("link"), None);
    for bad in ["limit=0", "limit=x", "limit=1&limit=2", "colour=red"] {
        assert_eq!(
            server
                .ask(&format!("GET /todos?{bad}"), "", "")
                .await
                .status(),
            400,
            "{bad}"
        );
    }
}

#[tokio::test]
async fn a_request_with_a_key_is_done_once() {
    let server = server().await;
    let headers = format!("{JSON}Idempotency-Key: \"k1\"\r\n");
    let first = server
        .ask("POST /todos", &headers, "{\"task\": \"a\"}")
        .await;
    let again = server
        .ask("POST /todos", &headers, "{\"task\": \"a\"}")
        .await;
    assert_eq!((first.status(), again.status()), (201, 201));
    assert_eq!(again.header("location"), first.header("location"));
    let other = server
        .ask("POST /todos", &headers, "{\"task\": \"b\"}")
        .await;
    assert_eq!(other.status(), 422);
    assert_eq!(server.ask("GET /todos/2", "", "").await.status(), 404);
}

#[tokio::test]
async fn the_document_and_cors_come_with_it() {
    let server = server().await;
    let answer = server.ask("GET /openapi.json", "", "").await;
    let document: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    assert!(document["paths"]["/todos"]["post"]["responses"]["422"].is_object());
    assert!(document["paths"]["/todos/{id}"]["patch"].is_object());
    assert_eq!(
        document["components"]["schemas"]["todos"]["required"][0],
        "task"
    );
    let preflight = "Origin: http://page\r\nAccess-Control-Request-Method: PUT\r\n";
    let allowed = server.ask("OPTIONS /todos/1", preflight, "").await;
    assert_eq!(
        allowed.header("access-control-allow-origin"),
        Some("http://page")
    );
    let missing = "Origin: http://page\r\nContent-Type: application/json\r\n";
    let cross = server
        .ask("PUT /todos/1", missing, "{\"task\": \"a\"}")
        .await;
    assert_eq!(
        cross.header("access-control-allow-origin"),
        Some("http://page")
    );
    let stranger = server
        .ask("GET /todos/1", "Origin: http://other\r\n", "")
        .await;
    assert_eq!(stranger.header("access-control-allow-origin"), None);
    assert!(stranger.header("vary").unwrap().contains("Origin"));
}
