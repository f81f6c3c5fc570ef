use super::*;

fn archive() -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut add = |name: &str, bytes: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, bytes).unwrap();
    };
    add("c/small", b"hello");
    add("c/empty", b"");
    add(&format!("c/{}", "long".repeat(60)), &[7; 1500]);
    builder
        .append_pax_extensions([
            ("SCHILY.xattr.user.mime_type", b"text/x" as &[u8]),
            ("SCHILY.xattr.user.meta.Color", b"blue"),
            ("path", "c/é".as_bytes()),
        ])
        .unwrap();
    let mut header = tar::Header::new_ustar();
    header.set_size(3);
    builder
        .append_data(&mut header, "ignored", &b"pax"[..])
        .unwrap();
    let mut folder = tar::Header::new_gnu();
    folder.set_entry_type(tar::EntryType::Directory);
    folder.set_size(0);
    builder
        .append_data(&mut folder, "c/folder/", &b""[..])
        .unwrap();
    builder.into_inner().unwrap()
}

fn unpack(compression: Compression, bytes: &[u8], step: usize) -> Result<Vec<(Entry, Vec<u8>)>> {
    let mut unpacker = Unpacker::new(compression);
    let mut found: Vec<(Entry, Vec<u8>)> = Vec::new();
    let mut ends = 0;
    for piece in bytes.chunks(step) {
        unpacker.push(Bytes::copy_from_slice(piece));
        while let Some(event) = unpacker.next()? {
            match event {
                Event::File(entry) => found.push((entry, Vec::new())),
                Event::Data(data) => found.last_mut().unwrap().1.extend_from_slice(&data),
                Event::End => ends += 1,
            }
        }
    }
    assert!(unpacker.is_whole());
    assert_eq!(ends, found.len());
    Ok(found)
}

#[test]
fn every_compression_unpacks_in_pieces_of_any_size() {
    let plain = archive();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&plain).unwrap();
    let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    bzip2.write_all(&plain).unwrap();
    let forms = [
        (Compression::None, plain.clone()),
        (Compression::Gzip, gzip.finish().unwrap()),
        (Compression::Bzip2, bzip2.finish().unwrap()),
    ];
    for (compression, bytes) in forms {
        for step in [1, 511, 512, 513, 1 << 20] {
            let found = unpack(compression, &bytes, step).unwrap();
            let names: Vec<&str> = found.iter().map(|(entry, _)| entry.name.as_str()).collect();
            let long = format!("c/{}", "long".repeat(60));
            assert_eq!(names, ["c/small", "c/empty", &long, "c/é"]);
            assert_eq!(found[0].1, b"hello");
            assert_eq!(found[2].1, [7; 1500]);
            assert_eq!(found[3].1, b"pax");
            let headers = [("content-type", "text/x"), ("x-object-meta-color", "blue")];
            let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
            assert_eq!(found[3].0.headers, headers);
        }
    }
}

#[test]
fn what_is_no_archive_is_refused() {
    let mut damaged = archive();
    damaged[0] ^= 1;
    assert!(unpack(Compression::None, &damaged, 512).is_err());
    assert!(unpack(Compression::Gzip, &archive(), 512).is_err());
    assert!(unpack(Compression::Bzip2, b"BZh9 is not all of it, by far", 512).is_err());
    let mut cut = Unpacker::new(Compression::None);
    cut.push(Bytes::from(archive()[..700].to_vec()));
    while cut.next().unwrap().is_some() {}
    assert!(!cut.is_whole());
    assert_eq!(Compression::named(".TAR.gz"), Some(Compression::Gzip));
    assert_eq!(Compression::named("zip"), None);
    assert!(climbs("a/../b") && climbs("..") && !climbs("a/..b"));
}
