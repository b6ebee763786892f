//! Payload that arrives damaged, short or not at all.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use scomo_tests::image::Compression;
use scomo_tests::needs_root;
use scomo_tests::proxy::Proxy;
use scomo_tests::world::Behaviour;
use serde_json::Value;

use super::harness::Installed;

/// The file in the registry that holds the last layer of a component.
fn layer(installed: &Installed, version: &str, component: &str) -> PathBuf {
    let layout = installed.world.folder().join(format!("images-{version}"));
    let read = |digest: &str| -> Value {
        let path = layout.join("blobs/sha256").join(digest.trim_start_matches("sha256:"));
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
    };
    let index: Value = serde_json::from_slice(&std::fs::read(layout.join("index.json")).unwrap()).unwrap();
    let entries = index["manifests"].as_array().unwrap();
    let named = |e: &&Value| e["annotations"]["org.opencontainers.image.ref.name"] == component;
    let entry = entries.iter().find(named).unwrap();
    let manifest = read(entry["digest"].as_str().unwrap());
    let digest =
        manifest["layers"].as_array().unwrap().last().unwrap()["digest"].as_str().unwrap().to_owned();
    installed.world.registry().blob(&digest)
}

#[test]
fn a_truncated_layer_is_refused() {
    if !needs_root("a_truncated_layer_is_refused") {
        return;
    }
    let installed = Installed::new();
    let v2 = installed.world.publish("2", Behaviour::Good).unwrap();
    let blob = layer(&installed, "2", "web");
    let file = OpenOptions::new().write(true).open(&blob).unwrap();
    file.set_len(file.metadata().unwrap().len() / 2).unwrap();
    installed.install(&v2).fails(10, &["web"]).unwrap();
    installed.is_as_before();
}

#[test]
fn a_layer_with_another_digest_is_refused() {
    if !needs_root("a_layer_with_another_digest_is_refused") {
        return;
    }
    let mut installed = Installed::new();
    // So that the digest is what notices, and nothing before it.
    installed.world.compress(Compression::None);
    let v2 = installed.world.publish("2", Behaviour::Good).unwrap();
    let blob = layer(&installed, "2", "web");
    let file = OpenOptions::new().read(true).write(true).open(&blob).unwrap();
    let last = file.metadata().unwrap().len() - 1;
    let mut byte = [0];
    file.read_exact_at(&mut byte, last).unwrap();
    file.write_all_at(&[!byte[0]], last).unwrap();
    installed.install(&v2).fails(10, &["web"]).unwrap();
    installed.is_as_before();
}

#[test]
fn a_registry_that_goes_away_half_way_is_no_harm() {
    if !needs_root("a_registry_that_goes_away_half_way_is_no_harm") {
        return;
    }
    let mut installed = Installed::new();
    let direct = installed.world.publish("2", Behaviour::Good).unwrap();
    let address = installed.world.registry().address().to_owned();
    let proxy = Proxy::start(&address).unwrap();
    let device = &mut installed.device;
    device.stop_daemon().unwrap();
    device
        .write_config(&format!("[package.registries.\"{}\"]\nplain_http = true\n", proxy.address()))
        .unwrap();
    device.start_daemon().unwrap();
    let v2 = direct.replace(&address, &proxy.address());
    // Enough for the manifests and half of what is new.
    proxy.cut_after(100_000);
    installed.install(&v2).fails(10, &["demo"]).unwrap();
    installed.is_as_before();
    proxy.mend();
    installed.install(&v2).ok().unwrap();
    installed.device.runs("2").unwrap();
}
