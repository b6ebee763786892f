//! The engine's suite for all backends, in this process and through worker processes.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::any::Any;
use std::fs;
use std::path::PathBuf;

use common::{Device, Full, IDLE, listing};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use scomo_core::id::PackageId;
use scomo_core::spec::{HealthCheck, RunSpec};
use scomo_engine::backend::Backend;
use scomo_engine::conformance::{Harness, Sources, run};
use serde_json::json;

struct Container {
    /// Taken before the state folder is unmounted.
    device: Option<Device>,
    state: PathBuf,
    in_process: bool,
}

impl Container {
    fn boxed(in_process: bool) -> Box<dyn Harness> {
        let device = Device::new();
        let state = device.state_dir();
        fs::create_dir(&state).expect("state folder");
        // Small, so that it can be filled.
        let flags = MsFlags::MS_NODEV;
        mount(Some("tmpfs"), &state, Some("tmpfs"), flags, Some("size=64m,mode=0755")).expect("a small disk");
        Box::new(Self { device: Some(device), state, in_process })
    }

    fn device(&mut self) -> &mut Device {
        self.device.as_mut().expect("a device")
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // Nothing may run on it any more.
        let folder = self.device.as_ref().expect("a device").folder.path().to_owned();
        let cleaned = self
            .device
            .as_ref()
            .expect("a device")
            .backend()
            .collect(&[], &scomo_engine::backend::StepCx::detached());
        let unmounted = umount2(&self.state, MntFlags::MNT_DETACH);
        self.device = None;
        if !std::thread::panicking() {
            cleaned.expect("clean up");
            unmounted.expect("unmount");
            assert!(!folder.exists());
        }
    }
}

impl Harness for Container {
    fn open(&mut self) -> Box<dyn Backend> {
        if self.in_process { Box::new(self.device().backend()) } else { Box::new(self.device().worker()) }
    }

    fn sources(&mut self) -> Sources {
        let device = self.device();
        let health = |window_s| Some(HealthCheck { window_s, ..HealthCheck::default() });
        for (name, script, window_s) in [
            ("v1", format!("echo one; {IDLE}"), 0),
            ("v2", format!("echo two; {IDLE}"), 0),
            ("corrupt", IDLE.to_owned(), 0),
            ("unhealthy", "echo bad; sleep 0.2; exit 1".to_owned(), 600),
        ] {
            let args = vec!["/bin/sh".to_owned(), "-c".to_owned(), script];
            // Different bytes in every version, and enough of them for progress.
            let seed = name.bytes().fold(1_u32, |sum, byte| sum.wrapping_mul(31) ^ u32::from(byte));
            let content: Vec<u8> = (0..600_000_u32).flat_map(|i| (i ^ seed).to_le_bytes()).collect();
            let image = device.layout.image(&[("version", name.as_bytes()), ("data", &content)], &json!({}));
            let run = RunSpec { args, ..RunSpec::default() };
            let spec = common::spec("app", name, &image, run, health(window_s));
            device.layout.package(name, std::slice::from_ref(&spec));
            if name == "corrupt" {
                damage(device, &image);
            }
        }
        let source = |name: &str| device.layout.source(name);
        Sources {
            package: PackageId::new("test").expect("id"),
            v1: source("v1"),
            v2: source("v2"),
            corrupt: source("corrupt"),
            unknown: source("nothing"),
            unhealthy: Some(source("unhealthy")),
        }
    }

    fn stored(&mut self) -> Vec<String> {
        let containers = self.state.join("containers");
        let mut found = Vec::new();
        for part in ["releases", "store/trees", "store/layers", "store/tmp", "scratch"] {
            found.extend(listing(&containers.join(part)).into_iter().map(|name| format!("{part}/{name}")));
        }
        // The folders between are kept, the files count.
        let objects = containers.join("store/objects");
        found.extend(listing(&objects).into_iter().filter(|name| objects.join(name).is_file()));
        found
    }

    fn fill_disk(&mut self) -> Option<Box<dyn Any>> {
        Some(Box::new(Full::new(&self.state)))
    }
}

/// Changes one byte of an image's layer.
fn damage(device: &Device, image: &serde_json::Value) {
    let blob = |digest: &str| device.layout.folder.join("blobs").join(digest.replace(':', "/"));
    let manifest = fs::read(blob(image["digest"].as_str().expect("digest"))).expect("manifest");
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).expect("json");
    let layer = blob(manifest["layers"][0]["digest"].as_str().expect("digest"));
    let mut content = fs::read(&layer).expect("layer");
    let last = content.len() - 3000;
    content[last] ^= 1;
    fs::write(layer, content).expect("damage");
}

#[test]
fn containers_conform_in_process() {
    needs_root!();
    run(&mut || Container::boxed(true));
}

#[test]
fn containers_conform_through_the_process_border() {
    needs_root!();
    run(&mut || Container::boxed(false));
}
