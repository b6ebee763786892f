//! What the measured images hold: files that are made up, always the same, and compress about as real ones do.

use anyhow::Result;
use scomo_tests::image::{Compression, Layer, Layout, busybox_program};
use serde_json::json;

/// Bytes of all files of the image.
const IMAGE_BYTES: u64 = 256 << 20;
/// Files of the image.
const FILES: u64 = 10_000;
/// Files in one folder.
const FOLDER_FILES: u64 = 50;
/// The part of each layer, in percent of files and bytes: the distribution, the libraries, the application.
const LAYERS: [u64; 3] = [60, 30, 10];
/// Percent of the application's files that its second version changes.
const CHANGED: u64 = 90;
/// Time stamps of the first build; a rebuild is a day later.
const BUILD_TIME: u64 = 1_700_000_000;
const DAY: u64 = 86_400;

/// A version of the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// The first one.
    V1,
    /// Its application layer changed.
    V2,
    /// All layers of the second one were built again: the same content, other time stamps.
    V3,
}

impl Version {
    /// All in the order in which a device gets them.
    pub const ALL: [Self; 3] = [Self::V1, Self::V2, Self::V3];

    /// The tag.
    pub fn name(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
            Self::V3 => "v3",
        }
    }

    fn build_time(self, layer: usize) -> u64 {
        let application = layer.saturating_add(1) == LAYERS.len();
        match self {
            Self::V1 => BUILD_TIME,
            Self::V2 if application => BUILD_TIME.saturating_add(DAY),
            Self::V2 => BUILD_TIME,
            Self::V3 => BUILD_TIME.saturating_add(DAY.saturating_mul(2)),
        }
    }
}

/// What a version holds.
#[derive(Debug, Clone, Copy, Default)]
pub struct Content {
    /// Bytes of all files.
    pub bytes: u64,
    /// Bytes of the files that the version before does not have.
    pub new_bytes: u64,
    /// Number of files.
    pub files: u64,
}

/// Writes all versions into a layout, each under its name.
pub fn write(layout: &mut Layout, compression: Compression) -> Result<Vec<Content>> {
    let mut known: Vec<(u64, Layer)> = Vec::new();
    let mut contents = Vec::new();
    for version in Version::ALL {
        let mut content = Content::default();
        let mut layers = Vec::new();
        for number in 0..LAYERS.len() {
            let plan = plan(number, version);
            for file in &plan {
                content.bytes = content.bytes.saturating_add(file.size);
                content.files = content.files.saturating_add(1);
                if version == Version::V1 || (file.changed && version == Version::V2) {
                    content.new_bytes = content.new_bytes.saturating_add(file.size);
                }
            }
            let time = version.build_time(number);
            // The same layer is built once, as the cache of an image builder does it.
            let identity = time.wrapping_mul(31).wrapping_add(u64::try_from(number)?);
            let found = known.iter().find(|(id, _)| *id == identity).map(|(_, layer)| layer.clone());
            let layer = match found {
                Some(layer) => layer,
                None => {
                    let layer = build(layout, compression, number, &plan, time)?;
                    known.push((identity, layer.clone()));
                    layer
                }
            };
            layers.push(layer);
        }
        layout.image(version.name(), &layers, &json!({"Cmd": ["/bin/busybox", "sleep", "1000000"]}))?;
        contents.push(content);
    }
    Ok(contents)
}

struct Planned {
    path: String,
    size: u64,
    seed: u64,
    changed: bool,
}

/// The files of a layer.
fn plan(layer: usize, version: Version) -> Vec<Planned> {
    let share = LAYERS.get(layer).copied().unwrap_or_default();
    let application = layer.saturating_add(1) == LAYERS.len();
    let mut random = Random::new(0xC0FFEE ^ u64::try_from(layer).unwrap_or_default());
    let count = FILES.saturating_mul(share) / 100;
    let sizes: Vec<u64> = (0..count).map(|_| size(&mut random)).collect();
    let wanted = IMAGE_BYTES.saturating_mul(share) / 100;
    let total: u64 = sizes.iter().sum();
    let mut files = Vec::new();
    for (number, size) in (0u64..).zip(sizes) {
        let seed = random.next();
        // Drawn for every version: the same file must get the same numbers in all of them.
        let drawn = random.below(100) < CHANGED;
        let changed = application && version != Version::V1 && drawn;
        files.push(Planned {
            path: format!("usr/share/layer{layer}/{}/file-{number}", number / FOLDER_FILES),
            size: size.saturating_mul(wanted) / total.max(1),
            seed: if changed { !seed } else { seed },
            changed,
        });
    }
    files
}

