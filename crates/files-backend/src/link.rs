//! One symbolic link: read, replaced atomically, removed; each change is durable when the call returns.

use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags, openat, readlinkat, renameat, symlinkat, unlinkat};
use rustix::io::Errno;
use scomo_core::id::ComponentId;
use scomo_store::files::Context;

use crate::config::is_plain;
use crate::error::Error;

/// Longest name of a link in bytes: with what is added for the new one it stays below the 255 of file names.
const NAME_BYTES_MAX: usize = 200;
const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// A place for a link: an open folder, and a name in it.
#[derive(Debug)]
pub(crate) struct Link {
    folder: OwnedFd,
    name: OsString,
    path: PathBuf,
}

/// What is at the place of a link.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Nothing,
    Target(PathBuf),
    /// A file or a folder.
    Other,
}

impl Link {
    /// A place in a folder of ours or one that was checked before; `None`: the folder is not there.
    pub(crate) fn at(path: &Path) -> Result<Option<Self>, Error> {
        let (parent, name) = split(path);
        match rustix::fs::open(parent, FOLDER, Mode::empty()) {
            Ok(folder) => Ok(Some(Self { folder, name, path: path.to_owned() })),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(error) => Ok(Err(error).context("open", parent)?),
        }
    }

    /// The place that a package asks for: strictly below one of the `allowed` folders, and on the way from there no
    /// link is followed, as that could be one into another component's files.
    pub(crate) fn wanted(component: &ComponentId, path: &str, allowed: &[PathBuf]) -> Result<Self, Error> {
        let refused = |reason| Error::Path { component: component.clone(), path: path.to_owned(), reason };
        let full = Path::new(path);
        if !is_plain(full) || path.contains('\0') {
            return Err(refused("it must be an absolute path without '..' or an empty name"));
        }
        let (parent, name) = split(full);
        if name.len() > NAME_BYTES_MAX {
            return Err(refused("its name is too long"));
        }
        let base = allowed.iter().find(|base| parent.starts_with(base)).ok_or_else(|| Error::NotAllowed {
            component: component.clone(),
            what: format!("to have a link at '{path}'"),
            option: "files.allowed_links",
        })?;
        let opened = |result| match result {
            Ok(folder) => Ok(folder),
            Err(Errno::NOENT) => Err(refused("its folder is not there; create it")),
            Err(Errno::LOOP | Errno::NOTDIR) => Err(refused("a link or file stands where a folder must be")),
            Err(error) => Ok(Err(error).context("open", parent)?),
        };
        let mut folder = opened(rustix::fs::open(base, FOLDER, Mode::empty()))?;
        for part in parent.strip_prefix(base).unwrap_or(Path::new("")) {
            folder = opened(openat(&folder, part, FOLDER | OFlags::NOFOLLOW, Mode::empty()))?;
        }
        Ok(Self { folder, name, path: full.to_owned() })
    }

    /// Its whole path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What is there now.
    pub(crate) fn found(&self) -> Result<Found, Error> {
        match readlinkat(&self.folder, &self.name, Vec::new()) {
            Ok(target) => Ok(Found::Target(OsString::from_vec(target.into_bytes()).into())),
            Err(Errno::NOENT) => Ok(Found::Nothing),
            Err(Errno::INVAL) => Ok(Found::Other),
            Err(error) => Ok(Err(error).context("read the link", &self.path)?),
        }
    }

    /// Makes it point to `target`. Whoever looks sees the old link or the new one.
    pub(crate) fn point_to(&self, target: &Path) -> Result<(), Error> {
        let new = new_name(&self.name);
        // A killed worker may have left it.
        self.unlink(&new)?;
        symlinkat(target, &self.folder, &new).context("create the new link beside", &self.path)?;
        let renamed = renameat(&self.folder, &new, &self.folder, &self.name);
        if renamed.is_err() {
            self.unlink(&new)?;
        }
        renamed.context("replace the link", &self.path)?;
        self.sync()
    }

