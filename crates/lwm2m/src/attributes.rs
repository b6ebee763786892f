//! Attributes of notifications (`pmin`, `pmax`, `gt`, `lt`, `st`): how often and at which values a server wants to be told.

use std::collections::BTreeMap;

use crate::format::link::Link;
use crate::format::number;
use crate::limits::ATTRIBUTE_PATHS_MAX;
use crate::path::Path;

/// What is attached to one path.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Attributes {
    /// Least seconds between two notifications.
    pub(crate) pmin: Option<u32>,
    /// Most seconds between two notifications.
    pub(crate) pmax: Option<u32>,
    /// Least seconds between two looks at the value. Kept and shown; values here come by events, not by looking.
    epmin: Option<u32>,
    /// Most seconds between two looks at the value. As `epmin`.
    epmax: Option<u32>,
    /// Notify when the value crosses this from either side.
    pub(crate) gt: Option<f64>,
    /// Notify when the value crosses this from either side.
    pub(crate) lt: Option<f64>,
    /// Notify when the value differs by this much from the last one that was sent.
    pub(crate) st: Option<f64>,
}

impl Attributes {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Applies one query: `name=value` sets, `name` alone takes away. None when it makes no sense.
    fn apply(&mut self, query: &str, numeric: bool) -> Option<()> {
        let (name, value) = match query.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (query, None),
        };
        let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        let seconds = || match value {
            None => Some(None),
            Some(text) => text.parse().ok().filter(|_| digits(text)).map(Some),
        };
        let limit = || match value {
            _ if !numeric => None,
            None => Some(None),
            Some(text) => number::parse_float(text).map(Some),
        };
        match name {
            "pmin" => self.pmin = seconds()?,
            "pmax" => self.pmax = seconds()?,
            "epmin" => self.epmin = seconds()?,
            "epmax" => self.epmax = seconds()?,
            "gt" => self.gt = limit()?,
            "lt" => self.lt = limit()?,
            "st" => self.st = limit()?,
            _ => return None,
        }
        Some(())
    }

    fn is_consistent(&self) -> bool {
        let ordered = self.lt.zip(self.gt).is_none_or(|(lt, gt)| lt < gt);
        let apart = match (self.lt, self.gt, self.st) {
            (Some(lt), Some(gt), Some(st)) => lt + 2.0 * st < gt,
            _ => true,
        };
        ordered && apart && self.st.is_none_or(|st| st >= 0.0)
    }

    /// Adds them to a link of a Discover.
    pub(crate) fn show(&self, mut link: Link) -> Link {
        let seconds =
            [("pmin", self.pmin), ("pmax", self.pmax), ("epmin", self.epmin), ("epmax", self.epmax)];
        for (name, value) in seconds {
            link = value.into_iter().fold(link, |link, value| link.plain(name, value));
        }
        for (name, value) in [("gt", self.gt), ("lt", self.lt), ("st", self.st)] {
            link = value.into_iter().fold(link, |link, value| link.plain(name, value));
        }
        link
    }

    /// Whether the change from the value that was sent last is one to tell. Without conditions every change is.
    pub(crate) fn is_met(&self, last: Option<f64>, new: Option<f64>) -> bool {
        if self.gt.is_none() && self.lt.is_none() && self.st.is_none() {
            return true;
        }
        let (Some(last), Some(new)) = (last, new) else { return true };
        let crosses = |limit: Option<f64>| limit.is_some_and(|limit| (last > limit) != (new > limit));
        let falls = self.lt.is_some_and(|limit| (last < limit) != (new < limit));
        crosses(self.gt) || falls || self.st.is_some_and(|st| (new - last).abs() >= st)
    }

    fn or(self, outer: &Self) -> Self {
        Self {
            pmin: self.pmin.or(outer.pmin),
            pmax: self.pmax.or(outer.pmax),
            epmin: self.epmin.or(outer.epmin),
            epmax: self.epmax.or(outer.epmax),
            ..self
        }
    }
}

/// The attributes that one server has set.
#[derive(Debug, Default)]
pub(crate) struct Table {
    paths: BTreeMap<Path, Attributes>,
}

/// The attributes make no sense, or there are too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BadAttributes;

