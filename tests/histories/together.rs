//! What histories ask about several keys at once, or about one as it was: transactions and snapshots.

use super::{Asked, History, Snapshot, Together, Told, body, locked, value_of};
use crate::Client;
use crate::client::base64;
use crate::ledger::Broken;
use crate::linear::{Action, KEYS, Operation, Outcome, Part};
use serde_json::{Value, json};
use std::sync::atomic::Ordering;

/// What a listing of a snapshot says.
enum Seen {
    /// The tag of each key that is there.
    Shown([Option<String>; KEYS]),
    /// There is no such snapshot.
    Missing,
    /// Nothing: the server is gone.
    Gone,
}

impl History {
    /// Makes a snapshot and reads it: what it holds was there between the call and the answer. False
    /// when the server is gone.
    pub(super) fn snapshot(&self, connection: &mut Client, asked: &Asked) -> Result<bool, Broken> {
        let key = format!("history/{}/{}", self.number, asked.key);
        let name = format!("s{}", self.values.fetch_add(1, Ordering::Relaxed));
        let document = json!({"bucket": "b", "key": key, "name": name}).to_string();
        let headers = [("content-type", "application/json")];
        let call = self.now();
        let answer = connection.send("POST", "/-/snapshots", &headers, document.as_bytes());
        let answered = self.now();
        let mut made = Snapshot {
            client: asked.client,
            key: asked.key,
            name,
            call,
            value: None,
        };
        let status = answer.map_or(0, |answer| answer.status);
        let read = |outcome, end| Operation {
            client: asked.client,
            key: asked.key,
            call,
            end,
            action: Action::Read,
            outcome,
        };
        match status {
            201 => {}
            404 => {
                let missing = read(Outcome::Missing, answered);
                locked(&self.recorded).push((missing, Told::Nothing));
                return Ok(true);
            }
            409 => return Ok(true),
            0 | 500.. => {
                locked(&self.snapshots).push(made);
                return Ok(status != 0);
            }
            status => return Err(format!("a snapshot of {key}: answered {status}")),
        }
        let target = format!("{}@{}", self.target(asked.key), made.name);
        let Ok(answer) = connection.send("GET", &target, &[], b"") else {
            locked(&self.snapshots).push(made);
            return Ok(false);
        };
        let value = value_of(&answer.body).filter(|_| answer.status == 200);
        let broken = || format!("GET {target}: {} and no value", answer.status);
        let value = value.ok_or_else(broken)?;
        made.value = Some(value);
        locked(&self.snapshots).push(made);
        let found = read(Outcome::Found(value, None), answered);
        locked(&self.recorded).push((found, Told::Nothing));
        Ok(true)
    }

    /// Reads every snapshot once more: none has changed, and one that nobody was told of may be there.
    pub(super) fn judge_snapshots(&self, connection: &mut Client) -> Result<u64, Broken> {
        let snapshots = locked(&self.snapshots).clone();
        for snapshot in &snapshots {
            let target = format!("{}@{}", self.target(snapshot.key), snapshot.name);
            let answer = connection.send("GET", &target, &[], b"");
            let answer = answer.map_err(|error| format!("GET {target}: {error}"))?;
            let found = value_of(&answer.body).filter(|_| answer.status == 200);
            if answer.status == 404 && snapshot.value.is_none() {
                continue;
            }
            let broken =
                |was| format!("GET {target}: {} and {found:?}, not {was:?}", answer.status);
            let value = found.ok_or_else(|| broken(snapshot.value))?;
            match snapshot.value {
                Some(was) if was != value => return Err(broken(Some(was))),
                Some(_) => {}
                None => {
                    let unanswered = Operation {
                        client: snapshot.client,
                        key: snapshot.key,
                        call: snapshot.call,
                        end: self.now(),
                        action: Action::Read,
                        outcome: Outcome::Found(value, None),
                    };
                    locked(&self.recorded).push((unanswered, Told::Nothing));
                }
            }
        }
        Ok(snapshots.len() as u64)
    }

    /// Makes a snapshot of the directory that has all keys, and lists it: what it shows was there at one
    /// moment between the call and the answer. False when the server is gone.
    pub(super) fn snapshot_of_all(
        &self,
        connection: &mut Client,
        client: u64,
    ) -> Result<bool, Broken> {
        let name = format!("all-{}", self.values.fetch_add(1, Ordering::Relaxed));
        let directory = format!("history/{}/", self.number);
        let document = json!({"bucket": "b", "key": directory, "name": name}).to_string();
        let headers = [("content-type", "application/json")];
        let call = self.now();
        let answer = connection.send("POST", "/-/snapshots", &headers, document.as_bytes());
        let answered = self.now();
        let mut made = Together {
            client,
            name,
            call,
            shown: None,
        };
        match answer.map_or(0, |answer| answer.status) {
            201 => {}
            404 => {
                self.shows(&made, answered, Default::default());
                return Ok(true);
            }
            409 => return Ok(true),
            status @ (0 | 500..) => {
                locked(&self.together).push(made);
                return Ok(status != 0);
            }
            status => return Err(format!("a snapshot of {directory}: answered {status}")),
        }
        let seen = self.list_together(connection, &made)?;
        if let Seen::Shown(shown) = &seen {
            made.shown = Some(shown.clone());
            self.shows(&made, answered, shown.clone());
        }
        let name = made.name.clone();
        locked(&self.together).push(made);
        match seen {
            Seen::Missing => Err(format!("the snapshot {name} is not there")),
            Seen::Shown(_) => Ok(true),
            Seen::Gone => Ok(false),
        }
    }

