//! OCI images made here, layer by layer, with our own code: what a test wants to damage it must be able to build.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// Where Debian's busybox-static is.
const BUSYBOX: &str = "/bin/busybox";
/// The commands that the images offer.
const APPLETS: [&str; 12] =
    ["sh", "sleep", "cat", "echo", "test", "ls", "rm", "touch", "true", "false", "id", "date"];

/// How the bytes of a layer are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip, level 6 as most builders do.
    Gzip,
    /// zstd, level 3 as most builders do.
    Zstd,
}

impl Compression {
    /// What a report calls it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }

    fn media_type(self) -> &'static str {
        match self {
            Self::None => "application/vnd.oci.image.layer.v1.tar",
            Self::Gzip => "application/vnd.oci.image.layer.v1.tar+gzip",
            Self::Zstd => "application/vnd.oci.image.layer.v1.tar+zstd",
        }
    }
}

/// An OCI image layout that grows.
#[derive(Debug)]
pub struct Layout {
    root: PathBuf,
    manifests: Vec<Value>,
}

/// A layer in a layout.
#[derive(Debug, Clone)]
pub struct Layer {
    /// Descriptor for the manifest.
    pub descriptor: Value,
    /// Digest of the uncompressed bytes.
    pub diff_id: String,
}

impl Layout {
    /// An empty one at `root`.
    pub fn create(root: &Path) -> Result<Self> {
        std::fs::create_dir_all(root.join("blobs/sha256")).context("cannot make the layout")?;
        std::fs::write(root.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)
            .context("cannot write oci-layout")?;
        Ok(Self { root: root.to_owned(), manifests: Vec::new() })
    }

    /// Where it is.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Adds a blob and gives its descriptor.
    pub fn blob(&self, media_type: &str, bytes: &[u8]) -> Result<Value> {
        let digest = hex(&Sha256::digest(bytes));
        std::fs::write(self.root.join("blobs/sha256").join(&digest), bytes).context("cannot write a blob")?;
        Ok(json!({"mediaType": media_type, "digest": format!("sha256:{digest}"), "size": bytes.len()}))
    }

    /// Adds a layer whose archive `fill` writes, without holding it in memory.
    pub fn layer(
        &self,
        compression: Compression,
        fill: impl FnOnce(&mut Archive<'_>) -> Result<()>,
    ) -> Result<Layer> {
        let blobs = self.root.join("blobs/sha256");
        let partial = blobs.join("partial");
        let file = File::create(&partial).context("cannot create a blob")?;
        let mut sink = Sink::new(BufWriter::new(file), compression)?;
        {
            let out: &mut dyn Write = &mut sink;
            let mut archive = Archive { raw: tar::Builder::new(out), time: 0 };
            fill(&mut archive)?;
            archive.raw.finish().context("cannot end the archive")?;
        }
        let (digest, size, diff_id) = sink.finish()?;
        std::fs::rename(&partial, blobs.join(&digest)).context("cannot name a blob")?;
        let descriptor = json!({"mediaType": compression.media_type(), "digest": format!("sha256:{digest}"), "size": size});
        Ok(Layer { descriptor, diff_id: format!("sha256:{diff_id}") })
    }

    /// Adds an image of these layers under `reference`; `run` is the `config` member of its configuration. Gives the
    /// digest of its manifest.
    pub fn image(&mut self, reference: &str, layers: &[Layer], run: &Value) -> Result<String> {
        let diff_ids: Vec<&str> = layers.iter().map(|layer| layer.diff_id.as_str()).collect();
        let config = json!({
            "architecture": architecture(),
            "os": "linux",
            "config": run,
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        });
        let config = self.blob("application/vnd.oci.image.config.v1+json", config.to_string().as_bytes())?;
        let descriptors: Vec<&Value> = layers.iter().map(|layer| &layer.descriptor).collect();
        let media_type = "application/vnd.oci.image.manifest.v1+json";
        let manifest =
            json!({"schemaVersion": 2, "mediaType": media_type, "config": config, "layers": descriptors});
        let mut entry = self.blob(media_type, manifest.to_string().as_bytes())?;
        let digest = entry.get("digest").and_then(Value::as_str).unwrap_or_default().to_owned();
        if let Some(entry) = entry.as_object_mut() {
            entry.insert("annotations".to_owned(), json!({"org.opencontainers.image.ref.name": reference}));
        }
        self.manifests.push(entry);
        let index = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": self.manifests});
        std::fs::write(self.root.join("index.json"), index.to_string()).context("cannot write index.json")?;
        Ok(digest)
    }
}

/// The name that images have for the machine we are on.
#[must_use]
pub fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        other => other,
    }
}

/// An image made of busybox and some files, for containers that really run.
#[derive(Debug, Clone, Default)]
pub struct Busybox {
    files: BTreeMap<String, Vec<u8>>,
    command: Vec<String>,
}

impl Busybox {
    /// One that runs `script` in a shell.
    #[must_use]
    pub fn running(script: &str) -> Self {
        let command = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
        Self { files: BTreeMap::new(), command }
    }

    /// Adds a file; `path` is relative to the root of the image.
    #[must_use]
    pub fn file(mut self, path: &str, content: impl Into<Vec<u8>>) -> Self {
        self.files.insert(path.to_owned(), content.into());
        self
    }

    /// Writes it into a layout: one layer with busybox, which all of them share, and one with the files.
    pub fn write(&self, layout: &mut Layout, reference: &str, compression: Compression) -> Result<String> {
        let mut layers = vec![layout.layer(compression, busybox)?];
        if !self.files.is_empty() {
            layers.push(layout.layer(compression, |archive| {
                for (path, content) in &self.files {
                    archive.file(path, content, 0o644)?;
                }
                Ok(())
            })?);
        }
        layout.image(reference, &layers, &json!({"Cmd": self.command, "Env": ["PATH=/bin"]}))
    }
}

