//! The `a{sv}` of options that every method ends with: unknown ones are refused by name, never ignored.

use std::collections::{BTreeSet, HashMap};

use zbus::{OwnedVariant, Variant};

use crate::Error;

/// Options or properties as they are received.
pub type OptionMap = HashMap<String, OwnedVariant>;

/// Options as a client sends them.
pub type Options<'a> = HashMap<&'a str, Variant<'a>>;

/// Reads options one by one and then refuses what nobody asked for.
#[derive(Debug)]
pub struct OptionReader<'a> {
    map: &'a OptionMap,
    known: BTreeSet<&'static str>,
}

impl<'a> OptionReader<'a> {
    /// A reader of which nothing was read yet.
    #[must_use]
    pub fn new(map: &'a OptionMap) -> Self {
        Self { map, known: BTreeSet::new() }
    }

    /// The option `name`, if it was given.
    ///
    /// # Errors
    /// [`Error::UnknownOption`] when it has another type.
    pub fn get<T>(&mut self, name: &'static str) -> Result<Option<T>, Error>
    where
        T: TryFrom<OwnedVariant>,
    {
        self.known.insert(name);
        let Some(value) = self.map.get(name) else { return Ok(None) };
        let wrong_type = |_| {
            let signature = value.value_signature().to_string();
            Error::UnknownOption(format!("option '{name}' does not take a value of D-Bus type '{signature}'"))
        };
        let read = value.try_clone().map_err(|_| ()).and_then(|value| T::try_from(value).map_err(|_| ()));
        read.map(Some).map_err(wrong_type)
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// [`Error::UnknownOption`] naming an option that was given but never read.
    pub fn finish(self) -> Result<(), Error> {
        let unknown: BTreeSet<&str> =
            self.map.keys().map(String::as_str).filter(|name| !self.known.contains(name)).collect();
        let Some(name) = unknown.first() else { return Ok(()) };
        let known: Vec<&str> = self.known.iter().copied().collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        Err(Error::UnknownOption(format!("option '{name}' is not known here; known are: {known}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(entries: Vec<(&str, Variant<'static>)>) -> OptionMap {
        entries.into_iter().map(|(k, v)| (k.to_owned(), v.try_into_owned().unwrap())).collect()
    }

    #[test]
    fn known_options_are_read() {
        let map = map(vec![("inactive", Variant::from(true)), ("pkg-id", Variant::from("p"))]);
        let mut reader = OptionReader::new(&map);
        assert_eq!(reader.get::<bool>("inactive").unwrap(), Some(true));
        assert_eq!(reader.get::<String>("pkg-id").unwrap().as_deref(), Some("p"));
        assert_eq!(reader.get::<String>("request-id").unwrap(), None);
        reader.finish().unwrap();
    }

    #[test]
    fn an_unknown_option_is_refused_by_name() {
        let map = map(vec![("colour", Variant::from("red"))]);
        let mut reader = OptionReader::new(&map);
        reader.get::<String>("pkg-id").unwrap();
        let error = reader.finish().unwrap_err();
        assert!(matches!(&error, Error::UnknownOption(_)));
        assert_eq!(error.message(), "option 'colour' is not known here; known are: pkg-id");
    }

    #[test]
    fn an_option_of_another_type_is_refused() {
        let map = map(vec![("lines", Variant::from("ten"))]);
        let error = OptionReader::new(&map).get::<u32>("lines").unwrap_err();
        assert_eq!(error.message(), "option 'lines' does not take a value of D-Bus type 's'");
    }
}
