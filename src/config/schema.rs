//! The keys there are, and what they hold: read from the shipped default.

use toml_edit::{Document, Item, TableLike, Value};

/// What kind of value a key holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A text in quotes.
    Text,
    /// A whole number.
    Integer,
    /// A number, whole or not.
    Number,
    /// True or false.
    Boolean,
}

impl Kind {
    /// What a person calls a value of this kind.
    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::Text => "a text",
            Kind::Integer => "a whole number",
            Kind::Number => "a number",
            Kind::Boolean => "true or false",
        }
    }
}

/// What a person calls what stands in a file, of whatever kind.
pub(super) fn name_of(item: &Item) -> &'static str {
    match item {
        Item::None => "nothing",
        Item::Table(_) | Item::Value(Value::InlineTable(_)) => "a section",
        Item::ArrayOfTables(_) | Item::Value(Value::Array(_)) => "a list",
        Item::Value(Value::String(_)) => "a text",
        Item::Value(Value::Integer(_)) => "a whole number",
        Item::Value(Value::Float(_)) => "a fraction",
        Item::Value(Value::Boolean(_)) => "true or false",
        Item::Value(Value::Datetime(_)) => "a date",
    }
}

/// Every key, as `section.name`, with the kind of its value.
#[derive(Debug)]
pub(super) struct Schema {
    keys: Vec<(String, Kind)>,
}

impl Schema {
    /// The keys of the shipped default.
    ///
    /// # Panics
    /// When the shipped default is no TOML or holds a value of another kind; it is built in, and tested.
    pub(super) fn of_default() -> Schema {
        let document = Document::parse(super::DEFAULT).expect("the shipped default is TOML");
        let mut keys = Vec::new();
        for (section, item) in document.as_table().iter() {
            let table: &dyn TableLike = item.as_table_like().expect("the shipped default holds sections");
            for (name, item) in table.iter() {
                let key = format!("{section}.{name}");
                let fractions =
                    super::rules::Rule::find(&key).is_some_and(super::rules::Rule::allows_fractions);
                let kind = match item.as_value() {
                    Some(Value::Integer(_)) if fractions => Kind::Number,
                    Some(Value::Float(_)) => Kind::Number,
                    Some(Value::Integer(_)) => Kind::Integer,
                    Some(Value::Boolean(_)) => Kind::Boolean,
                    Some(Value::String(_)) => Kind::Text,
                    _ => panic!("the shipped default has a value of no known kind at {key}"),
                };
                keys.push((key, kind));
            }
        }
        Schema { keys }
    }

    /// Every key, in the order of the shipped default.
    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(|(key, _)| key.as_str())
    }

    /// Every section; each as often as it has keys.
    pub(super) fn sections(&self) -> impl Iterator<Item = &str> {
        self.keys().filter_map(|key| key.split_once('.')).map(|(section, _)| section)
    }

    /// The kind of a key; none when there is no such key.
    pub(super) fn kind(&self, key: &str) -> Option<Kind> {
        self.keys.iter().find(|(known, _)| known == key).map(|(_, kind)| *kind)
    }
}
