//! Where something is in the tree of an LwM2M client: `/object/instance/resource/resource instance`.

use std::cmp::Ordering;
use std::fmt;

use crate::limits::SEGMENT_BYTES_MAX;

/// The identifier that names nothing: "no instance named" in a Create, "any instance" in access control.
pub const ID_NONE: u16 = u16::MAX;

/// A path of 0 to 4 identifiers. The empty path is the whole tree.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Path {
    ids: [u16; 4],
    depth: u8,
}

/// Why a text is not a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPath {
    /// There are more than four segments.
    #[error("a path has at most four segments")]
    TooDeep,
    /// A segment is not a number from 0 to 65534 written in plain digits.
    #[error("a path segment is a number from 0 to 65534")]
    NotANumber,
}

impl Path {
    /// The whole tree.
    pub const ROOT: Self = Self { ids: [0; 4], depth: 0 };

    /// `/object`.
    #[must_use]
    pub const fn object(object: u16) -> Self {
        Self { ids: [object, 0, 0, 0], depth: 1 }
    }

    /// `/object/instance`.
    #[must_use]
    pub const fn instance(object: u16, instance: u16) -> Self {
        Self { ids: [object, instance, 0, 0], depth: 2 }
    }

    /// `/object/instance/resource`.
    #[must_use]
    pub const fn resource(object: u16, instance: u16, resource: u16) -> Self {
        Self { ids: [object, instance, resource, 0], depth: 3 }
    }

    /// `/object/instance/resource/resource instance`.
    #[must_use]
    pub const fn resource_instance(object: u16, instance: u16, resource: u16, index: u16) -> Self {
        Self { ids: [object, instance, resource, index], depth: 4 }
    }

    /// A path of `ids`; more than four are refused.
    pub fn from_ids(ids: &[u16]) -> Result<Self, InvalidPath> {
        let mut path = Self::ROOT;
        for id in ids {
            path = path.child(*id).ok_or(InvalidPath::TooDeep)?;
        }
        Ok(path)
    }

    /// A path of decimal segments, as the options Uri-Path carry them. One empty last segment is left out: some
    /// servers end their paths with a slash.
    pub fn from_segments<'a>(segments: impl IntoIterator<Item = &'a str>) -> Result<Self, InvalidPath> {
        let mut path = Self::ROOT;
        let mut segments = segments.into_iter().peekable();
        while let Some(segment) = segments.next() {
            if segment.is_empty() && segments.peek().is_none() {
                break;
            }
            if path.depth == 4 {
                return Err(InvalidPath::TooDeep);
            }
            path = path.child(number(segment)?).ok_or(InvalidPath::TooDeep)?;
        }
        Ok(path)
    }

    /// A path written with slashes: `/9/0/7`; `/` and the empty text are the root.
    pub fn parse(text: &str) -> Result<Self, InvalidPath> {
        Self::from_segments(text.strip_prefix('/').unwrap_or(text).split('/'))
    }

    /// The identifiers.
    #[must_use]
    pub fn ids(&self) -> &[u16] {
        self.ids.get(..usize::from(self.depth)).unwrap_or_default()
    }

    /// How many identifiers there are.
    #[must_use]
    pub const fn depth(&self) -> usize {
        self.depth as usize
    }

    /// The object.
    #[must_use]
    pub fn object_id(&self) -> Option<u16> {
        self.ids().first().copied()
    }

    /// The object instance.
    #[must_use]
    pub fn instance_id(&self) -> Option<u16> {
        self.ids().get(1).copied()
    }

    /// The resource.
    #[must_use]
    pub fn resource_id(&self) -> Option<u16> {
        self.ids().get(2).copied()
    }

    /// The resource instance.
    #[must_use]
    pub fn resource_instance_id(&self) -> Option<u16> {
        self.ids().get(3).copied()
    }

    /// The path one level deeper; none below a resource instance.
    #[must_use]
    pub fn child(&self, id: u16) -> Option<Self> {
        let mut child = *self;
        *child.ids.get_mut(usize::from(self.depth))? = id;
        child.depth = self.depth.saturating_add(1);
        Some(child)
    }

    /// The first `depth` identifiers, or all when there are fewer.
    #[must_use]
    pub fn prefix(&self, depth: usize) -> Self {
        Self::from_ids(self.ids().get(..depth).unwrap_or(self.ids())).unwrap_or(*self)
    }

    /// Whether `other` is this path or below it.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        other.ids().starts_with(self.ids())
    }

    /// Whether one of the two is the other or below it.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.contains(other) || other.contains(self)
    }
}

fn number(segment: &str) -> Result<u16, InvalidPath> {
    let digits = !segment.is_empty()
        && segment.len() <= SEGMENT_BYTES_MAX
        && segment.bytes().all(|byte| byte.is_ascii_digit());
    let id = if digits { segment.parse().ok() } else { None };
    id.filter(|id| *id != ID_NONE).ok_or(InvalidPath::NotANumber)
}

impl Ord for Path {
    fn cmp(&self, other: &Self) -> Ordering {
        self.ids().cmp(other.ids())
    }
}

impl PartialOrd for Path {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.depth == 0 {
            return f.write_str("/");
        }
        self.ids().iter().try_for_each(|id| write!(f, "/{id}"))
    }
}

impl fmt::Debug for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_strictly() {
        assert_eq!(Path::parse("/9/0/7"), Ok(Path::resource(9, 0, 7)));
        assert_eq!(Path::parse("/3/0/"), Ok(Path::instance(3, 0)));
        assert_eq!(Path::parse("/"), Ok(Path::ROOT));
        assert_eq!(Path::parse("/1/2/3/4/5"), Err(InvalidPath::TooDeep));
        for bad in ["/65535", "/+1", "/-1", "/9//7", "/x", "/ 9", "/0000000001", "//"] {
            assert_eq!(Path::parse(bad), Err(InvalidPath::NotANumber), "{bad}");
        }
        assert_eq!(Path::resource(9, 0, 7).to_string(), "/9/0/7");
    }

    #[test]
    fn a_parent_contains_its_children() {
        assert!(Path::object(9).contains(&Path::resource(9, 0, 7)));
        assert!(!Path::resource(9, 0, 7).contains(&Path::object(9)));
        assert!(Path::resource(9, 0, 7).overlaps(&Path::object(9)));
        assert!(!Path::instance(9, 0).overlaps(&Path::instance(9, 1)));
        assert_eq!(Path::resource(9, 0, 7).prefix(2), Path::instance(9, 0));
    }
}
