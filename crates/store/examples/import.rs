//! Imports an image from an OCI layout into a store and prints what it cost.
//!
//! `import STORE LAYOUT[:NAME] [CHECKOUT]`. A measuring tool: the time is until everything is durable, the memory is the
//! peak of this process, the bytes written are those that the kernel counts for it.

use std::path::Path;
use std::time::Instant;

use anyhow::Context as _;
use scomo_store::{Store, TreeId};

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [root, source, rest @ ..] = arguments.as_slice() else {
        anyhow::bail!("usage: import STORE LAYOUT[:NAME] [CHECKOUT]");
    };
    let config = scomo_package::Config::default();
    let mut payloads = scomo_package::open(&config, &format!("oci:{source}"))?;
    let image = payloads.image(&only_manifest(source)?)?;
    let id = TreeId::from(&image.digest);
    let store = Store::open(Path::new(root))?;

    let start = Instant::now();
    let mut open = |index: usize| -> Result<_, scomo_store::BoxError> {
        let layer = image.layers.get(index).ok_or("no such layer")?;
        Ok(payloads.layer(layer)?)
    };
    let imported = store.import(&image.layers, &mut open, &id, &mut |_| {}, &|| false)?;
    println!("import {:?} in {:.3} s", imported, start.elapsed().as_secs_f64());
    if let [dest] = rest {
        let start = Instant::now();
        store.checkout(&id, Path::new(dest))?;
        println!("checkout in {:.3} s", start.elapsed().as_secs_f64());
    }
    for (file, field) in [("status", "VmHWM"), ("io", "write_bytes")] {
        let text = std::fs::read_to_string(format!("/proc/self/{file}"))?;
        println!("{}", text.lines().find(|line| line.starts_with(field)).unwrap_or_default());
    }
    Ok(())
}

/// Digest of the first manifest in the layout's index that has the name, or of the first.
fn only_manifest(source: &str) -> anyhow::Result<scomo_core::id::Digest> {
    let (path, name) = source.rsplit_once(':').map_or((source, None), |(path, name)| (path, Some(name)));
    let text = std::fs::read_to_string(Path::new(path).join("index.json"))?;
    let index: serde_json::Value = serde_json::from_str(&text)?;
    let manifests = index.get("manifests").and_then(|m| m.as_array()).context("no manifests")?;
    let matches = |manifest: &&serde_json::Value| {
        let tag = manifest.pointer("/annotations/org.opencontainers.image.ref.name").and_then(|n| n.as_str());
        name.is_none() || tag == name
    };
    let manifest = manifests.iter().find(matches).context("no such name")?;
    let digest = manifest.get("digest").and_then(|d| d.as_str()).context("no digest")?;
    Ok(scomo_core::id::Digest::new(digest)?)
}
