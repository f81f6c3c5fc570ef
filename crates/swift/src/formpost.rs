//! Uploads by forms of a browser: fields that are signed, and files that go where the form was sent.

use crate::call::{Call, Input, Place, set, text};
use crate::doors;
use crate::fault::{Fault, Outcome, status_line};
use crate::object::writable;
use crate::signature::Signature;
use crate::target::quote;
use crate::who::Pass;
use crate::write;
use bytes::Bytes;
use futures::channel::mpsc;
use futures::stream::BoxStream;
use futures::{SinkExt, StreamExt};
use http::{HeaderMap, Response};
use std::collections::BTreeMap;
use trestle_core::{Error, ErrorKind, Result};
use trestle_http::{Body, FormPart, Multipart};

/// Longest value of a field, in bytes.
const VALUE_MAX: usize = 4096;
/// Most bytes of all fields' names and values together: they are kept before anything is verified.
pub(crate) const FIELDS_MAX: usize = 64 << 10;

/// Whether a request carries a form.
pub(crate) fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers
        .get("content-type")
        .and_then(|value| value.to_str().ok());
    let kind = kind.unwrap_or_default().to_ascii_lowercase();
    kind.starts_with("multipart/form-data") && kind.contains("boundary=")
}

type Form = Multipart<BoxStream<'static, Result<Bytes>>>;

fn bad(message: &str) -> Fault {
    Fault::text(400, format!("FormPost: {message}"))
}

fn unauthorized(call: &Call, message: &str) -> Fault {
    let realm = quote(&call.target.account);
    Fault::html(401, format!("FormPost: {message}"))
        .with("www-authenticate", format!("Swift realm=\"{realm}\""))
}

/// The fields so far.
#[derive(Default)]
struct Fields(BTreeMap<String, String>);

impl Fields {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    fn number(&self, name: &str) -> Outcome<i64> {
        match self.get(name) {
            None | Some("") => Ok(0),
            Some(text) => {
                crate::times::integer(text).ok_or_else(|| bad(&format!("{name} not an integer")))
            }
        }
    }

    /// What the signature is of.
    fn signed(&self, path: &str) -> String {
        let field = |name, default: &'static str| match self.get(name) {
            Some(text) if !text.is_empty() => text.to_owned(),
            _ => default.to_owned(),
        };
        format!(
            "{path}\n{}\n{}\n{}\n{}",
            field("redirect", ""),
            field("max_file_size", "0"),
            field("max_file_count", "0"),
            field("expires", "0")
        )
    }
}

/// Answers a form.
pub(crate) async fn answer(call: &Call, input: Input) -> Outcome<Response<Body>> {
    let kind = call.header("content-type")?.unwrap_or_default();
    let malformed = |_| bad("invalid starting boundary");
    let mut form = Multipart::new(kind, "form-data", input.stream).map_err(malformed)?;
    let keys: Vec<String> = doors::keys(call)
        .await?
        .into_iter()
        .map(|(key, _)| key)
        .collect();
    let mut fields = Fields::default();
    let (mut files, mut kept, mut verified) = (0, 0, false);
    let mut outcome: Option<(u16, String, Option<String>)> = None;
    while let Some(head) = form
        .next_part()
        .await
        .map_err(|error| bad(error.message()))?
    {
        let part = FormPart::parse(&head).map_err(|error| bad(error.message()))?;
        let Some(filename) = part.filename.filter(|name| !name.is_empty()) else {
            let value = form
                .read_part(VALUE_MAX)
                .await
                .map_err(|error| bad(error.message()))?;
            kept += part.name.len() + value.len();
            if kept > FIELDS_MAX {
                return Err(bad("too many fields"));
            }
            let value =
                String::from_utf8(value.to_vec()).map_err(|_| bad("a field is not UTF-8"))?;
            fields.0.insert(part.name.to_ascii_lowercase(), value);
            continue;
        };
        files += 1;
        if files > fields.number("max_file_count")? {
            outcome = Some((400, "max file count exceeded".to_owned(), None));
            break;
        }
        check(call, &fields, &keys)?;
        verified = true;
        let file = File {
            name: filename,
            kind: part.content_type,
            encoding: part.content_encoding,
        };
        match upload(call, &fields, file, &mut form).await? {
            Ok(()) => outcome = Some((201, String::new(), None)),
            Err(fault) => {
                outcome = Some((fault.status(), String::new(), Some(fault.body())));
                break;
            }
        }
    }
    // Nobody is sent anywhere by what nobody signed.
    if !verified && fields.get("redirect").is_some_and(|text| !text.is_empty()) {
        check(call, &fields, &keys)?;
    }
    let (status, message, body) = outcome.unwrap_or((400, "no files to process".to_owned(), None));
    Ok(finished(&fields, status, &message, body))
}

/// What the browser is told, or where it is sent.
fn finished(fields: &Fields, status: u16, message: &str, body: Option<String>) -> Response<Body> {
    let Some(redirect) = fields.get("redirect").filter(|text| !text.is_empty()) else {
        let line = status_line(status);
        let said = match (message.is_empty(), body) {
            (_, Some(body)) => body,
            (true, None) => line,
            (false, None) => format!("{line}\r\nFormPost: {message}"),
        };
        return text(status, "text/plain", said);
    };
    let joint = if redirect.contains('?') { '&' } else { '?' };
    let location = format!(
        "{redirect}{joint}status={status}&message={}",
        quote(message)
    );
    let page = format!(
        "<html><body><p><a href=\"{}\">Click to continue...</a></p></body></html>",
        crate::listing::escape(&location)
    );
    let mut response = text(303, "text/html; charset=UTF-8", page);
    set(response.headers_mut(), "location", &location);
    response
}

