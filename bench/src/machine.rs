//! The machine that is measured: its name, its cores, its own rates.

use crate::Result;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;
use trestle_core::Md5;

/// One line about the machine.
pub(crate) fn describe() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text
            .lines()
            .find(|line| line.starts_with(name))
            .unwrap_or_default();
        line.split_once(':')
            .map(|(_, value)| value.trim().to_owned())
            .unwrap_or_default()
    };
    let cores = std::thread::available_parallelism().map_or(1, |count| count.get());
    format!(
        "{}, {cores} cores, {} of memory, Linux {}",
        field(&read("/proc/cpuinfo"), "model name"),
        field(&read("/proc/meminfo"), "MemTotal"),
        read("/proc/sys/kernel/osrelease").trim(),
    )
}

/// A folder of its own below the target folder, empty.
pub(crate) fn scratch(name: &str) -> Result<PathBuf> {
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
    let folder = std::path::absolute(target.join("bench").join(name))?;
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// Bytes per second of the digests that every write takes, on one core, of so many bodies at once.
pub(crate) fn hash_rate(bodies: usize) -> f64 {
    let pieces = [vec![7; 64 << 10]];
    let (mut md5, mut bytes, began) = (vec![Md5::default(); bodies], 0, Instant::now());
    let mut crc = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc64Nvme);
    while began.elapsed().as_secs_f64() < 0.5 {
        let mut together: Vec<_> = md5.iter_mut().map(|md5| (md5, &pieces[..])).collect();
        Md5::update_all(&mut together);
        for piece in std::iter::repeat_n(&pieces[0], bodies) {
            crc.update(piece);
            bytes += piece.len();
        }
    }
    let md5: Vec<_> = md5.into_iter().map(Md5::finish).collect();
    std::hint::black_box((md5, crc.finalize()));
    bytes as f64 / began.elapsed().as_secs_f64()
}

/// Bytes per second of a new file of 512 MiB that is written in pieces and synced at the end.
pub(crate) fn write_rate(folder: &Path) -> Result<f64> {
    let path = folder.join("write-rate");
    let buffer = vec![7; 1 << 20];
    let began = Instant::now();
    let mut file = File::create(&path)?;
    for _ in 0..512 {
        file.write_all(&buffer)?;
    }
    file.sync_data()?;
    let rate = f64::from(512 << 20) / began.elapsed().as_secs_f64();
    std::fs::remove_file(path)?;
    Ok(rate)
}

/// The value in the middle.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}
