//! Who a container's process is: user and group, looked up in the image's own files.
//!
//! The image is hostile: its `/etc/passwd` may be a symbolic link to the host's, a device or endless. It is opened as
//! if the image were the root of the file system, and read with a limit.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::Mode;

use crate::error::{Context, Error};

/// Longest user or group file that is read; a distribution's has some KiB.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// Most groups of one user, as far as Linux promises.
const GROUPS_MAX: usize = 64;

/// The identity of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Further groups, sorted.
    pub(crate) groups: Vec<u32>,
    /// The home folder, as the image says.
    pub(crate) home: Option<String>,
}

/// Why nobody of that name is to be had.
#[derive(Debug)]
pub(crate) enum UserError {
    /// The image does not have it; a sentence.
    Unknown(String),
    /// The image's file cannot be read.
    Read(Error),
}

impl From<Error> for UserError {
    fn from(error: Error) -> Self {
        Self::Read(error)
    }
}

/// Finds `user[:group]`, each a name of the image or a number; empty is root.
pub(crate) fn look_up(rootfs: &Path, user: &str) -> Result<Identity, UserError> {
    let (user, group) = match user.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (user, None),
    };
    let user = if user.is_empty() { "0" } else { user };
    let passwd = read_in(rootfs, "etc/passwd")?;
    let groups = read_in(rootfs, "etc/group")?;
    let entry = passwd.lines().filter_map(User::parse).find(|entry| entry.is(user));
    let uid = match (&entry, user.parse::<u32>()) {
        (Some(entry), _) => entry.uid,
        (None, Ok(uid)) => uid,
        (None, Err(_)) => {
            let what =
                format!("the image has no user '{user}'; set run.user to a number or to one that it has");
            return Err(UserError::Unknown(what));
        }
    };
    let home = entry.as_ref().map(|e| e.home.to_owned()).filter(|home| home.starts_with('/'));
    if let Some(group) = group {
        let gid = group_id(&groups, group)?;
        return Ok(Identity { uid, gid, groups: Vec::new(), home });
    }
    let gid = entry.as_ref().map_or(0, |entry| entry.gid);
    let name = entry.as_ref().map(|entry| entry.name);
    let is_member =
        |g: &Group<'_>| g.gid != gid && name.is_some_and(|n| g.members.split(',').any(|m| m == n));
    let mut further: Vec<u32> =
        groups.lines().filter_map(Group::parse).filter(is_member).map(|g| g.gid).take(GROUPS_MAX).collect();
    further.sort_unstable();
    further.dedup();
    Ok(Identity { uid, gid, groups: further, home })
}

fn group_id(groups: &str, group: &str) -> Result<u32, UserError> {
    let found = groups.lines().filter_map(Group::parse).find(|entry| entry.name == group);
    match (found, group.parse::<u32>()) {
        (Some(entry), _) => Ok(entry.gid),
        (None, Ok(gid)) => Ok(gid),
        (None, Err(_)) => {
            let what =
                format!("the image has no group '{group}'; set run.user to numbers or to names that it has");
            Err(UserError::Unknown(what))
        }
    }
}

struct User<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

impl<'a> User<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let mut fields = line.split(':');
        let (name, _, uid, gid) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
        let home = fields.nth(1).unwrap_or_default();
        Some(Self { name, uid: uid.parse().ok()?, gid: gid.parse().ok()?, home })
    }

    fn is(&self, user: &str) -> bool {
        self.name == user || user.parse() == Ok(self.uid)
    }
}

struct Group<'a> {
    name: &'a str,
    gid: u32,
    members: &'a str,
}

impl<'a> Group<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let mut fields = line.split(':');
        let (name, _, gid) = (fields.next()?, fields.next()?, fields.next()?);
        Some(Self { name, gid: gid.parse().ok()?, members: fields.next().unwrap_or_default() })
    }
}

