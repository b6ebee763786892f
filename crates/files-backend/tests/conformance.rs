//! The engine's suite for all backends, in this process and through worker processes.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::any::Any;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use common::{Device, listing};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use scomo_core::id::PackageId;
use scomo_engine::backend::Backend;
use scomo_engine::conformance::{Harness, Sources, run};
use serde_json::{Value, json};

struct Files {
    device: Device,
    state: PathBuf,
    in_process: bool,
}

impl Files {
    fn boxed(in_process: bool) -> Box<dyn Harness> {
        let device = Device::with(&json!({"allow_reload": true}));
        let state = device.path("state");
        fs::create_dir(&state).expect("state folder");
        // Small, so that it can be filled.
        let options = Some("size=64m,mode=0755");
        mount(Some("tmpfs"), &state, Some("tmpfs"), MsFlags::MS_NODEV, options).expect("a small disk");
        Box::new(Self { device, state, in_process })
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let unmounted = umount2(&self.state, MntFlags::MNT_DETACH);
        if !std::thread::panicking() {
            unmounted.expect("unmount");
        }
    }
}

impl Harness for Files {
    fn open(&mut self) -> Box<dyn Backend> {
        if self.in_process { Box::new(self.device.backend()) } else { Box::new(self.device.worker()) }
    }

    fn sources(&mut self) -> Sources {
        let device = &mut self.device;
        let health = |command: &str| json!({"health": {"command": [command], "windowS": 0, "retries": 0}});
        let mut source = |name: &str, more: &Value| {
            // Different bytes in every version, and enough of them for progress.
            let seed = name.bytes().fold(1_u32, |sum, byte| sum.wrapping_mul(31) ^ u32::from(byte));
            let content: Vec<u8> = (0..600_000_u32)
                .flat_map(|i| i.wrapping_mul(seed).rotate_left(i % 31).to_le_bytes())
                .collect();
            device.package(name, more, |archive| archive.file("data", &content, 0o644))
        };
        let corrupt = source("corrupt", &json!({}));
        damage(&corrupt);
        Sources {
            package: PackageId::new("test").expect("id"),
            v1: source("v1", &health("/bin/true")),
            v2: source("v2", &json!({})),
            unknown: format!("{corrupt}-gone"),
            corrupt,
            unhealthy: Some(source("unhealthy", &health("/bin/false"))),
        }
    }

    fn stored(&mut self) -> Vec<String> {
        let mut found: Vec<String> = Vec::new();
        for part in ["file-sets/releases", "file-sets/components", "files"] {
            found.extend(listing(&self.state.join(part)).into_iter().map(|name| format!("{part}/{name}")));
        }
        // The folders between are kept, the files count.
        let store = self.state.join("file-sets/store");
        for part in ["trees", "layers", "tmp", "objects"] {
            found.extend(
                listing(&store.join(part)).into_iter().filter(|name| store.join(part).join(name).is_file()),
            );
        }
        found
    }

    fn fill_disk(&mut self) -> Option<Box<dyn Any>> {
        Some(Box::new(Full::new(&self.state)))
    }
}

/// Fills a file system until it is dropped.
struct Full(PathBuf);

impl Full {
    fn new(folder: &Path) -> Self {
        let path = folder.join("filler");
        let mut file = File::create(&path).expect("filler");
        let block = vec![1_u8; 256 * 1024];
        while file.write_all(&block).is_ok() {}
        Self(path)
    }
}

impl Drop for Full {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Changes one byte of the largest blob of a package, which is its layer.
fn damage(source: &str) {
    let layout = Path::new(source.strip_prefix("oci:").expect("a layout"));
    let blobs = fs::read_dir(layout.join("blobs/sha256")).expect("blobs").flatten().map(|entry| entry.path());
    let layer = blobs.max_by_key(|path| fs::metadata(path).expect("blob").len()).expect("a layer");
    let mut content = fs::read(&layer).expect("layer");
    let middle = content.len() / 2;
    content[middle] ^= 1;
    fs::write(layer, content).expect("damage");
}

#[test]
fn file_sets_conform_in_process() {
    needs_root!();
    run(&mut || Files::boxed(true));
}

#[test]
fn file_sets_conform_through_the_process_border() {
    needs_root!();
    run(&mut || Files::boxed(false));
}