/// The layer that all of them share.
fn busybox(archive: &mut Archive<'_>) -> Result<()> {
    for folder in ["bin", "tmp", "proc", "sys", "dev", "etc", "data"] {
        archive.folder(folder, if folder == "tmp" { 0o1777 } else { 0o755 })?;
    }
    archive.file("bin/busybox", &busybox_program()?, 0o755)?;
    for applet in APPLETS {
        archive.symlink(&format!("bin/{applet}"), "busybox")?;
    }
    archive.file("etc/passwd", b"root:x:0:0:root:/:/bin/sh\napp:x:1000:1000:app:/:/bin/sh\n", 0o644)?;
    archive.file("etc/group", b"root:x:0:\napp:x:1000:\n", 0o644)
}

/// The bytes of busybox.
pub fn busybox_program() -> Result<Vec<u8>> {
    std::fs::read(BUSYBOX).with_context(|| format!("cannot read {BUSYBOX}"))
}

/// The archive of a layer while it is written.
pub struct Archive<'a> {
    /// For entries that the methods here do not make.
    pub raw: tar::Builder<&'a mut dyn Write>,
    /// Time stamp of what is added, in seconds since the epoch.
    pub time: u64,
}

impl std::fmt::Debug for Archive<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Archive").field("time", &self.time).finish_non_exhaustive()
    }
}

impl Archive<'_> {
    fn header(&self, kind: tar::EntryType, mode: u32, size: usize) -> Result<tar::Header> {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_mtime(self.time);
        header.set_size(u64::try_from(size).context("a file is too large")?);
        Ok(header)
    }

    /// Adds a folder.
    pub fn folder(&mut self, path: &str, mode: u32) -> Result<()> {
        let mut header = self.header(tar::EntryType::Directory, mode, 0)?;
        let added = self.raw.append_data(&mut header, format!("{path}/"), io::empty());
        added.with_context(|| format!("cannot add {path}"))
    }

    /// Adds a file.
    pub fn file(&mut self, path: &str, content: &[u8], mode: u32) -> Result<()> {
        let mut header = self.header(tar::EntryType::Regular, mode, content.len())?;
        self.raw.append_data(&mut header, path, content).with_context(|| format!("cannot add {path}"))
    }

    /// Adds a symbolic link.
    pub fn symlink(&mut self, path: &str, target: &str) -> Result<()> {
        let mut header = self.header(tar::EntryType::Symlink, 0o777, 0)?;
        self.raw.append_link(&mut header, path, target).with_context(|| format!("cannot add {path}"))
    }
}

/// Hashes what goes in, compresses it, hashes what comes out.
struct Sink {
    encoder: Encoder,
    hash: Sha256,
}

enum Encoder {
    None(Hashing),
    Gzip(Box<flate2::write::GzEncoder<Hashing>>),
    Zstd(zstd::Encoder<'static, Hashing>),
}

struct Hashing {
    out: BufWriter<File>,
    hash: Sha256,
    bytes: u64,
}

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write_all(bytes)?;
        self.hash.update(bytes);
        self.bytes = self.bytes.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl Sink {
    fn new(out: BufWriter<File>, compression: Compression) -> Result<Self> {
        let out = Hashing { out, hash: Sha256::new(), bytes: 0 };
        let encoder = match compression {
            Compression::None => Encoder::None(out),
            Compression::Gzip => {
                Encoder::Gzip(Box::new(flate2::write::GzEncoder::new(out, flate2::Compression::new(6))))
            }
            Compression::Zstd => Encoder::Zstd(zstd::Encoder::new(out, 3).context("cannot start zstd")?),
        };
        Ok(Self { encoder, hash: Sha256::new() })
    }

    /// Digest and size of what came out, digest of what went in.
    fn finish(self) -> Result<(String, u64, String)> {
        let mut out = match self.encoder {
            Encoder::None(out) => out,
            Encoder::Gzip(encoder) => encoder.finish().context("cannot end gzip")?,
            Encoder::Zstd(encoder) => encoder.finish().context("cannot end zstd")?,
        };
        out.flush().context("cannot write a blob")?;
        // Blobs are read by registries that run as somebody else.
        out.out
            .get_ref()
            .set_permissions(PermissionsExt::from_mode(0o644))
            .context("cannot open up a blob")?;
        Ok((hex(&out.hash.finalize()), out.bytes, hex(&self.hash.finalize())))
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = match &mut self.encoder {
            Encoder::None(out) => out.write(bytes)?,
            Encoder::Gzip(encoder) => encoder.write(bytes)?,
            Encoder::Zstd(encoder) => encoder.write(bytes)?,
        };
        self.hash.update(bytes.get(..written).unwrap_or_default());
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process;

    #[test]
    fn skopeo_reads_what_we_write() {
        let folder = tempfile::tempdir().unwrap();
        for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
            let root = folder.path().join(compression.name());
            let mut layout = Layout::create(&root).unwrap();
            let image = Busybox::running("exec sleep 1000").file("version", "1");
            let digest = image.write(&mut layout, "v1", compression).unwrap();
            let source = format!("oci:{}:v1", root.display());
            let seen = process::words(&["skopeo", "inspect", &source]).unwrap();
            let seen: Value = serde_json::from_str(&seen).unwrap();
            assert_eq!(seen["Digest"], json!(digest));
            assert_eq!(seen["Layers"].as_array().unwrap().len(), 2);
            let copy = format!("dir:{}", folder.path().join("copy").display());
            // Copying checks every digest.
            process::words(&["skopeo", "copy", "-q", "--insecure-policy", &source, &copy]).unwrap();
        }
    }
}
