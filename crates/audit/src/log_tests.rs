//! Files that end are packed, are read like the others, and are never lost to a stop.

use super::*;
use crate::verify::{Report, export, verify};
use std::collections::BTreeSet;

/// A folder, and the log in it.
struct Kept {
    host: Host,
    data: tempfile::TempDir,
}

impl Kept {
    fn new() -> Self {
        Kept {
            host: Host::real(),
            data: tempfile::tempdir().unwrap(),
        }
    }

    fn folder(&self) -> PathBuf {
        self.data.path().join(files::FOLDER)
    }

    fn writer(&self, files_max: usize) -> Writer {
        Writer::open(&self.host, &self.folder(), files_max).unwrap()
    }

    fn verified(&self) -> Report {
        verify(&*self.host.disk, self.data.path(), None).unwrap()
    }

    fn exported(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut each = |line: &str| {
            lines.push(line.to_owned());
            Ok(())
        };
        export(&*self.host.disk, self.data.path(), &mut each).unwrap();
        lines
    }

    fn bytes(&self, path: &Path) -> Vec<u8> {
        let file = self.host.disk.open(path, OpenMode::Read).unwrap();
        let mut bytes = vec![0; file.len().unwrap() as usize];
        file.read_at(&mut bytes, 0).unwrap();
        bytes
    }

    fn put(&self, path: &Path, bytes: &[u8]) {
        files::remove_if_there(&*self.host.disk, path).unwrap();
        let file = self.host.disk.open(path, OpenMode::CreateNew).unwrap();
        file.write_at(bytes, 0).unwrap();
    }

    /// Names of the files that there are.
    fn names(&self) -> BTreeSet<String> {
        let listed = self.host.disk.list(&self.folder()).unwrap();
        let name = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
        listed.iter().map(name).collect()
    }
}

/// Writes more than a file takes, so that the next entry goes into another.
fn fill(writer: &mut Writer) {
    let number = writer.number;
    let entry = format!("\"time\":\"t\",\"text\":\"{}\"", "x".repeat(1 << 20));
    while writer.length < FILE_BYTES_MAX {
        writer.append(std::slice::from_ref(&entry)).unwrap();
    }
    writer.append(&[entry]).unwrap();
    assert_eq!(writer.number, number + 1);
}

fn pack(writer: &mut Writer) -> usize {
    let mut steps = 0;
    while writer.packer.is_busy() {
        writer.packer.step().unwrap();
        steps += 1;
    }
    steps
}

#[test]
fn a_packed_log_says_what_the_plain_one_said() {
    let kept = Kept::new();
    let mut writer = kept.writer(64);
    fill(&mut writer);
    fill(&mut writer);
    let (before, lines) = (kept.verified(), kept.exported());
    assert!(before.is_sound() && before.files == 3, "{before:?}");
    assert!(pack(&mut writer) > 256, "two of 16 MiB, 128 KiB at once");
    assert_eq!((kept.verified(), kept.exported()), (before, lines));
    let expected = ["00000001.jsonl.gz", "00000002.jsonl.gz", "00000003.jsonl"];
    assert_eq!(kept.names(), expected.map(str::to_owned).into());
    drop(writer);
    // A start goes on in the file that was not packed.
    let mut writer = kept.writer(64);
    assert!(!writer.packer.is_busy());
    writer.append(&["\"time\":\"t\"".to_owned()]).unwrap();
    assert!(kept.verified().is_sound() && kept.names().len() == 3);
    let lines = kept.exported();
    // The oldest go in either form.
    drop(writer);
    let mut writer = kept.writer(2);
    fill(&mut writer);
    let expected = ["00000003.jsonl", "00000004.jsonl"];
    assert_eq!(kept.names(), expected.map(str::to_owned).into());
    assert!(kept.verified().is_sound());
    assert!(lines.contains(&kept.exported()[0]));
}

#[test]
fn packing_may_be_stopped_after_any_piece() {
    let kept = Kept::new();
    let mut writer = kept.writer(64);
    fill(&mut writer);
    let (before, lines) = (kept.verified(), kept.exported());
    drop(writer);
    for steps in (0..).step_by(9) {
        let mut writer = kept.writer(64);
        for _ in 0..steps {
            writer.packer.step().unwrap();
        }
        let ended = !writer.packer.is_busy();
        assert_eq!(
            (kept.verified(), kept.exported()),
            (before.clone(), lines.clone())
        );
        if ended {
            break;
        }
        if steps % 2 == 0 {
            writer.packer.give_up();
            assert_eq!(kept.names().len(), 2);
        }
    }
    assert_eq!(kept.names().len(), 2);
    // Between the new name and the end of the old one.
    let bytes = files::read(&*kept.host.disk, &kept.folder(), 1).unwrap();
    kept.put(&files::path(&kept.folder(), 1), &bytes);
    assert_eq!((kept.verified(), kept.exported()), (before.clone(), lines));
    pack(&mut kept.writer(64));
    assert!(kept.names().contains("00000001.jsonl.gz") && kept.names().len() == 2);
    assert_eq!(kept.verified(), before);
}

#[test]
fn what_is_changed_in_a_packed_file_is_missed() {
    let kept = Kept::new();
    let mut writer = kept.writer(64);
    for number in 0..300u32 {
        let digits = number.wrapping_mul(2_654_435_761);
        let entry = format!("\"time\":\"t{number}\",\"text\":\"{digits:08x}\"");
        writer.append(&[entry]).unwrap();
    }
    writer.turn().unwrap();
    pack(&mut writer);
    let (before, lines, mut harmless) = (kept.verified(), kept.exported(), 0);
    let path = files::packed(&kept.folder(), 1);
    let sound = kept.bytes(&path);
    // The time and the system in the head of the format mean nothing.
    let places = (10..sound.len()).step_by(sound.len() / 60);
    for place in places.chain(sound.len() - 8..sound.len()) {
        let mut bytes = sound.clone();
        bytes[place] ^= 1;
        kept.put(&path, &bytes);
        let report = kept.verified();
        // Some ways to write the same differ in a bit only; none at the end, where its sum is.
        let same = place < sound.len() - 8 && report == before && kept.exported() == lines;
        harmless += usize::from(same);
        assert!(!report.is_sound() || same, "{place}: {report:?}");
    }
    assert!(harmless < 10, "{harmless}");
    for bytes in [&sound[..sound.len() - 1], &[&sound[..], b"more"].concat()] {
        kept.put(&path, bytes);
        assert!(!kept.verified().is_sound());
    }
    kept.host.disk.remove(&path).unwrap();
    assert!(kept.verified().is_sound(), "the oldest may go");
    kept.put(&path, &sound);
    assert!(kept.verified().is_sound());
}