impl Table {
    /// Applies all queries of a Write-Attributes, or none. `numeric`: the path is a resource with a number in it.
    pub(crate) fn set(&mut self, path: Path, queries: &[String], numeric: bool) -> Result<(), BadAttributes> {
        let mut attributes = self.at(&path);
        for query in queries {
            attributes.apply(query, numeric).ok_or(BadAttributes)?;
        }
        if !attributes.is_consistent() {
            return Err(BadAttributes);
        }
        if attributes.is_empty() {
            self.paths.remove(&path);
            return Ok(());
        }
        if self.paths.len() >= ATTRIBUTE_PATHS_MAX && !self.paths.contains_key(&path) {
            return Err(BadAttributes);
        }
        self.paths.insert(path, attributes);
        Ok(())
    }

    /// What is attached to the path itself.
    pub(crate) fn at(&self, path: &Path) -> Attributes {
        self.paths.get(path).copied().unwrap_or_default()
    }

    /// What counts for the path: periods come from above where nothing nearer sets them.
    pub(crate) fn effective(&self, path: &Path) -> Attributes {
        let outer = (1..path.depth()).rev().map(|depth| self.at(&path.prefix(depth)));
        outer.fold(self.at(path), |near, far| near.or(&far))
    }

    /// Forgets everything below an instance that is gone.
    pub(crate) fn forget(&mut self, gone: &Path) {
        self.paths.retain(|path, _| !gone.contains(path));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(table: &mut Table, path: Path, queries: &str) -> Result<(), BadAttributes> {
        let queries: Vec<String> = queries.split('&').map(str::to_owned).collect();
        table.set(path, &queries, true)
    }

    #[test]
    fn attributes_are_set_together_and_inherited() {
        let mut table = Table::default();
        let resource = Path::resource(9, 0, 7);
        set(&mut table, Path::object(9), "pmin=1").unwrap();
        set(&mut table, Path::instance(9, 0), "pmax=2").unwrap();
        set(&mut table, resource, "gt=3&st=0.5").unwrap();
        let shown = table.effective(&resource).show(Link::new(resource)).to_string();
        assert_eq!(shown, "</9/0/7>;pmin=1;pmax=2;gt=3;st=0.5");
        assert_eq!(set(&mut table, resource, "pmin=9&nonsense=1"), Err(BadAttributes));
        assert_eq!(table.at(&resource).pmin, None, "all or nothing");
        set(&mut table, resource, "gt&st").unwrap();
        assert!(table.at(&resource).is_empty());
        table.forget(&Path::instance(9, 0));
        assert_eq!(table.effective(&resource).pmax, None);
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in
            ["pmin=-1", "pmin=1.5", "pmin=", "pmin=+1", "gt=inf", "gt=1&lt=2", "lt=1&gt=2&st=1", "st=-1", ""]
        {
            assert_eq!(set(&mut Table::default(), Path::resource(9, 0, 7), bad), Err(BadAttributes), "{bad}");
        }
        let not_numeric = Table::default().set(Path::object(9), &["gt=1".to_owned()], false);
        assert_eq!(not_numeric, Err(BadAttributes));
        let mut table = Table::default();
        for id in 0..200 {
            let result = set(&mut table, Path::instance(9, id), "pmin=1");
            assert_eq!(result.is_ok(), usize::from(id) < ATTRIBUTE_PATHS_MAX);
        }
    }

    #[test]
    fn conditions_are_alternatives() {
        let met = |gt, lt, st, last, new| {
            Attributes { gt, lt, st, ..Attributes::default() }.is_met(Some(last), Some(new))
        };
        assert!(met(None, None, None, 1.0, 1.1));
        assert!(met(Some(5.0), None, None, 4.0, 6.0) && met(Some(5.0), None, None, 6.0, 4.0));
        assert!(!met(Some(5.0), None, None, 4.0, 5.0) && !met(Some(5.0), None, None, 6.0, 7.0));
        assert!(met(None, Some(5.0), None, 6.0, 4.0) && !met(None, Some(5.0), None, 6.0, 5.0));
        assert!(met(None, None, Some(2.0), 1.0, 3.0) && !met(None, None, Some(2.0), 1.0, 2.9));
        assert!(met(Some(5.0), None, Some(2.0), 1.0, 3.0), "one of them is enough");
    }
}
