//! Rows that are text: what a request is, and how it is answered.
//!
//! ```text
//! # the name of the row
//! ann PUT /target?with=query
//! header: value
//! | a line of the body
//! => 403 what the answer says
//! ```
//!
//! `##` begins a remark. `<name>` stands for what the world calls so, `[[text*9]]` and `{{text*9}}`
//! for a text nine times.

use super::{Ask, Case, Who, ask};

/// The lines of a form end as those of a head; other bodies are texts.
fn line_end(ask: &Ask) -> &'static str {
    let form = |(_, value): &(String, String)| value.starts_with("multipart/");
    if ask.wire.headers.iter().any(form) {
        "\r\n"
    } else {
        "\n"
    }
}

/// Reads them; `prove` says how their requests are signed.
pub(super) fn rows(text: &'static str, prove: fn(Ask) -> Ask) -> Vec<Case> {
    let lines = text.lines().filter(|line| !line.starts_with("## "));
    let mut lines = lines.filter(|line| !line.is_empty());
    let mut cases = Vec::new();
    while let Some(line) = lines.next() {
        let name = line
            .strip_prefix("# ")
            .unwrap_or_else(|| panic!("{line:?} begins no row"));
        let request = lines.next().unwrap_or_default();
        let mut words = request.split(' ');
        let mut word = || {
            words
                .next()
                .unwrap_or_else(|| panic!("{name}: a word is missing"))
        };
        let who = match word() {
            "root" => Who::Root,
            "boss" => Who::Boss,
            "ann" => Who::Ann,
            "nobody" => Who::Nobody,
            other => panic!("{name}: nobody is called {other}"),
        };
        let mut asked = ask(word(), &repeated(word())).by(who);
        let mut body = Vec::new();
        let (status, says) = loop {
            let line = lines.next().unwrap_or_default();
            if let Some(answer) = line.strip_prefix("=> ") {
                break answer.split_once(' ').unwrap_or((answer, ""));
            } else if let Some(line) = line.strip_prefix('|') {
                body.push(repeated(line.strip_prefix(' ').unwrap_or(line)));
            } else if let Some((name, value)) = line.split_once(':') {
                asked = asked.with(name, repeated(value.trim_start()));
            } else {
                panic!("{name}: {line:?} is nothing");
            }
        };
        let status = status.parse().unwrap();
        let end = line_end(&asked);
        cases.push((name, status, says, prove(asked.body(body.join(end)))));
    }
    cases
}

/// Writes out what is there several times.
fn repeated(text: &str) -> String {
    let mut text = text.to_owned();
    for (open, close) in [("[[", "]]"), ("{{", "}}")] {
        while let Some((before, rest)) = text.split_once(open) {
            let Some((what, after)) = rest.split_once(close) else {
                break;
            };
            let Some((what, count)) = what.rsplit_once('*') else {
                break;
            };
            let Ok(count) = count.parse() else { break };
            text = format!("{before}{}{after}", what.repeat(count));
        }
    }
    text
}

#[test]
fn a_row_is_read() {
    let text = "## a remark\n\n# bad\nann PUT /b/[[k*3]]\nx-a: {{[*2}}\n| a\n| b\n=> 400 why not\n";
    let cases = rows(text, |ask| ask);
    let (name, status, says, ask) = &cases[0];
    assert_eq!((*name, *status, *says), ("bad", 400, "why not"));
    assert_eq!(ask.wire.target, "/b/kkk");
    assert_eq!(ask.wire.headers, [("x-a".to_owned(), "[[".to_owned())]);
    assert_eq!(ask.wire.body, b"a\nb");
    assert_eq!((cases.len(), ask.who), (1, Who::Ann));
}
