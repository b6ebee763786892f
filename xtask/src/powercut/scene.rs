//! What is recorded: the first install on a new device, and the update from version 1 of a package to version 2.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use scomo_tests::device::{Builder, Device};
use scomo_tests::disk::Disk;
use scomo_tests::image::{Busybox, Compression, Layout};
use scomo_tests::keys::KeyPair;
use scomo_tests::package::Recipe;
use scomo_tests::process;
use serde_json::json;
use tempfile::TempDir;

use super::check::{Reference, Verdict};
use super::recorder::{Event, Recorder};

/// The component.
pub const COMPONENT: &str = "app";
const VERSIONS: [&str; 2] = ["1", "2"];
/// Bytes of the disk: busybox, two versions and a journal.
const DISK_BYTES: usize = 32 << 20;
/// Small files of each version, of which half differ from the other one's.
const FILES: usize = 24;

/// A folder with keys, packages and the place of the device.
#[derive(Debug)]
pub struct Scene {
    folder: TempDir,
    key: KeyPair,
    sources: Vec<String>,
}

/// What is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// Version 1 on a new device, from the first start of the daemon.
    Install,
    /// The update from version 1.
    Update,
    /// The same, with everything before it made durable: for a device whose own syncs do nothing.
    SyncedUpdate,
}

/// What a recording gives.
#[derive(Debug)]
pub struct Take {
    /// The disk before everything.
    pub base: Vec<u8>,
    /// What happened to it.
    pub events: Vec<Event>,
    /// How the releases look when they are whole.
    pub reference: Reference,
}

impl Scene {
    /// Builds and signs both versions.
    pub fn prepare() -> Result<Self> {
        let folder =
            tempfile::Builder::new().prefix("scomo-powercut-").tempdir().context("cannot make a folder")?;
        let key = KeyPair::p256(folder.path(), "factory")?;
        let mut sources = Vec::new();
        for version in VERSIONS {
            let images = folder.path().join(format!("images-{version}"));
            let mut layout = Layout::create(&images)?;
            image(version).write(&mut layout, COMPONENT, Compression::Gzip)?;
            let source = format!("oci:{}:{COMPONENT}", images.display());
            let health = json!({"health": {"command": ["/bin/test", "-e", "/tmp/healthy"], "windowS": 1, "intervalS": 1,
                "timeoutS": 5, "retries": 1}});
            let recipe = Recipe::new("com.example.powercut", version).container(COMPONENT, &source, &health);
            let built = recipe.build(&folder.path().join(format!("package-{version}")))?;
            built.sign(&key)?;
            sources.push(built.source);
        }
        std::fs::create_dir_all(folder.path().join("device/state")).context("cannot make a folder")?;
        Ok(Self { folder, key, sources })
    }

    /// The folder for whatever else is needed.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where the disk of the device is mounted.
    pub fn state(&self) -> PathBuf {
        self.folder.path().join("device/state")
    }

    /// The device, whose durable data are what is mounted at [`Scene::state`].
    pub fn device(&self) -> Builder {
        Device::builder().trust("factory", &self.key).folder(&self.folder.path().join("device"))
    }

    /// Records it on a new disk.
    pub fn record(&self, subject: Subject) -> Result<Take> {
        let blank = self.folder.path().join("blank.img");
        std::fs::write(&blank, vec![0; DISK_BYTES]).context("cannot write a disk")?;
        let options = "lazy_itable_init=0,lazy_journal_init=0,nodiscard";
        let path = blank.to_str().context("the path of the disk is not UTF-8")?;
        process::words(&[
            "mkfs.ext4",
            "-q",
            "-F",
            "-b",
            "4096",
            "-m",
            "0",
            "-J",
            "size=4",
            "-E",
            options,
            path,
        ])?;
        let base = std::fs::read(&blank).context("cannot read the empty disk")?;
        let recorder = Recorder::start(&self.folder.path().join("recorder"), base.clone())?;
        let disk = Disk::mount(recorder.file(), &self.state(), "noauto_da_alloc")?;
        let [first, second] = VERSIONS;
        let mut reference = match subject {
            Subject::Install => Reference::new(None, first),
            Subject::Update | Subject::SyncedUpdate => Reference::new(Some(first), second),
        };
        self.perform(subject, &recorder, &disk, &mut reference)?;
        drop(disk);
        let events = recorder.finish()?;
        Ok(Take { base, events, reference })
    }

    fn perform(
        &self,
        subject: Subject,
        recorder: &Recorder,
        disk: &Disk,
        reference: &mut Reference,
    ) -> Result<()> {
        if subject == Subject::Install {
            recorder.mark(Event::Started);
        }
        let mut device = self.device().start()?;
        for (version, source) in VERSIONS.iter().zip(&self.sources) {
            if subject == Subject::SyncedUpdate {
                disk.sync()?;
            }
            let last = reference.version(Verdict::New) == Some(version);
            if last && subject != Subject::Install {
                recorder.mark(Event::Started);
            }
            device
                .ctl(&["install", "--pkg-id", "powercut", source])?
                .ok()
                .with_context(|| device.daemon_log())?;
            if last {
                recorder.mark(Event::Reported);
            }
            device.wait_idle()?;
            runs(&device, version)?;
            reference.learn(&self.state(), version)?;
            if last {
                break;
            }
        }
        device.power_off()
    }
}

/// An error unless the component is active in this version and really runs.
fn runs(device: &Device, version: &str) -> Result<()> {
    let active = device.active_version(COMPONENT)?;
    ensure!(active.as_deref() == Some(version), "version {version} must be active, it is {active:?}");
    let running = device.running()?;
    ensure!(running == [format!("{COMPONENT} {version}")], "version {version} must run, it is {running:?}");
    Ok(())
}

fn image(version: &str) -> Busybox {
    let mut image = Busybox::running("touch /tmp/healthy; exec sleep 1000000")
        .file("version", version)
        .file("name", COMPONENT)
        .file("data/large", version.repeat(300_000));
    for number in 0..FILES {
        let text =
            if number % 2 == 0 { format!("file {number}") } else { format!("file {number} of {version}") };
        image = image.file(&format!("data/{number}"), text.repeat(number * 40));
    }
    image
}
