//! A plain engine in memory, small enough to be believed: what the verbs are tested over.
use bytes::Bytes;
use futures::future::BoxFuture;
use std::collections::BTreeMap;
use std::ops::{Bound, Range};
use std::sync::{Arc, Mutex};
use trestle_core::*;
use trestle_engine::walk::{Cursor, walk};
use trestle_engine::*;

type Rows = Arc<BTreeMap<Bytes, Row>>;
#[derive(Default)]
pub(crate) struct Memory {
    state: Mutex<(Rows, u64)>,
    data: Arc<Mutex<(BTreeMap<u64, Bytes>, u64)>>,
}
pub(crate) fn engine() -> Engine {
    let m = Arc::new(Memory::default());
    Engine {
        meta: m.clone(),
        data: m,
    }
}
struct View(Rows, u64);
struct Cur<'a>(
    &'a BTreeMap<Bytes, Row>,
    Option<Box<dyn Iterator<Item = (&'a Bytes, &'a Row)> + 'a>>,
);
impl Cursor for Cur<'_> {
    fn seek(&mut self, from: Bound<&[u8]>, until: Bound<&[u8]>, reverse: bool) -> Result<()> {
        let own = |b: Bound<&[u8]>| b.map(Bytes::copy_from_slice);
        let r = self.0.range::<Bytes, _>((own(from), own(until)));
        self.1 = Some(if reverse {
            Box::new(r.rev())
        } else {
            Box::new(r)
        });
        Ok(())
    }
    fn next(&mut self) -> Result<Option<(Bytes, Row)>> {
        Ok(self
            .1
            .as_mut()
            .and_then(|i| i.next())
            .map(|(k, r)| (k.clone(), r.clone())))
    }
}
impl MetaRead for View {
    fn sequence(&self) -> Sequence {
        Sequence(self.1)
    }
    fn get<'a>(&'a self, key: &'a [u8]) -> BoxFuture<'a, Result<Option<Row>>> {
        Box::pin(async move { Ok(self.0.get(key).cloned()) })
    }
    fn scan<'a>(&'a self, scan: &'a Scan) -> BoxFuture<'a, Result<Vec<ScanItem>>> {
        Box::pin(async move { walk(&mut Cur(&self.0, None), scan) })
    }
}
impl Meta for Memory {
    fn snapshot(&self) -> BoxFuture<'_, Result<Box<dyn MetaRead>>> {
        Box::pin(async move {
            let s = self.state.lock().unwrap();
            Ok(Box::new(View(s.0.clone(), s.1)) as Box<dyn MetaRead>)
        })
    }
    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<Committed>> {
        Box::pin(async move {
            check::validate(&commit)?;
            let mut s = self.state.lock().unwrap();
            for e in &commit.expectations {
                let ok = match e {
                    Expectation::Revision(k, r) => s.0.get(k).is_some_and(|row| row.revision == *r),
                    Expectation::Absent(k) => !s.0.contains_key(k),
                    Expectation::EmptyRange(a, b) => {
                        s.0.range(a.clone()..b.clone()).next().is_none()
                    }
                };
                if !ok {
                    return Err(Error::new(ErrorKind::Conflict, "conflict"));
                }
            }
            let mut rows = (*s.0).clone();
            let revision = Sequence(s.1 + 1);
            for w in commit.writes {
                match w {
                    Write::Put { key, value, body } => {
                        let body = body.map(|b| BodyRef {
                            length: b.len() as u32,
                            handle: b,
                        });
                        rows.insert(
                            key,
                            Row {
                                value,
                                revision,
                                body,
                            },
                        );
                    }
                    Write::Delete { key } => {
                        rows.remove(&key);
                    }
                    Write::Add { key, delta } => {
                        let v = check::add(rows.get(&key).map(|r| &r.value[..]), delta)?;
                        let value = Bytes::copy_from_slice(&v.to_be_bytes());
                        rows.insert(
                            key,
                            Row {
                                value,
                                revision,
                                body: None,
                            },
                        );
                    }
                }
            }
            *s = (Arc::new(rows), revision.0);
            Ok(Committed { sequence: revision })
        })
    }
    fn writable(&self) -> Result<()> {
        Ok(())
    }
    fn close(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async { Ok(()) })
    }
}
struct Writer(
    Arc<Mutex<(BTreeMap<u64, Bytes>, u64)>>,
    Vec<u8>,
    Vec<Extent>,
);
impl Writer {
    fn cut(&mut self, min: usize) {
        while self.1.len() >= min && !self.1.is_empty() {
            let n = self.1.len().min(3 << 19);
            let rest = self.1.split_off(n);
            let b: Bytes = std::mem::replace(&mut self.1, rest).into();
            let mut d = self.0.lock().unwrap();
            d.1 += 1;
            let id = d.1;
            self.2.push(Extent {
                length: n as u64,
                handle: Bytes::copy_from_slice(&id.to_be_bytes()),
            });
            d.0.insert(id, b);
        }
    }
}
impl DataWriter for Writer {
    fn append(&mut self, bytes: Bytes) -> BoxFuture<'_, Result<()>> {
        self.1.extend_from_slice(&bytes);
        self.cut(3 << 19);
        Box::pin(async { Ok(()) })
    }
    fn finish(mut self: Box<Self>) -> BoxFuture<'static, Result<Written>> {
        self.cut(1);
        Box::pin(async move {
            Ok(Written {
                extents: self.2,
                token: Token(1),
            })
        })
    }
}
impl Data for Memory {
    fn write(&self, _: LayerId) -> BoxFuture<'_, Result<Box<dyn DataWriter>>> {
        let w = Writer(self.data.clone(), vec![], vec![]);
        Box::pin(async move { Ok(Box::new(w) as Box<dyn DataWriter>) })
    }
    fn read<'a>(&'a self, e: &'a Extent, r: Range<u64>) -> BoxFuture<'a, Result<Bytes>> {
        Box::pin(async move {
            assert!(r.end - r.start <= 1 << 20);
            let id = u64::from_be_bytes(e.handle[..].try_into().unwrap());
            let d = self.data.lock().unwrap();
            let b = d.0.get(&id).ok_or_else(|| Error::corrupt("gone"))?;
            Ok(b.slice(r.start as usize..r.end as usize))
        })
    }
    fn read_body<'a>(&'a self, b: &'a BodyRef, r: Range<u64>) -> BoxFuture<'a, Result<Bytes>> {
        Box::pin(async move { Ok(b.handle.slice(r.start as usize..r.end as usize)) })
    }
    fn body_bytes_max(&self) -> usize {
        65536
    }
    fn release(&self, extents: Vec<Extent>) {
        let mut d = self.data.lock().unwrap();
        for e in extents {
            d.0.remove(&u64::from_be_bytes(e.handle[..].try_into().unwrap()));
        }
    }
}
