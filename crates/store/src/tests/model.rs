//! Random layers, compared with a model that is as simple as can be: a map from paths to files that every entry of
//! every layer changes in turn.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::kit::{Fixture, Image, Tar, lacks_root};

#[derive(Debug, Clone)]
enum Change {
    File(String, u8),
    Directory(String),
    Symlink(String),
    Link(String, String),
    Whiteout(String),
    Opaque(String),
}

/// Path to what is there. Directories end in a slash.
type Model = BTreeMap<String, String>;

fn below(model: &Model, directory: &str) -> Vec<String> {
    let prefix = format!("{directory}/");
    model.keys().filter(|path| path.starts_with(&prefix) && **path != prefix).cloned().collect()
}

fn remove(model: &mut Model, path: &str) {
    for path in below(model, path) {
        model.remove(&path);
    }
    model.remove(path);
    model.remove(&format!("{path}/"));
}

/// Makes the parents of `path`; what is in the way goes.
fn parents(model: &mut Model, path: &str) {
    for (end, _) in path.match_indices('/') {
        let parent = &path[..end];
        if !model.contains_key(&format!("{parent}/")) {
            remove(model, parent);
            model.insert(format!("{parent}/"), "755".to_owned());
        }
    }
}

fn has_non_directory_parent(model: &Model, path: &str) -> bool {
    path.match_indices('/').any(|(end, _)| model.contains_key(&path[..end]))
}

/// One layer while it is written: as an archive, and as what it does to the model.
struct Writer {
    tar: Tar,
    /// What the layer has by itself; decides which paths it may use.
    own: Model,
    /// What was there before it.
    lower: Model,
    /// Paths below which lower files go, and whether the path itself goes too.
    deletions: Vec<(String, bool)>,
}

impl Writer {
    /// Adds a change to the archive, if it makes sense after the ones before.
    fn add(&mut self, change: &Change) {
        let (Change::File(path, _)
        | Change::Directory(path)
        | Change::Symlink(path)
        | Change::Link(path, _)
        | Change::Whiteout(path)
        | Change::Opaque(path)) = change;
        if has_non_directory_parent(&self.own, path) {
            return;
        }
        let tar = std::mem::take(&mut self.tar);
        self.tar = match change {
            Change::Whiteout(path) => {
                parents(&mut self.own, path);
                self.deletions.push((path.clone(), true));
                let cut = path.rfind('/').map_or(0, |slash| slash + 1);
                tar.file(&format!("{}.wh.{}", &path[..cut], &path[cut..]), "")
            }
            Change::Opaque(path) if self.own.contains_key(path) => tar,
            Change::Opaque(path) => {
                parents(&mut self.own, &format!("{path}/x"));
                self.deletions.push((path.clone(), false));
                tar.file(&format!("{path}/.wh..wh..opq"), "")
            }
            Change::File(path, data) => {
                self.put(path, format!("644 '{data}'"));
                tar.file(path, &data.to_string())
            }
            Change::Symlink(path) => {
                self.put(path, "-> target".to_owned());
                tar.symlink(path, "target")
            }
            Change::Link(path, target) => match self.link_target(target) {
                Some(found) => {
                    self.put(path, found);
                    tar.link(path, target)
                }
                None => tar,
            },
            Change::Directory(path) => {
                if self.own.remove(path).is_some() {
                    self.deletions.push((path.clone(), true));
                }
                parents(&mut self.own, path);
                self.own.insert(format!("{path}/"), "755".to_owned());
                tar.dir(path)
            }
        };
    }

    fn put(&mut self, path: &str, what: String) {
        remove(&mut self.own, path);
        parents(&mut self.own, path);
        // A file hides whatever lower layers have, also when a directory replaces it later.
        self.deletions.push((path.to_owned(), true));
        self.own.insert(path.to_owned(), what);
    }

    fn link_target(&self, target: &str) -> Option<String> {
        let hidden =
            has_non_directory_parent(&self.own, target) || self.own.contains_key(&format!("{target}/"));
        let found = self.own.get(target).or_else(|| self.lower.get(target));
        found.filter(|_| !hidden).cloned()
    }

    /// Does to the model what the layer does.
    fn finish(self, model: &mut Model) {
        for (path, whole) in &self.deletions {
            if *whole {
                remove(model, path);
            }
            for path in below(model, path) {
                model.remove(&path);
            }
        }
        for (path, what) in self.own {
            let bare = path.trim_end_matches('/');
            parents(model, bare);
            if !path.ends_with('/') || model.contains_key(bare) {
                remove(model, bare);
            }
            model.insert(path, what);
        }
    }
}

/// Applies a layer, and writes it as an archive of those changes that make sense.
fn apply(model: &mut Model, changes: &[Change]) -> Vec<u8> {
    let mut writer =
        Writer { tar: Tar::new(), own: Model::new(), lower: model.clone(), deletions: Vec::new() };
    changes.iter().for_each(|change| writer.add(change));
    let tar = writer.tar.clone().end();
    writer.finish(model);
    tar
}

fn path() -> impl Strategy<Value = String> {
    proptest::collection::vec(prop_oneof!["a", "b", "c"], 1..4).prop_map(|names| names.join("/"))
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        4 => (path(), any::<u8>()).prop_map(|(p, d)| Change::File(p, d)),
        2 => path().prop_map(Change::Directory),
        1 => path().prop_map(Change::Symlink),
        2 => (path(), path()).prop_map(|(p, t)| Change::Link(p, t)),
        2 => path().prop_map(Change::Whiteout),
        1 => path().prop_map(Change::Opaque),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn layers_merge_as_in_the_model(layers in proptest::collection::vec(proptest::collection::vec(change(), 0..12), 1..5)) {
        if lacks_root("layers_merge_as_in_the_model") {
            return Ok(());
        }
        let mut model = Model::new();
        let tars: Vec<Vec<u8>> = layers.iter().map(|changes| apply(&mut model, changes)).collect();
        let mut expected: Vec<String> = model.iter().map(|(path, what)| format!("{path} {what}")).collect();
        expected.sort();
        let fixture = Fixture::new();
        prop_assert_eq!(fixture.list(&Image::of(tars)), expected);
    }
}