    /// Removes it, and what a killed replacement left beside it.
    pub(crate) fn remove(&self) -> Result<(), Error> {
        self.unlink(&self.name)?;
        self.unlink(&new_name(&self.name))?;
        self.sync()
    }

    fn unlink(&self, name: &OsStr) -> Result<(), Error> {
        match unlinkat(&self.folder, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Ok(Err(error).context("remove the link", &self.path)?),
        }
    }

    fn sync(&self) -> Result<(), Error> {
        Ok(rustix::fs::fsync(&self.folder).context("sync the folder of", &self.path)?)
    }
}

/// The name of a link that is about to replace the one called `name`.
fn new_name(name: &OsStr) -> OsString {
    let mut new = OsString::from(".");
    new.push(name);
    new.push(".scomo-new");
    new
}

fn split(path: &Path) -> (&Path, OsString) {
    (path.parent().unwrap_or(Path::new("/")), path.file_name().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn wanted(path: &Path, allowed: &[PathBuf]) -> Result<Link, Error> {
        Link::wanted(&ComponentId::new("web").expect("id"), path.to_str().expect("text"), allowed)
    }

    #[test]
    fn a_link_is_replaced_and_removed() {
        let dir = tempfile::tempdir().expect("dir");
        let link = Link::at(&dir.path().join("link")).expect("open").expect("a folder");
        assert_eq!(link.found().expect("look"), Found::Nothing);
        // What a killed worker may have left.
        symlink("/half", dir.path().join(".link.scomo-new")).expect("leftover");
        for target in ["/a", "/b", "/b"] {
            link.point_to(Path::new(target)).expect("replace");
            assert_eq!(link.found().expect("look"), Found::Target(target.into()));
            assert_eq!(fs::read_dir(dir.path()).expect("list").count(), 1);
        }
        link.remove().expect("remove");
        link.remove().expect("remove what is not there");
        assert_eq!(fs::read_dir(dir.path()).expect("list").count(), 0);
        assert!(Link::at(Path::new("/nonexistent/link")).expect("no error").is_none());
    }

    #[test]
    fn what_is_no_link_is_told_apart() {
        let dir = tempfile::tempdir().expect("dir");
        fs::write(dir.path().join("file"), "").expect("file");
        let link = Link::at(&dir.path().join("file")).expect("open").expect("a folder");
        assert_eq!(link.found().expect("look"), Found::Other);
    }

    #[test]
    fn links_are_below_allowed_folders_only() {
        let dir = tempfile::tempdir().expect("dir");
        let root = fs::canonicalize(dir.path()).expect("path");
        for folder in ["ssl/deep", "other"] {
            fs::create_dir_all(root.join(folder)).expect("folder");
        }
        symlink(root.join("other"), root.join("ssl/out")).expect("link");
        fs::write(root.join("ssl/file"), "").expect("file");
        let allowed = [root.join("ssl")];
        for good in ["ssl/web", "ssl/deep/web"] {
            assert_eq!(wanted(&root.join(good), &allowed).expect(good).path(), root.join(good));
        }
        for (bad, word) in [
            ("other/web", "files.allowed_links"),
            ("sslx/web", "files.allowed_links"),
            ("ssl", "files.allowed_links"),
            ("ssl/../other/web", "'..'"),
            ("ssl/deep/", "'..'"),
            ("ssl/out/web", "a link or file"),
            ("ssl/file/web", "a link or file"),
            ("ssl/none/web", "create it"),
        ] {
            let error = wanted(&root.join(bad), &allowed).expect_err(bad).to_string();
            assert!(error.contains(word), "{bad}: {error}");
        }
        let long = format!("ssl/{}", "x".repeat(201));
        assert!(wanted(&root.join(long), &allowed).expect_err("long").to_string().contains("too long"));
        assert!(wanted(&root.join("ssl/web"), &[]).is_err(), "by default there are none");
    }
}
