//! Properties of an object as plain data, and the difference of two such sets.

use std::collections::BTreeMap;

use zbus::Variant;

use crate::options::OptionMap;

/// Properties by name, as they are sent.
pub type PropertyMap = BTreeMap<&'static str, Variant<'static>>;

/// A property came with a type that the interface does not give it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the daemon sent property '{0}' with a wrong type; scomoctl and scomod may be of different versions")]
pub struct WrongType(pub &'static str);

/// The properties of one interface.
pub trait Properties: Sized {
    /// The D-Bus name of the interface.
    const INTERFACE: &'static str;

    /// All properties by their D-Bus names.
    fn to_map(&self) -> PropertyMap;

    /// Reads properties. One that is missing gets its default and one that is not known is left out, so that a client
    /// and a daemon of different versions understand each other.
    ///
    /// # Errors
    /// [`WrongType`] naming the first property whose value has another type.
    fn from_map(map: &OptionMap) -> Result<Self, WrongType>;
}

/// The properties of `new` that differ from those of `old`.
#[must_use]
pub fn changes<P: Properties>(old: &P, new: &P) -> PropertyMap {
    let old = old.to_map();
    let mut map = new.to_map();
    map.retain(|name, value| old.get(name) != Some(value));
    map
}

pub(crate) fn put<T>(map: &mut PropertyMap, name: &'static str, value: T)
where
    Variant<'static>: From<T>,
{
    map.insert(name, Variant::from(value));
}

pub(crate) fn take<T>(map: &OptionMap, name: &'static str) -> Result<T, WrongType>
where
    T: Default + TryFrom<zbus::OwnedVariant>,
{
    let Some(value) = map.get(name) else { return Ok(T::default()) };
    let value = value.try_clone().map_err(|_| WrongType(name))?;
    T::try_from(value).map_err(|_| WrongType(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Job, path};

    fn owned(map: PropertyMap) -> OptionMap {
        map.into_iter().map(|(k, v)| (k.to_owned(), v.try_into_owned().unwrap())).collect()
    }

    #[test]
    fn properties_survive_the_bus() {
        let job = Job { id: 7, percent: 42, changed: vec!["app 2".to_owned()], ..Job::default() };
        assert_eq!(Job::from_map(&owned(job.to_map())), Ok(job));
        let manager = crate::Manager { jobs: vec![path::job(7)], pending_reboot: true, ..Default::default() };
        assert_eq!(crate::Manager::from_map(&owned(manager.to_map())), Ok(manager));
    }

    #[test]
    fn only_what_changed_is_announced() {
        let old = Job { id: 7, percent: 41, ..Job::default() };
        let new = Job { percent: 42, ..old.clone() };
        let changed = changes(&old, &new);
        assert_eq!(changed.into_iter().collect::<Vec<_>>(), vec![("Percent", Variant::from(42u32))]);
        assert!(changes(&new, &new).is_empty());
    }

    #[test]
    fn missing_and_unknown_properties_are_tolerated_but_wrong_types_are_not() {
        let mut map =
            owned(PropertyMap::from([("Percent", Variant::from(3u32)), ("Future", Variant::from(1u8))]));
        assert_eq!(Job::from_map(&map).unwrap().percent, 3);
        map.insert("Percent".to_owned(), Variant::from("3").try_into_owned().unwrap());
        assert_eq!(Job::from_map(&map), Err(WrongType("Percent")));
    }
}
