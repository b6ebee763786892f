//! A disk in a file: ext4 on a loop device, mounted where only the calling thread and what it starts see it.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use nix::mount::{MntFlags, MsFlags};
use nix::sched::CloneFlags;

use crate::process;

/// Gives the calling thread mounts of its own. They go away with the last process that sees them.
pub fn private_mounts() -> Result<()> {
    nix::sched::unshare(CloneFlags::CLONE_NEWNS).context("cannot get a mount namespace; it takes root")?;
    let flags = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    nix::mount::mount(None::<&str>, "/", None::<&str>, flags, None::<&str>)
        .context("cannot make mounts private")
}

/// A mounted disk. The caller has [`private_mounts`].
#[derive(Debug)]
pub struct Disk {
    image: PathBuf,
    folder: PathBuf,
    device: String,
}

impl Disk {
    /// Makes a disk of `megabytes` in the file `image` and mounts it at `folder`, which is created.
    pub fn create(image: &Path, folder: &Path, megabytes: u64) -> Result<Self> {
        let bytes = megabytes.checked_mul(1 << 20).context("the disk is too large")?;
        let file = File::create(image).with_context(|| format!("cannot create {}", image.display()))?;
        file.set_len(bytes).context("cannot size the disk")?;
        let image_text = image.to_str().context("the path of the disk is not UTF-8")?;
        // Lazy initialisation would write in the background while something is measured.
        let options = "lazy_itable_init=0,lazy_journal_init=0";
        process::words(&["mkfs.ext4", "-q", "-F", "-b", "4096", "-m", "0", "-E", options, image_text])?;
        Self::mount(image, folder, "")
    }

    /// Mounts an image that exists.
    pub fn mount(image: &Path, folder: &Path, options: &str) -> Result<Self> {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let image_text = image.to_str().context("the path of the disk is not UTF-8")?;
        let folder_text = folder.to_str().context("the path of the mount is not UTF-8")?;
        let options = format!("loop{}{options}", if options.is_empty() { "" } else { "," });
        process::words(&["mount", "-t", "ext4", "-o", &options, image_text, folder_text])?;
        let device = process::words(&["findmnt", "-n", "-o", "SOURCE", folder_text])?.trim().to_owned();
        Ok(Self { image: image.to_owned(), folder: folder.to_owned(), device })
    }

    /// Where it is mounted.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The file that holds it.
    #[must_use]
    pub fn image(&self) -> &Path {
        &self.image
    }

    /// Bytes that were written to the device since it was attached. Call `sync` first.
    pub fn bytes_written(&self) -> Result<u64> {
        let name = self.device.trim_start_matches("/dev/");
        let path = format!("/sys/block/{name}/stat");
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        // The seventh number counts sectors of 512 bytes, whatever the device has.
        let sectors = text.split_whitespace().nth(6).with_context(|| format!("{path} is too short"))?;
        let sectors: u64 = sectors.parse().with_context(|| format!("{path} holds no number"))?;
        Ok(sectors.saturating_mul(512))
    }

    /// Bytes in use.
    pub fn bytes_used(&self) -> Result<u64> {
        let stat = nix::sys::statvfs::statvfs(&self.folder).context("cannot ask for the free space")?;
        let blocks = stat.blocks().saturating_sub(stat.blocks_free());
        Ok(blocks.saturating_mul(stat.fragment_size()))
    }

    /// Bytes that can still be used.
    pub fn bytes_free(&self) -> Result<u64> {
        let stat = nix::sys::statvfs::statvfs(&self.folder).context("cannot ask for the free space")?;
        Ok(stat.blocks_available().saturating_mul(stat.fragment_size()))
    }

    /// Writes everything to the device.
    pub fn sync(&self) -> Result<()> {
        let folder = File::open(&self.folder).context("cannot open the disk")?;
        nix::unistd::syncfs(folder).context("cannot sync the disk")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Whatever still uses it keeps it until it ends; the loop device goes with the last user.
        let _ = nix::mount::umount2(&self.folder, MntFlags::MNT_DETACH);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_counts_what_is_written() {
        if !crate::needs_root("a_disk_counts_what_is_written") {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        private_mounts().unwrap();
        let disk = Disk::create(&folder.path().join("image"), &folder.path().join("disk"), 32).unwrap();
        disk.sync().unwrap();
        let (written, used) = (disk.bytes_written().unwrap(), disk.bytes_used().unwrap());
        std::fs::write(disk.folder().join("x"), vec![1; 4 << 20]).unwrap();
        disk.sync().unwrap();
        let grown = disk.bytes_written().unwrap() - written;
        assert!((4 << 20..5 << 20).contains(&grown), "{grown}");
        assert_eq!(disk.bytes_used().unwrap() - used, 4 << 20);
        assert!(disk.bytes_free().unwrap() > 0);
    }
}