/// Sizes as in a distribution: most files are small, most bytes are in large ones.
fn size(random: &mut Random) -> u64 {
    let (low, high) = match random.below(100) {
        0..60 => (100, 6_000),
        60..90 => (6_000, 40_000),
        90..98 => (40_000, 200_000),
        _ => (200_000, 1_500_000),
    };
    low + random.below(high - low)
}

fn build(
    layout: &Layout,
    compression: Compression,
    number: usize,
    plan: &[Planned],
    time: u64,
) -> Result<Layer> {
    layout.layer(compression, |archive| {
        archive.time = time;
        if number == 0 {
            for folder in ["bin", "usr", "usr/share", "proc", "sys", "dev", "tmp"] {
                archive.folder(folder, 0o755)?;
            }
            archive.file("bin/busybox", &busybox_program()?, 0o755)?;
        }
        let mut folder = String::new();
        let words = Words::new();
        for file in plan {
            let parent = file.path.rsplit_once('/').map(|(parent, _)| parent).unwrap_or_default();
            if parent != folder {
                archive.folder(parent, 0o755)?;
                parent.clone_into(&mut folder);
            }
            archive.file(&file.path, &words.content(file.seed, file.size)?, 0o644)?;
        }
        Ok(())
    })
}

/// Makes content: half of the files are like text, half like programs.
struct Words(Vec<Vec<u8>>);

impl Words {
    /// A vocabulary as large as that of a manual.
    fn new() -> Self {
        let mut random = Random::new(7);
        let letters = b"etaoinshrdlucmfwypvbgk";
        let word = |random: &mut Random| {
            let length = 2 + random.below(9);
            let mut word: Vec<u8> = (0..length).filter_map(|_| random.skewed(letters).copied()).collect();
            word.push(b' ');
            word
        };
        Self((0..4000).map(|_| word(&mut random)).collect())
    }

    fn content(&self, seed: u64, size: u64) -> Result<Vec<u8>> {
        let size = usize::try_from(size)?;
        let mut random = Random::new(seed);
        let mut bytes = Vec::with_capacity(size.saturating_add(64));
        let text = random.below(2) == 0;
        while bytes.len() < size {
            match random.skewed(&self.0) {
                Some(word) if text => bytes.extend_from_slice(word),
                // Programs repeat short patterns with small numbers in between.
                Some(word) => {
                    bytes.extend(word.iter().take(4).map(|byte| byte.rotate_left(3)));
                    let number = random.next() >> (16 + random.below(48));
                    bytes.extend_from_slice(&number.to_le_bytes());
                }
                None => break,
            }
        }
        bytes.truncate(size);
        Ok(bytes)
    }
}

/// A small generator of numbers (SplitMix64): the same on every machine.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    /// Early items far more often than late ones, as words in a text.
    fn skewed<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        let end = u64::try_from(items.len()).unwrap_or(u64::MAX);
        let bound = self.below(end).saturating_add(1);
        let bound = self.below(bound).saturating_add(1);
        usize::try_from(self.below(bound)).ok().and_then(|at| items.get(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_differ_where_they_should() {
        let v1: u64 = (0..3).flat_map(|layer| plan(layer, Version::V1)).map(|file| file.size).sum();
        assert!((240 << 20..260 << 20).contains(&v1), "{v1}");
        let changed = |version, layer| plan(layer, version).iter().filter(|file| file.changed).count();
        assert_eq!(changed(Version::V1, 2), 0);
        assert_eq!(changed(Version::V2, 0), 0);
        assert!(changed(Version::V2, 2) > 800);
        let seeds = |version| plan(2, version).iter().map(|file| file.seed).collect::<Vec<_>>();
        assert_eq!(seeds(Version::V2), seeds(Version::V3));
        // What is not said to change is the same, or more is new than the ratio counts.
        let differs = seeds(Version::V1).into_iter().zip(seeds(Version::V2)).map(|(old, new)| old != new);
        assert!(differs.eq(plan(2, Version::V2).iter().map(|file| file.changed)));
    }

    #[test]
    fn content_compresses_about_as_real_files_do() {
        let words = Words::new();
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
        for seed in 0..40 {
            std::io::Write::write_all(&mut packed, &words.content(seed, 100_000).unwrap()).unwrap();
        }
        let percent = packed.finish().unwrap().len() / 40_000;
        assert!((25..45).contains(&percent), "{percent}");
    }
}
