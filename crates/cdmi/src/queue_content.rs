//! What a queue holds, as bytes: its values in order, each with a head of its own.
//!
//! A queue is one object; every change of it is one write of that object, so that readers see
//! whole changes only.

use crate::value::Encoding;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use serde_json::{Value, json};
use trestle_core::{Error, ErrorKind, Result};

/// One value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct QueueValue {
    pub(crate) mimetype: String,
    pub(crate) encoding: Encoding,
    pub(crate) bytes: Bytes,
}

/// All values, and the designator of the oldest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct QueueContent {
    pub(crate) first: u64,
    pub(crate) values: Vec<QueueValue>,
}

impl QueueContent {
    /// Reads the bytes of a queue whose oldest value has this designator.
    pub(crate) fn decode(first: u64, mut bytes: Bytes) -> Result<Self> {
        let damaged = || Error::corrupt("the values of a queue cannot be decoded");
        let mut values = Vec::new();
        while !bytes.is_empty() {
            let head = take(&mut bytes).ok_or_else(damaged)?;
            let head: Value = serde_json::from_slice(&head).map_err(|_| damaged())?;
            let text = |name: &str| head.get(name).and_then(Value::as_str);
            let mimetype = text("mimetype").ok_or_else(damaged)?.to_owned();
            let encoding = Encoding::parse(text("encoding").ok_or_else(damaged)?)?;
            values.push(QueueValue {
                mimetype,
                encoding,
                bytes: take(&mut bytes).ok_or_else(damaged)?,
            });
        }
        Ok(QueueContent { first, values })
    }

    /// Writes the bytes.
    pub(crate) fn encode(&self) -> Result<Bytes> {
        let mut bytes = BytesMut::new();
        for value in &self.values {
            let head = json!({"mimetype": value.mimetype, "encoding": value.encoding.as_str()});
            put(&mut bytes, head.to_string().as_bytes())?;
            put(&mut bytes, &value.bytes)?;
        }
        Ok(bytes.freeze())
    }

    /// The designators, lowest and highest; nothing for an empty queue.
    pub(crate) fn designators(&self) -> String {
        crate::value::range_text(self.first, self.values.len() as u64)
    }

    /// Takes the oldest values away.
    pub(crate) fn drop_oldest(&mut self, count: usize) {
        let count = count.min(self.values.len());
        self.values.drain(..count);
        self.first += count as u64;
    }
}

fn take(bytes: &mut Bytes) -> Option<Bytes> {
    if bytes.remaining() < 4 {
        return None;
    }
    let length = bytes.get_u32() as usize;
    (length <= bytes.len()).then(|| bytes.split_to(length))
}

fn put(bytes: &mut BytesMut, piece: &[u8]) -> Result<()> {
    let length = u32::try_from(piece.len())
        .map_err(|_| Error::new(ErrorKind::TooLarge, "a value of a queue is too large"))?;
    bytes.put_u32(length);
    bytes.put_slice(piece);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_in_order() {
        let value = |text: &'static str| QueueValue {
            mimetype: "text/plain".to_owned(),
            encoding: Encoding::Utf8,
            bytes: Bytes::from_static(text.as_bytes()),
        };
        let mut content = QueueContent {
            first: 7,
            values: vec![value("a"), value(""), value("c")],
        };
        let bytes = content.encode().unwrap();
        assert_eq!(QueueContent::decode(7, bytes.clone()).unwrap(), content);
        assert_eq!(content.designators(), "7-9");
        content.drop_oldest(2);
        assert_eq!((content.first, content.designators().as_str()), (9, "9-9"));
        content.drop_oldest(5);
        assert_eq!((content.first, content.designators().as_str()), (10, ""));
        for cut in 1..bytes.len() {
            let _ = QueueContent::decode(0, bytes.slice(..cut));
        }
        assert!(QueueContent::decode(0, bytes.slice(..3)).is_err());
    }
}