/// A file of the image; empty when it has none.
fn read_in(rootfs: &Path, name: &str) -> Result<String, Error> {
    let path = rootfs.join(name);
    let root = File::open(rootfs).context("open", rootfs)?;
    // Not blocking: the file may be a pipe that nobody writes to.
    let how = OpenHow::new()
        .flags(OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC)
        .mode(Mode::empty())
        .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    let file = match openat2(&root, name, how) {
        Ok(file) => File::from(file),
        Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP | Errno::ENXIO) => return Ok(String::new()),
        Err(error) => return Err(error).context("open", &path),
    };
    if !file.metadata().context("look at", &path)?.is_file() {
        return Ok(String::new());
    }
    let mut content = Vec::new();
    let length = file.take(FILE_BYTES_MAX + 1).read_to_end(&mut content).context("read", &path)?;
    if u64::try_from(length).is_ok_and(|length| length > FILE_BYTES_MAX) {
        return Err(io::Error::from(io::ErrorKind::FileTooLarge)).context("read", &path);
    }
    Ok(String::from_utf8_lossy(&content).into_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn image() -> tempfile::TempDir {
        let image = tempfile::tempdir().expect("folder");
        fs::create_dir(image.path().join("etc")).expect("etc");
        let passwd =
            "root:x:0:0:root:/root:/bin/sh\nbroken\napp:x:1000:1001::/home/app:/bin/sh\nx:x:y:1::/:\n";
        fs::write(image.path().join("etc/passwd"), passwd).expect("passwd");
        let group = "root:x:0:\napp:x:1001:\naudio:x:29:app,other\ndialout:x:20:app\nown:x:1001:app\n";
        fs::write(image.path().join("etc/group"), group).expect("group");
        image
    }

    fn found(image: &tempfile::TempDir, user: &str) -> (u32, u32, Vec<u32>) {
        let who = look_up(image.path(), user).expect("somebody");
        (who.uid, who.gid, who.groups)
    }

    #[test]
    fn names_and_numbers_are_found() {
        let image = image();
        assert_eq!(found(&image, ""), (0, 0, vec![]));
        assert_eq!(found(&image, "app"), (1000, 1001, vec![20, 29]));
        assert_eq!(found(&image, "1000"), (1000, 1001, vec![20, 29]));
        assert_eq!(found(&image, "app:audio"), (1000, 29, vec![]));
        assert_eq!(found(&image, "5:6"), (5, 6, vec![]));
        assert_eq!(found(&image, "77"), (77, 0, vec![]));
        assert_eq!(look_up(image.path(), "app").expect("app").home.as_deref(), Some("/home/app"));
    }

    #[test]
    fn who_is_not_there_is_named() {
        let image = image();
        for (user, name) in [("nobody", "user 'nobody'"), ("app:nobody", "group 'nobody'"), ("x", "user 'x'")]
        {
            match look_up(image.path(), user) {
                Err(UserError::Unknown(what)) => assert!(what.contains(name), "{what}"),
                other => panic!("{user}: {other:?}"),
            }
        }
        let empty = tempfile::tempdir().expect("folder");
        assert_eq!(found(&empty, "0"), (0, 0, vec![]));
    }

    #[test]
    fn links_do_not_lead_out_of_the_image() {
        let image = image();
        let outside = tempfile::tempdir().expect("folder");
        fs::write(outside.path().join("passwd"), "evil:x:0:0::/:\n").expect("passwd");
        let passwd = image.path().join("etc/passwd");
        fs::remove_file(&passwd).expect("remove");
        for target in [outside.path().join("passwd"), "../../../../../../../../etc/passwd".into()] {
            symlink(&target, &passwd).expect("link");
            for user in ["evil", "daemon"] {
                assert!(matches!(look_up(image.path(), user), Err(UserError::Unknown(_))), "{user}");
            }
            fs::remove_file(&passwd).expect("remove");
        }
        // Within the image a link is as good as the file.
        fs::write(image.path().join("users"), "in:x:7:8::/:\n").expect("users");
        symlink("/users", &passwd).expect("link");
        assert_eq!(found(&image, "in"), (7, 8, vec![]));
    }

    #[test]
    fn pipes_and_endless_files_are_no_user_files() {
        let image = image();
        let passwd = image.path().join("etc/passwd");
        fs::remove_file(&passwd).expect("remove");
        nix::unistd::mkfifo(&passwd, Mode::from_bits_truncate(0o644)).expect("pipe");
        assert!(matches!(look_up(image.path(), "app"), Err(UserError::Unknown(_))));
        fs::remove_file(&passwd).expect("remove");
        File::create(&passwd).and_then(|f| f.set_len(FILE_BYTES_MAX + 1)).expect("a long file");
        assert!(matches!(look_up(image.path(), "app"), Err(UserError::Read(_))));
    }
}
