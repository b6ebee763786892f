//! What is on a device: processes, mounts, files.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::Device;

/// Everything that an update may leave behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftovers {
    /// Names of the processes of the device, without its first one.
    pub processes: Vec<String>,
    /// Mount points below the folder of the device.
    pub mounts: BTreeSet<PathBuf>,
    /// Files and folders of the state and volatile folders, without those that belong to the daemon.
    pub files: BTreeSet<PathBuf>,
}

impl Device {
    /// Looks at everything that an update may leave behind.
    pub fn leftovers(&self) -> Result<Leftovers> {
        Ok(Leftovers { processes: self.processes()?, mounts: self.mounts()?, files: self.files()? })
    }

    /// Command lines of the processes that run on the device, sorted. The daemon and the first process are left out.
    pub fn processes(&self) -> Result<Vec<String>> {
        let ours = namespace_of(self.namespace.init())?;
        let daemon = self.daemon_id().ok();
        let mut found = Vec::new();
        for entry in std::fs::read_dir("/proc").context("cannot read /proc")? {
            let name = entry.context("cannot read /proc")?.file_name();
            let Some(id) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
            if id == self.namespace.init() || Some(id) == daemon {
                continue;
            }
            // A process may end while we look. Containers have namespaces inside of ours, so parents count too.
            if namespace_of(id).is_ok_and(|namespace| namespace == ours) {
                let line = std::fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
                let line = String::from_utf8_lossy(&line).replace('\0', " ").trim().to_owned();
                // The first process of the device sleeps; zombies have no command line.
                if !line.is_empty() && line != "sleep 3600" {
                    found.push(line);
                }
            }
        }
        found.sort();
        Ok(found)
    }

    /// Mount points of the device below its folder, without those that it always has.
    pub fn mounts(&self) -> Result<BTreeSet<PathBuf>> {
        let path = format!("/proc/{}/mountinfo", self.namespace.init());
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        let points = text.lines().filter_map(|line| line.split(' ').nth(4)).map(PathBuf::from);
        let own = [self.root.join("run"), self.root.join("state")];
        Ok(points.filter(|point| point.starts_with(&self.root) && !own.contains(point)).collect())
    }

    /// Every path below the state and volatile folders.
    pub fn files(&self) -> Result<BTreeSet<PathBuf>> {
        let mut found = BTreeSet::new();
        for folder in ["state", "run"] {
            let root = self.path(folder);
            walk(&root, &mut |path| {
                if let Ok(inside) = path.strip_prefix(&root) {
                    found.insert(Path::new(folder).join(inside));
                }
            })?;
        }
        Ok(found)
    }
}

fn namespace_of(id: u32) -> Result<PathBuf> {
    std::fs::read_link(format!("/proc/{id}/ns/pid")).with_context(|| format!("cannot look at process {id}"))
}

fn walk(folder: &Path, see: &mut dyn FnMut(&Path)) -> Result<()> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        // Folders may go while we look.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", folder.display())),
    };
    for entry in entries {
        let Ok(entry) = entry else { continue };
        let path = entry.path();
        see(&path);
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            walk(&path, see)?;
        }
    }
    Ok(())
}
