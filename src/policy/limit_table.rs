//! `[limits]`, as files have it. Names and values are read one by one, so that an error is about the right place.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::Deserialize;
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, Visitor};
use toml::Spanned;

use super::limits::{LimitName, LimitSettings};
use super::words::word;

impl<'de> Deserialize<'de> for LimitSettings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::read::<LimitName, D>(deserializer)
    }
}

impl LimitSettings {
    /// Reads a table in which these names may be.
    ///
    /// # Errors
    /// When a name or a value is not understood.
    pub(super) fn read<'de, N, D>(deserializer: D) -> Result<Self, D::Error>
    where
        N: FromStr<Err: fmt::Display> + Into<LimitName>,
        D: Deserializer<'de>,
    {
        deserializer.deserialize_map(Table::<N>(PhantomData))
    }
}

/// The names that it may have are those that `N` knows.
struct Table<N>(PhantomData<N>);

impl<'de, N: FromStr<Err: fmt::Display> + Into<LimitName>> Visitor<'de> for Table<N> {
    type Value = LimitSettings;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table of limits")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<LimitSettings, A::Error> {
        let mut settings = LimitSettings::default();
        while let Some(key) = map.next_key::<Spanned<Key<N>>>()? {
            let place = key.span().start;
            let name: LimitName = key.into_inner().0.into();
            settings.take(name, map.next_value_seed(Value(name))?, place);
        }
        Ok(settings)
    }
}

struct Key<N>(N);

impl<'de, N: FromStr<Err: fmt::Display>> Deserialize<'de> for Key<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        word(deserializer).map(Self)
    }
}

struct Value(LimitName);

impl<'de> DeserializeSeed<'de> for Value {
    type Value = Option<u64>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<u64>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Visitor<'_> for Value {
    type Value = Option<u64>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, or a text with a number and its unit")
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Option<u64>, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Option<u64>, E> {
        self.0.read(text).map_err(E::custom)
    }
}