/// The path that the form was sent to.
fn path(call: &Call) -> String {
    let target = &call.target;
    let container = target.container.as_deref().unwrap_or_default();
    let tail = match (&target.object, target.slash) {
        (Some(object), _) => format!("/{object}"),
        (None, true) => "/".to_owned(),
        (None, false) => String::new(),
    };
    format!("/v1/{}/{container}{tail}", target.account)
}

fn check(call: &Call, fields: &Fields, keys: &[String]) -> Outcome<()> {
    let path = path(call);
    let refused = |message: &str| {
        let name = path.strip_prefix("/v1/").unwrap_or(&path);
        doors::note_refused(call, "form", name);
        unauthorized(call, message)
    };
    let invalid = || refused("Invalid Signature");
    if keys.is_empty() {
        return Err(invalid());
    }
    let expires = fields.number("expires")?;
    let now = i64::try_from(call.now.seconds()).unwrap_or(i64::MAX);
    if expires < now {
        return Err(refused("Form Expired"));
    }
    let signature = Signature::parse(fields.get("signature").unwrap_or_default());
    let signature = signature.ok_or_else(invalid)?;
    let signed = fields.signed(&path);
    match keys.iter().any(|key| signature.verifies(key, &signed)) {
        true => Ok(()),
        false => Err(invalid()),
    }
}

struct File {
    name: String,
    kind: Option<String>,
    encoding: Option<String>,
}

/// Stores one file. The outer failure is the form's, the inner one the file's.
async fn upload(call: &Call, fields: &Fields, file: File, form: &mut Form) -> Outcome<Outcome<()>> {
    let largest = fields.number("max_file_size")?;
    let largest = u64::try_from(largest).unwrap_or(0);
    let prefix = call.target.object.clone().unwrap_or_default();
    let place = Place {
        account: call.account.clone(),
        container: call.container_name().to_owned(),
        object: format!("{prefix}{}", file.name),
    };
    let mut asking = call.again("PUT", &place.account, &place.container, &place.object);
    asking.who.pass = Some(Pass {
        account: call.target.account.clone(),
        container: None,
    });
    for (field, header) in [
        ("x_delete_at", "x-delete-at"),
        ("x_delete_after", "x-delete-after"),
    ] {
        if let Some(text) = fields.get(field) {
            fields.number(field)?;
            set(&mut asking.headers, header, text);
        }
    }
    let kind = fields.get("content-type").map(str::to_owned).or(file.kind);
    if let Some(kind) = kind {
        set(&mut asking.headers, "content-type", &kind);
    }
    let encoding = fields.get("content-encoding").map(str::to_owned);
    if let Some(encoding) = encoding.or(file.encoding) {
        set(&mut asking.headers, "content-encoding", &encoding);
    }
    let ready = match writable(&asking, &place).await {
        Ok(container) => write::asked(&asking, &place.object).map(|write| (container, write)),
        Err(fault) => Err(fault),
    };
    let (container, write) = match ready {
        Ok(ready) => ready,
        Err(fault) => return Ok(Err(fault)),
    };
    let (mut sender, receiver) = mpsc::channel(1);
    let input = Input {
        length: None,
        stream: receiver.boxed(),
    };
    let feeding = async {
        let mut taken = 0u64;
        loop {
            let piece = form.next_piece().await;
            let broken = match piece {
                Ok(Some(bytes)) => {
                    taken += bytes.len() as u64;
                    if taken <= largest {
                        // When the store has refused, the rest is passed over.
                        let _refused = sender.send(Ok(bytes)).await;
                        continue;
                    }
                    bad("max_file_size exceeded")
                }
                Ok(None) => {
                    sender.close_channel();
                    return Ok(());
                }
                Err(error) => bad(error.message()),
            };
            let cut = Error::new(ErrorKind::IncompleteBody, "the form broke off");
            let _refused = sender.send(Err(cut)).await;
            return Err(broken);
        }
    };
    let storing = write::store(&asking, &container, &place, write, input);
    let (fed, stored) = futures::join!(feeding, storing);
    fed?;
    Ok(stored.map(drop))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_of_five_lines() {
        let mut fields = Fields::default();
        fields.0.insert("redirect".into(), "http://r".into());
        fields.0.insert("max_file_count".into(), "3".into());
        assert_eq!(fields.signed("/v1/a/c/"), "/v1/a/c/\nhttp://r\n0\n3\n0");
        assert!(fields.number("redirect").is_err());
        assert_eq!(fields.number("missing").unwrap(), 0);
    }

    #[test]
    fn browsers_are_told_or_sent_on() {
        let told = finished(&Fields::default(), 201, "", None);
        assert_eq!(told.status(), 201);
        let mut fields = Fields::default();
        fields.0.insert("redirect".into(), "http://r/?a=b".into());
        let sent = finished(&fields, 400, "no files", None);
        assert_eq!(sent.status(), 303);
        assert_eq!(
            sent.headers()["location"],
            "http://r/?a=b&status=400&message=no%20files"
        );
    }
}
