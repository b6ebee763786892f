//! OSTree repositories and sysroots, made by the `ostree` command.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::process;

/// The branch that commits are made on.
pub const BRANCH: &str = "stable";
/// Name of the OS in a sysroot.
pub const OS_NAME: &str = "demo";
const KERNEL: &str = "6.1.0-demo";

/// A repository as an update server has it.
#[derive(Debug)]
pub struct Repository {
    folder: TempDir,
}

impl Repository {
    /// An empty one.
    pub fn create() -> Result<Self> {
        let folder = tempfile::tempdir().context("cannot make a folder")?;
        let repository = Self { folder };
        ostree(&["init", "--mode=archive", &repository.option()?])?;
        Ok(repository)
    }

    /// The folder that an HTTP server serves; the repository is in `repo` below it.
    #[must_use]
    pub fn web_root(&self) -> &Path {
        self.folder.path()
    }

    /// The repository itself.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("repo")
    }

    fn option(&self) -> Result<String> {
        Ok(format!("--repo={}", text(&self.path())?))
    }

    /// Commits a small OS of this version and gives the checksum. `extra` adds files: path and content.
    pub fn commit(&self, version: &str, extra: &[(&str, &[u8])]) -> Result<String> {
        let tree = tempfile::tempdir().context("cannot make a folder")?;
        let release =
            format!("NAME=Demo\nID=demo\nPRETTY_NAME=\"Demo OS {version}\"\nVERSION_ID={version}\n");
        let modules = format!("usr/lib/modules/{KERNEL}");
        let (kernel, initramfs) = (format!("{modules}/vmlinuz"), format!("{modules}/initramfs.img"));
        let kernel_bytes = format!("kernel of {version}");
        let mut files: Vec<(&str, &[u8])> = vec![
            ("usr/lib/os-release", release.as_bytes()),
            ("usr/etc/demo.conf", b"from = the image\n"),
            (&kernel, kernel_bytes.as_bytes()),
            (&initramfs, b"initramfs"),
        ];
        files.extend(extra);
        for (path, content) in files {
            let path = tree.path().join(path);
            let parent = path.parent().context("a file needs a folder")?;
            std::fs::create_dir_all(parent).context("cannot make a folder")?;
            std::fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))?;
        }
        let tree_option = format!("--tree=dir={}", text(tree.path())?);
        let version_option = format!("--add-metadata-string=version={version}");
        let mut line = vec!["commit", "--branch", BRANCH, "--owner-uid=0", "--owner-gid=0", "--no-xattrs"];
        let repository = self.option()?;
        line.extend([tree_option.as_str(), &version_option, "--subject=test", &repository]);
        let checksum = ostree(&line)?.trim().to_owned();
        ostree(&["summary", "--update", &repository])?;
        Ok(checksum)
    }
}

/// A sysroot: what an OSTree device has on its root file system.
#[derive(Debug)]
pub struct Sysroot {
    path: PathBuf,
}

impl Sysroot {
    /// One at `path` in which a commit of the repository is deployed, with kernel arguments to recognise.
    pub fn create(path: &Path, repository: &Repository, commit: &str) -> Result<Self> {
        std::fs::create_dir_all(path).context("cannot make the sysroot")?;
        let sysroot = format!("--sysroot={}", text(path)?);
        let inner = format!("--repo={}", text(&path.join("ostree/repo"))?);
        ostree(&["admin", "init-fs", "--modern", text(path)?])?;
        ostree(&["admin", "os-init", OS_NAME, &sysroot])?;
        // Which boot loader there is cannot be found out in a folder.
        ostree(&["config", "set", "sysroot.bootloader", "none", &inner])?;
        // A test's disk is small; the margin is meant for real ones.
        ostree(&["config", "set", "core.min-free-space-percent", "0", &inner])?;
        ostree(&["pull-local", &inner, text(&repository.path())?, commit])?;
        ostree(&["refs", &inner, "--create", BRANCH, commit])?;
        let os = format!("--os={OS_NAME}");
        let deploy = ["admin", "deploy", &sysroot, &os, "--karg=rw", "--karg=root=LABEL=demo", BRANCH];
        ostree(&deploy)?;
        Ok(Self { path: path.to_owned() })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The boot loader entries, the default first, each with its whole text.
    pub fn entries(&self) -> Result<Vec<String>> {
        entries(&self.path)
    }

    /// What `ostree admin status` says.
    pub fn status(&self) -> Result<String> {
        ostree(&["admin", "status", &format!("--sysroot={}", text(&self.path)?)])
    }

    /// A file of the deployment of a commit.
    #[must_use]
    pub fn deployed(&self, commit: &str, file: &str) -> PathBuf {
        self.path.join("ostree/deploy").join(OS_NAME).join("deploy").join(format!("{commit}.0")).join(file)
    }
}

impl Drop for Sysroot {
    fn drop(&mut self) {
        // Deployments are immutable, and whoever removes the folder does not know.
        let _ = process::run(
            Command::new("chattr").args(["-R", "-f", "-i"]).arg(self.path.join("ostree/deploy")),
        );
    }
}

/// The boot loader entries of a sysroot, the default first.
pub fn entries(sysroot: &Path) -> Result<Vec<String>> {
    let folder = sysroot.join("boot/loader/entries");
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
        names.push(entry.context("cannot read the entries")?.path());
    }
    // ostree-2-… boots before ostree-1-….
    names.sort();
    names.reverse();
    names
        .iter()
        .map(|p| std::fs::read_to_string(p).with_context(|| format!("cannot read {}", p.display())))
        .collect()
}

fn ostree(args: &[&str]) -> Result<String> {
    // Without a booted OSTree there is nothing to protect from writing, and folders must go away again.
    process::output(Command::new("ostree").args(args).env("OSTREE_SYSROOT_DEBUG", "mutable-deployments"))
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().with_context(|| format!("the path {} is not UTF-8", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_is_served_over_http() {
        let repository = Repository::create().unwrap();
        let commit = repository.commit("1", &[]).unwrap();
        let server = crate::http::Server::start(repository.web_root()).unwrap();
        let other = tempfile::tempdir().unwrap();
        let repo = format!("--repo={}", other.path().display());
        ostree(&["init", "--mode=archive", &repo]).unwrap();
        let url = format!("{}/repo", server.url());
        ostree(&["remote", "add", &repo, "--no-sign-verify", "--no-gpg-verify", "origin", &url]).unwrap();
        ostree(&["pull", &repo, "origin", &commit]).unwrap();
        assert_eq!(ostree(&["cat", &repo, &commit, "/usr/etc/demo.conf"]).unwrap(), "from = the image\n");
    }

    #[test]
    fn a_sysroot_boots_the_commit() {
        if !crate::needs_root("a_sysroot_boots_the_commit") {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let repository = Repository::create().unwrap();
        let commit = repository.commit("1", &[]).unwrap();
        let sysroot = Sysroot::create(&folder.path().join("sysroot"), &repository, &commit).unwrap();
        let entries = sysroot.entries().unwrap();
        assert_eq!(entries.len(), 1);
        assert!(entries[0].contains("Demo OS 1") && entries[0].contains("root=LABEL=demo"), "{}", entries[0]);
        assert!(sysroot.deployed(&commit, "usr/lib/os-release").is_file());
        assert!(sysroot.status().unwrap().contains(&commit));
    }
}
