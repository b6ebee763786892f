//! The checker: whether a disk holds the old state or the new one, whole. It only reads, with the code of the product
//! where that code must be able to read it, and beside it where it must not be believed.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use scomo_core::fact::Fact;
use scomo_core::spec::{Payload, Release};
use scomo_core::state::State;
use scomo_core::status::ComponentState;
use scomo_engine::store::Store as Facts;
use scomo_store::{Store as Contents, TreeId};

use super::scene::COMPONENT;

/// What a disk holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The state before the update.
    Old,
    /// The state after it.
    New,
}

/// One entry of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Entry {
    Folder(u32, u32, u32),
    File(u32, u32, u32, Vec<u8>),
    Link(u32, u32, PathBuf),
}

type Tree = BTreeMap<PathBuf, Entry>;

/// What a disk may hold.
#[derive(Debug)]
pub struct Reference {
    /// The version before; none: nothing is installed.
    old: Option<&'static str>,
    /// The version after.
    new: &'static str,
    /// How the folders of releases look when they are whole, by their names.
    releases: BTreeMap<String, Tree>,
}

impl Reference {
    /// One that knows no release yet.
    pub fn new(old: Option<&'static str>, new: &'static str) -> Self {
        Self { old, new, releases: BTreeMap::new() }
    }

    /// The version that must run for a verdict; none: nothing is installed.
    pub fn version(&self, verdict: Verdict) -> Option<&'static str> {
        match verdict {
            Verdict::Old => self.old,
            Verdict::New => Some(self.new),
        }
    }

    /// Takes the folders that are there now for whole ones. The newest must be that of `version`.
    pub fn learn(&mut self, state_dir: &Path, version: &str) -> Result<()> {
        let folder = state_dir.join("containers/releases");
        let mut new = Vec::new();
        for entry in std::fs::read_dir(&folder).context("cannot read the releases")? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if !self.releases.contains_key(&name) {
                new.push((name.clone(), walk(&folder.join(name))?));
            }
        }
        let [(_, tree)] = new.as_slice() else { bail!("{} new releases, it must be one", new.len()) };
        let file = tree.get(Path::new("rootfs/version"));
        let right = matches!(file, Some(Entry::File(.., content)) if content == version.as_bytes());
        ensure!(right, "the release of version {version} does not hold that version");
        self.releases.extend(new);
        Ok(())
    }

    /// The release's folder must be there, complete when it is staged.
    fn compare(&self, state_dir: &Path, release: &Release, staged: bool) -> Result<()> {
        let name = release.id.as_str().trim_start_matches("sha256:");
        let expected =
            self.releases.get(name).with_context(|| format!("release {name} was never installed"))?;
        let found = walk(&state_dir.join("containers/releases").join(name))?;
        for (path, entry) in expected {
            if staged || path == Path::new("config.json") {
                ensure!(found.get(path) == Some(entry), "{} of release {name} is damaged", path.display());
            }
        }
        let extra = found.keys().find(|path| !expected.contains_key(*path) && !is_leftover(path));
        ensure!(extra.is_none(), "{extra:?} of release {name} is too much");
        Ok(())
    }
}

/// What an interrupted step may leave beside the parts of a release.
fn is_leftover(path: &Path) -> bool {
    path.components().next().is_some_and(|first| first.as_os_str().to_string_lossy().starts_with('.'))
}

fn walk(root: &Path) -> Result<Tree> {
    let mut tree = Tree::new();
    let mut open = vec![PathBuf::new()];
    while let Some(folder) = open.pop() {
        let path = root.join(&folder);
        for entry in std::fs::read_dir(&path).with_context(|| format!("cannot read {}", path.display()))? {
            let inside = folder.join(entry?.file_name());
            let path = root.join(&inside);
            let meta = std::fs::symlink_metadata(&path)?;
            let (mode, user, group) = (meta.mode(), meta.uid(), meta.gid());
            let what = if meta.is_dir() {
                open.push(inside.clone());
                Entry::Folder(mode, user, group)
            } else if meta.is_symlink() {
                Entry::Link(user, group, std::fs::read_link(&path)?)
            } else {
                let content =
                    std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
                Entry::File(mode, user, group, content)
            };
            tree.insert(inside, what);
        }
    }
    Ok(tree)
}

