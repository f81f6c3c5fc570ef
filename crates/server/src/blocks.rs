//! `trestle tx`: what changes several objects at once, from the command line.

use crate::cli::{Common, Outcome, text_of};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use std::io::Read as _;

/// Most of stdin that is read; the server takes no more.
const TRANSACTION_BYTES_MAX: u64 = 32 << 20;

fn read(file: &str) -> Outcome<String> {
    let read = match file {
        "-" => {
            let mut text = String::new();
            let mut stdin = std::io::stdin().take(TRANSACTION_BYTES_MAX);
            stdin.read_to_string(&mut text).map(|_| text)
        }
        file => std::fs::read_to_string(file),
    };
    read.map_err(|error| format!("{file}: {error}"))
}

/// Puts the bytes of the files that puts name in their places.
fn fill(transaction: &mut Value) -> Outcome<()> {
    let verbs = transaction.get_mut("verbs").and_then(Value::as_array_mut);
    for verb in verbs.into_iter().flatten() {
        let Some(members) = verb.as_object_mut() else {
            continue;
        };
        if let Some(file) = members.remove("file") {
            let file = file.as_str().ok_or("file is the name of a local file")?;
            let bytes = std::fs::read(file).map_err(|error| format!("{file}: {error}"))?;
            members.insert("body".to_owned(), STANDARD.encode(bytes).into());
        }
    }
    Ok(())
}

/// Does the transaction of a file, and says what became of each verb.
pub(crate) async fn transact(file: &str, common: &Common) -> Outcome<()> {
    let mut transaction: Value =
        serde_json::from_str(&read(file)?).map_err(|error| format!("{file}: {error}"))?;
    fill(&mut transaction)?;
    let answer = common.client()?.transact(&transaction).await?;
    let outcomes = answer.get("outcomes").and_then(Value::as_array);
    for outcome in outcomes.into_iter().flatten() {
        let text = || {
            let (verb, tag) = (text_of(outcome, "verb"), text_of(outcome, "etag"));
            let (bucket, key) = (text_of(outcome, "bucket"), text_of(outcome, "key"));
            let status = outcome.get("status").and_then(Value::as_u64).unwrap_or(0);
            format!("{status}  {verb:<7} //{bucket}/{key}  {tag}")
        };
        common.say(text, || outcome.clone())?;
    }
    Ok(())
}
