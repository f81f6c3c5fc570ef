//! A to-do API in one page: `cargo run -p trestle-http --example todo`, then
//! `curl localhost:5000/todos -H 'content-type: application/json' -d '{"task": "profit!"}'`.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use trestle_http::{App, Call, Listing, Page, Problem, Resource};

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Todo {
    task: String,
    #[serde(default)]
    done: bool,
}

#[derive(Default)]
struct Todos(Mutex<BTreeMap<u64, Todo>>);

impl Todos {
    fn all(&self) -> MutexGuard<'_, BTreeMap<u64, Todo>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn missing(id: u64) -> Problem {
    Problem::not_found(format!("todo {id} doesn't exist"))
}

impl Resource for Todos {
    type Id = u64;
    type Item = Todo;

    async fn list(&self, page: Page, _call: &Call) -> Result<Listing<Todo>, Problem> {
        let after = page
            .after
            .as_deref()
            .map_or(Some(0), |after| after.parse().ok());
        let after: u64 = after.unwrap_or(u64::MAX);
        let todos = self.all();
        let rest = todos.range(after.saturating_add(1)..);
        Ok(Listing::page(
            rest.map(|(id, todo)| (*id, todo.clone())),
            &page,
        ))
    }

    async fn post(&self, todo: Todo, _call: &Call) -> Result<(u64, Todo), Problem> {
        let mut todos = self.all();
        let id = todos.last_key_value().map_or(1, |(last, _)| last + 1);
        todos.insert(id, todo.clone());
        Ok((id, todo))
    }

    async fn get(&self, id: u64, _call: &Call) -> Result<Todo, Problem> {
        self.all().get(&id).cloned().ok_or_else(|| missing(id))
    }

    async fn put(&self, id: u64, todo: Todo, _call: &Call) -> Result<Todo, Problem> {
        self.all().insert(id, todo.clone());
        Ok(todo)
    }

    async fn delete(&self, id: u64, _call: &Call) -> Result<(), Problem> {
        self.all().remove(&id).map(drop).ok_or_else(|| missing(id))
    }

    fn schema() -> serde_json::Value {
        serde_json::json!({"type": "object", "required": ["task"], "additionalProperties": false,
            "properties": {"task": {"type": "string"}, "done": {"type": "boolean"}}})
    }
}

pub(crate) fn app() -> App {
    App::new("To-do", "1.0").resource("/todos", Todos::default())
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    trestle_http::run("127.0.0.1:5000", app().into_handler()).await
}
