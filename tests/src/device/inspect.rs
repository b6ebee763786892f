//! What is on a device: processes, mounts, files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::{Device, namespace};

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
        let mut found = Vec::new();
        for id in self.process_ids()? {
            let line = std::fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).replace('\0', " ").trim().to_owned();
            // The first process of the device sleeps; what has ended has no command line.
            if !line.is_empty() && line != "sleep 3600" {
                found.push(line);
            }
        }
        found.sort();
        Ok(found)
    }

    /// Host ids of the processes of the device, those in containers too. The daemon and the first process are left out.
    pub fn process_ids(&self) -> Result<Vec<u32>> {
        let init = self.namespace.init();
        let daemon = self.daemon_id().ok();
        let ids = namespace::all_processes()?;
        let parents: BTreeMap<u32, u32> =
            ids.iter().filter_map(|id| Some((*id, namespace::parent_of(*id)?))).collect();
        let below = |id: u32| {
            // A container's processes are descendants of its supervisor, which the first process inherited.
            std::iter::successors(Some(id), |id| parents.get(id).copied())
                .any(|id| id == init || Some(id) == daemon)
        };
        Ok(ids.into_iter().filter(|id| *id != init && Some(*id) != daemon && below(*id)).collect())
    }

    /// Mount points of the device below its folder, without those that it always has.
    pub fn mounts(&self) -> Result<BTreeSet<PathBuf>> {
        let path = format!("/proc/{}/mountinfo", self.namespace.init());
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        let points = text.lines().filter_map(|line| line.split(' ').nth(4)).map(PathBuf::from);
        let own = [self.root.join("run"), self.root.join("state")];
        Ok(points.filter(|point| point.starts_with(&self.root) && !own.contains(point)).collect())
    }

    /// Every path below the state and volatile folders that should not differ before and after a failed update. Logs,
    /// scratch layers and the log of the database are left out: they change while nothing happens.
    pub fn files(&self) -> Result<BTreeSet<PathBuf>> {
        let mut found = BTreeSet::new();
        for folder in ["state", "run"] {
            let root = self.path(folder);
            walk(&root, &mut |path| {
                let Ok(inside) = path.strip_prefix(&root) else { return };
                // Folders that objects are sorted into stay.
                let sorted = ["containers/store/objects", "file-sets/store/objects"];
                if sorted.iter().any(|objects| inside.starts_with(objects)) && path.is_dir() {
                    return;
                }
                let changes = ["containers/logs", "containers/scratch", "facts.db-"];
                if !changes.iter().any(|start| inside.to_string_lossy().starts_with(start)) {
                    found.insert(Path::new(folder).join(inside));
                }
            })?;
        }
        Ok(found)
    }
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