/// Checks the disk that is mounted at `state_dir`. An error says what is bad.
pub fn check(state_dir: &Path, reference: &Reference, reported: bool) -> Result<Verdict> {
    let state = replay(state_dir, reference.old.is_none() && !reported)?;
    let images = whole_images(state_dir, &state)?;
    for release in needed(&state) {
        let id = tree_id(&release.release)?;
        ensure!(
            images.contains(&id),
            "the image of version {} is not in the store",
            release.release.spec.version
        );
        reference.compare(state_dir, &release.release, release.staged)?;
    }
    let component = state.components.iter().find(|(id, _)| id.as_str() == COMPONENT).map(|(_, it)| it);
    ensure!(component.is_none_or(|it| it.state == ComponentState::Active), "the component is not active");
    let version = component.map(|component| component.release.spec.version.as_str());
    let verdict = match version {
        version if version == Some(reference.new) => Verdict::New,
        version if version == reference.old => Verdict::Old,
        None => bail!("the component is gone"),
        Some(version) => bail!("version {version} is active"),
    };
    ensure!(!reported || verdict == Verdict::New, "success was reported, and the old state is back");
    Ok(verdict)
}

/// The state that the facts give. The fact store may be missing where the device is new.
fn replay(state_dir: &Path, new: bool) -> Result<State> {
    let path = state_dir.join("facts.db");
    let mut state = State::default();
    if !path.exists() {
        // Opening would make a new store where there is none, but a log without its store is damage.
        ensure!(new && !state_dir.join("facts.db-wal").exists(), "the fact store is gone");
        return Ok(state);
    }
    Facts::open(&path, &mut |_, fact: Fact| scomo_core::apply(&mut state, &fact).map_err(|e| e.to_string()))
        .context("the fact store cannot be opened")?;
    Ok(state)
}

/// A release that the state relies on.
struct Needed {
    release: Release,
    /// Not only fetched.
    staged: bool,
}

fn needed(state: &State) -> Vec<Needed> {
    let mut needed = Vec::new();
    let mut add = |release: &Release, staged| needed.push(Needed { release: release.clone(), staged });
    for component in state.components.values().chain(state.rollback.values().flatten()) {
        add(&component.release, true);
    }
    for content in state.delivered.values().filter_map(|delivered| delivered.content.as_ref()) {
        content.releases.iter().for_each(|release| add(release, false));
    }
    if let Some(job) = &state.job {
        let content = job.content.iter().flat_map(|content| &content.releases);
        content.take(job.fetched).for_each(|release| add(release, false));
        for change in job.changes.iter().flatten() {
            change.before.iter().for_each(|before| add(&before.release, true));
            change.after.iter().for_each(|after| add(&after.release, change.staged));
        }
    }
    needed
}

/// The images in the content store, of which every object was hashed.
fn whole_images(state_dir: &Path, state: &State) -> Result<BTreeSet<TreeId>> {
    let root = state_dir.join("containers/store");
    if !root.is_dir() {
        // Nothing was ever fetched; whoever needs an image misses it.
        return Ok(BTreeSet::new());
    }
    let store = Contents::open(&root).context("the content store cannot be opened")?;
    let report = store.verify(&|| false).context("the content store cannot be verified")?;
    ensure!(report.manifests.is_empty(), "damaged in the content store: {:?}", report.manifests);
    // Unfinished imports may leave torn objects that no image names, and only they.
    let unfinished = root.join("unfinished").exists();
    ensure!(unfinished || report.damaged.is_empty(), "damaged objects: {:?}", report.damaged);
    let mut whole = BTreeSet::new();
    for release in state.kept_releases() {
        let id = tree_id(release)?;
        if store.has(&id).context("an image cannot be read")? {
            whole.insert(id);
        }
    }
    Ok(whole)
}

fn tree_id(release: &Release) -> Result<TreeId> {
    match &release.spec.payload {
        Payload::Image { digest, .. } => Ok(TreeId::from(digest)),
        Payload::Ostree { .. } => bail!("the release is no image"),
    }
}