    /// Writes down what a snapshot of all keys shows, as the listing that it is.
    fn shows(&self, snapshot: &Together, end: u64, shown: [Option<String>; KEYS]) {
        let there = shown.each_ref().map(|tag| tag.as_ref().map(|_| None));
        let listed = Operation {
            client: snapshot.client,
            key: 0,
            call: snapshot.call,
            end,
            action: Action::List,
            outcome: Outcome::Listed(there),
        };
        locked(&self.recorded).push((listed, Told::Tags(shown)));
    }

    fn list_together(&self, connection: &mut Client, snapshot: &Together) -> Result<Seen, Broken> {
        let target = format!("/rest/b__{}/", snapshot.name);
        let Ok(answer) = connection.send("GET", &target, &[], b"") else {
            return Ok(Seen::Gone);
        };
        match answer.status {
            200 => {
                let listed = self.listed(&answer.body);
                let listed = listed.ok_or_else(|| format!("{target}: a listing that is none"))?;
                Ok(Seen::Shown(listed))
            }
            404 => Ok(Seen::Missing),
            status => Err(format!("GET {target}: answered {status}")),
        }
    }

    /// Reads every snapshot of all keys once more, with the values in it, and deletes it: none has
    /// changed, and one that nobody was told of may be there.
    pub(super) fn judge_together(&self, connection: &mut Client) -> Result<u64, Broken> {
        let snapshots = locked(&self.together).clone();
        for snapshot in &snapshots {
            let of = format!("/rest/b__{}/", snapshot.name);
            let shown = match self.list_together(connection, snapshot)? {
                Seen::Shown(shown) => shown,
                Seen::Missing if snapshot.shown.is_none() => continue,
                Seen::Missing => return Err(format!("the snapshot {of} is gone")),
                Seen::Gone => return Err("the server is gone".to_owned()),
            };
            match &snapshot.shown {
                Some(was) if *was != shown => {
                    return Err(format!("the snapshot {of} shows {shown:?}, not {was:?}"));
                }
                Some(_) => {}
                None => self.shows(snapshot, self.now(), shown.clone()),
            }
            for (key, tag) in shown.iter().enumerate() {
                let Some(tag) = tag else { continue };
                let target = format!("{of}history/{}/{key}", self.number);
                let answer = connection.send("GET", &target, &[], b"");
                let answer = answer.map_err(|error| format!("GET {target}: {error}"))?;
                let value = value_of(&answer.body).filter(|_| answer.status == 200);
                let broken = || format!("GET {target}: {} and no value", answer.status);
                locked(&self.tags).of_read(key, value.ok_or_else(broken)?, tag)?;
            }
            let gone = connection.send("DELETE", &of, &[], b"");
            let gone = gone.map_err(|error| format!("DELETE {of}: {error}"))?;
            if gone.status != 204 {
                return Err(format!("DELETE {of}: answered {}", gone.status));
            }
        }
        Ok(snapshots.len() as u64)
    }

    /// The verbs of a transaction.
    pub(super) fn verbs(&self, parts: &[Part; KEYS], size: usize) -> Value {
        let tag = |stamp: &u64| locked(&self.tags).tags.get(stamp).cloned();
        let verbs = parts.iter().enumerate().filter_map(|(key, part)| {
            let mut verb = match part {
                Part::None => return None,
                Part::Put(value) | Part::Create(value) | Part::Replace { to: value, .. } => {
                    json!({"verb": "put", "body": base64(&body(*value, size))})
                }
                Part::Delete => json!({"verb": "delete"}),
                Part::Absent | Part::Is(_) => json!({"verb": "check"}),
            };
            match part {
                Part::Create(_) | Part::Absent => verb["if_none_match"] = json!("*"),
                Part::Replace { from: stamp, .. } | Part::Is(stamp) => {
                    verb["if_match"] = json!(tag(stamp));
                }
                _ => {}
            }
            verb["bucket"] = json!("b");
            verb["key"] = json!(format!("history/{}/{key}", self.number));
            Some(verb)
        });
        let verbs: Vec<Value> = verbs.collect();
        json!({ "verbs": verbs })
    }

    /// Takes in what a transaction that was done tells.
    pub(super) fn transacted(&self, parts: &[Part; KEYS], answer: &[u8]) -> Result<(), Broken> {
        let none = || "a transaction that tells no outcomes".to_owned();
        let told: Value = serde_json::from_slice(answer).map_err(|_| none())?;
        let mut outcomes = told["outcomes"].as_array().ok_or_else(none)?.iter();
        for (key, part) in parts.iter().enumerate() {
            if *part == Part::None {
                continue;
            }
            let outcome = outcomes.next().ok_or_else(none)?;
            if let Part::Put(value) | Part::Create(value) | Part::Replace { to: value, .. } = part {
                let tag = outcome["etag"].as_str().ok_or_else(none)?;
                locked(&self.tags).of_write(key, *value, tag)?;
            }
        }
        Ok(())
    }
}
