//! Answers with several ranges: multipart/byteranges (RFC 9110 §14.6), with its exact length.

use crate::body::Body;
use bytes::Bytes;
use futures::{Stream, StreamExt};
use std::future::Future;
use trestle_core::{ResolvedRange, Result};

/// Several ranges of one content.
#[derive(Clone, Debug)]
pub struct ByteRanges {
    ranges: Vec<ResolvedRange>,
    total: u64,
    content_type: Option<String>,
    boundary: String,
}

impl ByteRanges {
    /// Ranges of a content of `total` bytes and of this type. The boundary must be unguessable for
    /// whoever made the content: an id of the host, say.
    pub fn new(
        ranges: Vec<ResolvedRange>,
        total: u64,
        content_type: Option<&str>,
        boundary: String,
    ) -> Self {
        ByteRanges {
            ranges,
            total,
            content_type: content_type.map(str::to_owned),
            boundary,
        }
    }

    /// The answer's Content-Type.
    pub fn content_type(&self) -> String {
        format!("multipart/byteranges; boundary={}", self.boundary)
    }

    /// The answer's length.
    pub fn length(&self) -> u64 {
        let part = |range: &ResolvedRange| self.head(range).len() as u64 + range.len();
        self.ranges.iter().map(part).sum::<u64>() + self.end().len() as u64
    }

    /// The body: `open` gives the bytes of each range when its turn comes.
    pub fn body<F, Opening, S>(self, open: F) -> Body
    where
        F: FnMut(ResolvedRange) -> Opening + Send + 'static,
        Opening: Future<Output = Result<S>> + Send,
        S: Stream<Item = Result<Bytes>> + Send + 'static,
    {
        let length = self.length();
        let end = self.end();
        let parts = futures::stream::unfold((self, 0, open), |(this, next, mut open)| async move {
            let range = this.ranges.get(next).copied()?;
            let head = Bytes::from(this.head(&range));
            let content = match open(range).await {
                Ok(content) => content.boxed(),
                Err(error) => futures::stream::iter([Err(error)]).boxed(),
            };
            let part = futures::stream::iter([Ok(head)]).chain(content);
            Some((part, (this, next + 1, open)))
        });
        let end = futures::stream::iter([Ok(Bytes::from(end))]);
        Body::stream(length, parts.flatten().chain(end))
    }

    fn head(&self, range: &ResolvedRange) -> String {
        let mut head = format!("\r\n--{}\r\n", self.boundary);
        if let Some(content_type) = &self.content_type {
            head.push_str(&format!("Content-Type: {content_type}\r\n"));
        }
        let (first, last) = (range.start, range.end.saturating_sub(1));
        head.push_str(&format!(
            "Content-Range: bytes {first}-{last}/{}\r\n\r\n",
            self.total
        ));
        head
    }

    fn end(&self) -> String {
        format!("\r\n--{}--\r\n", self.boundary)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::multipart::Multipart;
    use crate::receive::read_whole;
    use http_body::Body as _;

    #[tokio::test]
    async fn what_is_sent_reads_as_the_parts() {
        let content = "0123456789";
        let ranges = [(0, 2), (5, 10)].map(|(start, end)| ResolvedRange { start, end });
        let answer = ByteRanges::new(ranges.to_vec(), 10, Some("text/plain"), "b1".into());
        let content_type = answer.content_type();
        let length = answer.length();
        let body = answer.body(move |range| async move {
            let part = &content[range.start as usize..range.end as usize];
            Ok(futures::stream::iter([Ok(Bytes::from(part))]))
        });
        assert_eq!(body.size_hint().exact(), Some(length));
        let Body::Stream { stream, .. } = body else {
            panic!("a stream");
        };
        let whole = read_whole(stream, 1000).await.unwrap();
        assert_eq!(whole.len() as u64, length);
        let received = futures::stream::iter([Ok(whole)]);
        let mut parts = Multipart::new(&content_type, "byteranges", received).unwrap();
        for (range, text) in [("bytes 0-1/10", "01"), ("bytes 5-9/10", "56789")] {
            let head = parts.next_part().await.unwrap().unwrap();
            assert_eq!(head["content-range"], range);
            assert_eq!(head["content-type"], "text/plain");
            assert_eq!(parts.read_part(100).await.unwrap(), text);
        }
        assert_eq!(parts.next_part().await.unwrap(), None);
    }
}
