//! The fields of a browser form: names in lower case, each at most once.

use crate::error::{Code, S3Error};
use bytes::Bytes;
use futures::Stream;
use trestle_core::{ErrorKind, Result};
use trestle_http::{FormPart, Multipart};

/// Most bytes of all fields before the file.
const FIELDS_BYTES_MAX: usize = 64 << 10;

/// The fields before the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fields(Vec<(String, String)>);

impl Fields {
    /// Refuses a field that comes twice.
    pub(crate) fn new(list: Vec<(String, String)>) -> std::result::Result<Self, S3Error> {
        let mut fields = Fields::default();
        for (name, value) in list {
            let name = name.to_ascii_lowercase();
            if fields.get(&name).is_some() {
                return Err(malformed(&format!("The field {name} comes twice")));
            }
            fields.0.push((name, value));
        }
        Ok(fields)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(known, _)| known == name)?;
        Some(value)
    }

    /// Replaces a field's value.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        for (_, held) in self.0.iter_mut().filter(|(known, _)| known == name) {
            value.clone_into(held);
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

fn malformed(message: &str) -> S3Error {
    S3Error::new(Code::MalformedPOSTRequest, message)
}

/// A form whose fields were read: what is left of the body is the file.
pub(crate) struct Form<S> {
    pub(crate) fields: Fields,
    pub(crate) file: FormPart,
    pub(crate) body: Multipart<S>,
}

/// Reads the fields of a form up to its file.
pub(crate) async fn read<S>(content_type: &str, body: S) -> std::result::Result<Form<S>, S3Error>
where
    S: Stream<Item = Result<Bytes>> + Send + Unpin,
{
    let error = |error: trestle_core::Error| match error.kind() {
        ErrorKind::TooLarge => S3Error::new(
            Code::MaxPostPreDataLengthExceededError,
            "Your POST request fields preceding the upload file were too large.",
        ),
        ErrorKind::InvalidInput => malformed(error.message()),
        _ => error.into(),
    };
    let mut body = Multipart::new(content_type, "form-data", body).map_err(error)?;
    let is_file = |part: &FormPart| part.name.eq_ignore_ascii_case("file");
    let (fields, file) = body
        .form_fields(is_file, FIELDS_BYTES_MAX)
        .await
        .map_err(error)?;
    let file = file.ok_or_else(|| {
        S3Error::argument(
            "file",
            "",
            "POST requires exactly one file upload per request.",
        )
    })?;
    let list = fields
        .into_iter()
        .map(|(part, value)| (part.name, value))
        .collect();
    Ok(Form {
        fields: Fields::new(list)?,
        file,
        body,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn form(
        text: &'static str,
    ) -> std::result::Result<Form<impl Stream<Item = Result<Bytes>> + Send + Unpin>, Code> {
        let body = futures::stream::iter([Ok(Bytes::from_static(text.as_bytes()))]);
        read("multipart/form-data; boundary=XX", body)
            .await
            .map_err(|error| error.code())
    }

    #[test]
    fn fields_come_before_the_file_and_once() {
        let text = "--XX\r\nContent-Disposition: form-data; name=\"Key\"\r\n\r\na/${filename}\r\n\
            --XX\r\nContent-Disposition: form-data; name=\"FILE\"; filename=\"x.txt\"\r\n\r\nbytes\
            \r\n--XX--\r\n";
        let mut read = futures::executor::block_on(form(text)).ok().unwrap();
        assert_eq!(read.fields.get("key"), Some("a/${filename}"));
        assert_eq!(read.file.filename.as_deref(), Some("x.txt"));
        let piece = futures::executor::block_on(read.body.next_piece()).unwrap();
        assert_eq!(piece.unwrap(), "bytes");
        let twice = "--XX\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--XX\r\n\
            Content-Disposition: form-data; name=\"A\"\r\n\r\n1\r\n--XX\r\nContent-Disposition: \
            form-data; name=\"file\"\r\n\r\n\r\n--XX--";
        let refused = |text| futures::executor::block_on(form(text)).err();
        assert_eq!(refused(twice), Some(Code::MalformedPOSTRequest));
        let none = "--XX\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--XX--";
        assert_eq!(refused(none), Some(Code::InvalidArgument));
        assert_eq!(refused("nonsense"), Some(Code::IncompleteBody));
    }
}
