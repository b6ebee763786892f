//! A repository as an update server has it.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Server, run};
use tempfile::TempDir;

/// What the names of all branches begin with.
const BRANCH: &str = "demo/stable";
/// Version of the kernel in every tree.
const KERNEL: &str = "6.1.0-demo";
/// Files of its own that each version has: enough for a pull to take some time.
const FILES: usize = 24;

#[derive(Debug)]
pub struct Repository {
    dir: TempDir,
}

impl Repository {
    pub fn new() -> Self {
        let repository = Self { dir: tempfile::tempdir().expect("dir") };
        run("ostree", &["init", "--mode=archive", &repository.option()]);
        // It only has to live as long as the test.
        run("ostree", &["config", "set", "core.fsync", "false", &repository.option()]);
        repository
    }

    /// The folder above the repository, which a server serves.
    pub fn web_root(&self) -> &Path {
        self.dir.path()
    }

    pub fn path(&self) -> PathBuf {
        self.dir.path().join("repo")
    }

    pub fn option(&self) -> String {
        format!("--repo={}", self.path().display())
    }

    /// The source of a branch for a device that has the repository as a folder.
    pub fn local(&self, branch: &str) -> String {
        format!("ostree+file://{}?ref={branch}", self.path().display())
    }

    /// The source of a branch over HTTP.
    pub fn remote(server: &Server, branch: &str) -> String {
        format!("ostree+{}/repo?ref={branch}", server.url())
    }

    /// Commits a small OS on the branch that has the version as its last part, and gives the checksum. `extra` adds
    /// or replaces files.
    pub fn commit(&self, version: &str, extra: &[(&str, &[u8])]) -> String {
        self.commit_with(version, extra, &[])
    }

    /// The same with more options of `ostree commit`.
    pub fn commit_with(&self, version: &str, extra: &[(&str, &[u8])], options: &[&str]) -> String {
        let tree = tempfile::tempdir().expect("tree");
        let modules = format!("usr/lib/modules/{KERNEL}");
        let mut files: Vec<(String, Vec<u8>)> = vec![
            (
                "usr/lib/os-release".to_owned(),
                format!("ID=demo\nVERSION_ID={version}\nPRETTY_NAME=\"Demo {version}\"\n").into(),
            ),
            ("usr/etc/demo.conf".to_owned(), b"from = the image\n".to_vec()),
            ("usr/etc/version.conf".to_owned(), format!("version = {version}\n").into()),
            (format!("{modules}/vmlinuz"), format!("kernel of {version}").into()),
            (format!("{modules}/initramfs.img"), b"initramfs".to_vec()),
            ("usr/bin/tool".to_owned(), b"#!/bin/sh\necho tool\n".to_vec()),
        ];
        for n in 0..FILES {
            // Text that does not compress to nothing, mostly alike between two versions.
            let lines =
                (0..400).map(|line| format!("{n} {line} {:x}\n", (n * 7919 + line * 104_729) % 65_521));
            let text: String = lines.chain([format!("version {version}\n")]).collect();
            files.push((format!("usr/share/demo/file-{n}"), text.into()));
        }
        files.extend(extra.iter().map(|(path, bytes)| ((*path).to_owned(), bytes.to_vec())));
        for (path, bytes) in files {
            let path = tree.path().join(path);
            fs::create_dir_all(path.parent().expect("parent")).expect("folder");
            fs::write(path, bytes).expect("file");
        }
        for name in ["sysroot", "boot", "var", "run", "proc", "sys", "dev", "tmp"] {
            fs::create_dir(tree.path().join(name)).expect("folder");
        }
        for name in ["bin", "sbin", "lib", "lib64"] {
            std::os::unix::fs::symlink(format!("usr/{name}"), tree.path().join(name)).expect("link");
        }
        std::os::unix::fs::symlink("sysroot/ostree", tree.path().join("ostree")).expect("link");
        let args = [
            "commit".to_owned(),
            self.option(),
            format!("--branch={}", Self::branch(version)),
            format!("--tree=dir={}", tree.path().display()),
            format!("--add-metadata-string=version={version}"),
            format!("--subject=Demo OS {version}"),
            "--owner-uid=0".to_owned(),
            "--owner-gid=0".to_owned(),
            "--no-xattrs".to_owned(),
        ];
        let args: Vec<&str> = args.iter().map(String::as_str).chain(options.iter().copied()).collect();
        let commit = run("ostree", &args).trim().to_owned();
        self.summary();
        commit
    }

    /// The branch of a version.
    pub fn branch(version: &str) -> String {
        format!("{BRANCH}-{version}")
    }

    pub fn summary(&self) {
        run("ostree", &["summary", "--update", &self.option()]);
    }

    /// Makes a static delta; without `from` one from nothing.
    pub fn delta(&self, from: Option<&str>, to: &str) {
        let from = from.map_or_else(|| "--empty".to_owned(), |from| format!("--from={from}"));
        run("ostree", &["static-delta", "generate", &self.option(), &from, &format!("--to={to}")]);
        self.summary();
    }

    /// Replaces the content of one file of a commit by something else, which breaks its checksum.
    pub fn damage(&self, commit: &str, file: &str) {
        let checksum = |file: &str| {
            let line = run("ostree", &["ls", "-C", &self.option(), commit, &format!("/{file}")]);
            line.split_whitespace().find(|word| word.len() == 64).expect("checksum").to_owned()
        };
        let object = |c: &str| self.path().join("objects").join(&c[..2]).join(format!("{}.filez", &c[2..]));
        fs::copy(object(&checksum("usr/bin/tool")), object(&checksum(file))).expect("damage");
    }
}
