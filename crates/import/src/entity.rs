//! An entity of Home Assistant, and how a user names it.

use forecastd_mapping::{Column, Description, Measured, NameError, TableRule, UnitRule, quantity};

/// An entity that is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entity {
    /// Its id, `sensor.outdoor_temperature`.
    pub id: String,
    /// What it measures.
    pub measured: Measured,
    /// Its unit, where that is not what the recorder says.
    pub unit: Option<String>,
}

/// Why a text or a mapping names no entities.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EntityError {
    /// The text has no `=`.
    #[error("expected QUANTITY=ENTITY, as air_temperature=sensor.outdoor")]
    NoPair,
    /// The text has another word for its quantity.
    #[error(transparent)]
    Quantity(NameError),
    /// The mapping has a key that counts for messages or files alone.
    #[error("{0} says nothing of a recorder: leave it out")]
    UnusedKey(&'static str),
    /// A value of the mapping has no name of a column.
    #[error("{quantity}: which entity is not said (column = \"sensor.NAME\")")]
    NoEntity {
        /// The value's quantity, as it is written.
        quantity: String,
    },
    /// An entity of the mapping has another word for its quantity.
    #[error("{entity}: {fault}")]
    QuantityOf {
        /// The id of the entity.
        entity: String,
        /// Which word, and what may be meant.
        fault: NameError,
    },
    /// An entity of the mapping has a key that counts for messages or files alone.
    #[error("{entity}: {key} says nothing of a state: leave it out")]
    UnusedKeyOf {
        /// The id of the entity.
        entity: String,
        /// The key.
        key: &'static str,
    },
    /// The mapping looks for an entity's unit beside its value.
    #[error("{entity}: the recorder knows the unit of a state: leave unit out")]
    UnitBeside {
        /// The id of the entity.
        entity: String,
    },
}

impl Entity {
    /// Reads `QUANTITY=ENTITY`.
    ///
    /// # Errors
    /// [`EntityError::NoPair`], or [`EntityError::Quantity`].
    pub fn parse(text: &str) -> Result<Entity, EntityError> {
        let (name, id) = text.split_once('=').ok_or(EntityError::NoPair)?;
        let measured = quantity(name.trim()).map_err(EntityError::Quantity)?;
        Ok(Entity { id: id.trim().to_owned(), measured, unit: None })
    }

    /// The entities that a mapping names: its columns, by name or in `[columns]`.
    ///
    /// # Errors
    /// [`EntityError`], the first found: what is wrong with it, or what of it says nothing here.
    pub fn all_of(description: &Description) -> Result<Vec<Entity>, EntityError> {
        let unused = [
            ("preset", description.preset.is_some()),
            ("topic", description.topic.is_some()),
            ("place", description.place.is_some()),
            ("time", description.time.is_some()),
            ("missing", !description.missing.is_empty()),
            ("where", !description.only.is_empty()),
            ("merge", description.merge.is_some()),
            ("table", description.table != TableRule::default()),
        ];
        if let Some((key, _)) = unused.into_iter().find(|(_, is_there)| *is_there) {
            return Err(EntityError::UnusedKey(key));
        }
        let named = description.columns.iter().map(|(name, rule)| (Some(name.clone()), rule));
        let listed = description.values.iter().map(|rule| {
            let name = match &rule.column {
                Some(Column::Name(name)) => Some(name.clone()),
                _ => None,
            };
            (name, rule)
        });
        named
            .chain(listed)
            .map(|(name, rule)| {
                let no_entity = || EntityError::NoEntity { quantity: rule.quantity.clone() };
                let id = name.ok_or_else(no_entity)?;
                let measured = match quantity(&rule.quantity) {
                    Ok(measured) => measured,
                    Err(fault) => return Err(EntityError::QuantityOf { entity: id, fault }),
                };
                let unused = [
                    ("at", rule.at.is_some()),
                    ("topic", rule.topic.is_some() || rule.except.is_some()),
                    ("occurrence", rule.occurrence.is_some()),
                    ("part", rule.part.is_some()),
                    ("scale", rule.scale.is_some()),
                    ("missing", !rule.missing.is_empty()),
                    ("where", !rule.only.is_empty()),
                ];
                if let Some((key, _)) = unused.into_iter().find(|(_, is_there)| *is_there) {
                    return Err(EntityError::UnusedKeyOf { entity: id, key });
                }
                let unit = match &rule.unit {
                    None => None,
                    Some(UnitRule::Name(name)) => Some(name.clone()),
                    Some(UnitRule::At { .. }) => return Err(EntityError::UnitBeside { entity: id }),
                };
                Ok(Entity { id, measured, unit })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_of_an_entity_is_said_by_a_sentence_of_its_own() {
        let parse = |text: &str| Entity::parse(text).unwrap_err().to_string();
        assert_eq!(parse("sensor.roof"), "expected QUANTITY=ENTITY, as air_temperature=sensor.outdoor");
        assert_eq!(
            parse("humidty=sensor.roof"),
            "unknown quantity \"humidty\"; did you mean \"relative_humidity\"?"
        );
        let column = |rest: &str| format!("[columns]\nx = {{ quantity = \"temp\", {rest} }}\n");
        for (text, sentence) in [
            ("preset = \"x\"".to_owned(), "preset says nothing of a recorder: leave it out"),
            (
                "[[value]]\nquantity = \"temp\"\n".to_owned(),
                "temp: which entity is not said (column = \"sensor.NAME\")",
            ),
            (column("part = 2"), "x: part says nothing of a state: leave it out"),
            (column("unit = { at = \"u\" }"), "x: the recorder knows the unit of a state: leave unit out"),
        ] {
            let error = Entity::all_of(&Description::parse(&text).unwrap()).unwrap_err();
            assert_eq!(error.to_string(), sentence);
        }
    }
}
