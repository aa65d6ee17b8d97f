//! Tables, views, and how an earlier file becomes one of this version.
//!
//! | version | what it brought |
//! | --- | --- |
//! | 1 | tables `reading` and `forecast` by the station's name, leads as JSON |
//! | 2 | stations and models by number, values and leads as in [`crate::encoding`], a station's state, settings; later also
//! its experts and the extremes of a forecast, in a table and a column that are added where they are missing and that an
//! earlier program does not mind |
//! | 3 | leads of 1, 2, 3, … hours without their hours; those that were written before stay as they are and are read as they
//! are |
//!
//! The step from 1 to 2 renames the tables and lists their stations, which takes as long for 5 GB as for 5 kB; the rows are
//! moved later, bit by bit ([`crate::legacy`]), and are read where they lie until then.
//!
//! What stands in the way of a table or view of ours is renamed, never dropped. Triggers are switched off for our
//! connection, as none of them is ours.

use std::collections::HashMap;
use std::fmt::Write as _;

use rusqlite::{Connection, TransactionBehavior};

use forecastd_core::Quantity;

use crate::encoding::{HOURLY_LEAD_BYTES, LEAD_BYTES, MAX_LEADS};

/// Version of the tables, in SQLite's `user_version`.
pub(crate) const SCHEMA_VERSION: i64 = 3;

/// Every quantity's column, with something before and after it.
pub(crate) fn columns(before: &str, after: &str) -> String {
    Quantity::ALL.iter().fold(String::new(), |mut all, quantity| {
        // Writing to a string cannot fail.
        let _ = write!(all, "{before}{}{after}", quantity.key());
        all
    })
}

/// An assignment for every quantity's column, which stands as `{key}` in the pattern.
pub(crate) fn merge(pattern: &str) -> String {
    let assignments: Vec<String> =
        Quantity::ALL.iter().map(|quantity| pattern.replace("{key}", quantity.key())).collect();
    assignments.join(", ")
}

/// A table of ours.
struct Table {
    name: &'static str,
    /// The columns of its primary key.
    key: &'static [&'static str],
    /// Its other columns, which are added where an earlier file lacks them.
    rest: Vec<&'static str>,
    /// How it is made.
    sql: String,
}

fn tables() -> Vec<Table> {
    let keys: Vec<&str> = Quantity::ALL.iter().map(|quantity| quantity.key()).collect();
    vec![
        Table {
            name: "station",
            key: &["id"],
            rest: vec!["name", "readings_from", "forecasts_from", "active_at", "state"],
            // A number is never given twice, so that rows of a forgotten station cannot become another's.
            sql: "CREATE TABLE station (
                 id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE,
                 readings_from INTEGER, forecasts_from INTEGER, active_at INTEGER, state BLOB)"
                .to_owned(),
        },
        Table {
            name: "model",
            key: &["id"],
            rest: vec!["source", "name"],
            sql: "CREATE TABLE model (
                 id INTEGER PRIMARY KEY, source TEXT NOT NULL, name TEXT NOT NULL, UNIQUE (source, name))"
                .to_owned(),
        },
        // Apart from the station's other state, which is written with every reading, and this once an hour.
        Table {
            name: "experts",
            key: &["station"],
            rest: vec!["state"],
            sql: "CREATE TABLE experts (station INTEGER PRIMARY KEY, state BLOB)".to_owned(),
        },
        Table {
            name: "setting",
            key: &["key"],
            rest: vec!["value"],
            sql: "CREATE TABLE setting (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID".to_owned(),
        },
        Table {
            name: "stored_reading",
            key: &["station", "time"],
            rest: keys,
            // No type, no affinity: INTEGER and REAL stay apart.
            sql: format!(
                "CREATE TABLE stored_reading (
                 station INTEGER NOT NULL, time INTEGER NOT NULL
                 /* hundredths where INTEGER, else REAL; the view reading has numbers to read */{},
                 PRIMARY KEY (station, time)) WITHOUT ROWID",
                columns(", ", "")
            ),
        },
        Table {
            name: "stored_forecast",
            key: &["station", "origin"],
            rest: vec!["issued_after_s", "model", "temperature_c", "leads", "day_ahead"],
            sql: "CREATE TABLE stored_forecast (
                 station INTEGER NOT NULL, origin INTEGER NOT NULL, issued_after_s INTEGER NOT NULL,
                 model INTEGER NOT NULL, temperature_c
                 /* hundredths where INTEGER, else REAL; the view forecast_lead has numbers to read */,
                 leads BLOB NOT NULL, day_ahead BLOB, PRIMARY KEY (station, origin)) WITHOUT ROWID"
                .to_owned(),
        },
    ]
}

/// The views that users read; `legacy` adds what version 1 wrote and has not been moved yet.
fn views(legacy: bool) -> [(&'static str, String); 3] {
    let number =
        |cell: &str| format!("CASE typeof({cell}) WHEN 'integer' THEN {cell} / 100.0 ELSE {cell} END");
    let cells: String = Quantity::ALL
        .iter()
        .map(|quantity| {
            let key = quantity.key();
            format!(",\n    {} AS {key}", number(&format!("r.{key}")))
        })
        .collect();
    let mut reading = format!(
        "CREATE VIEW reading AS\nSELECT s.name AS station, r.time AS time{cells}\n\
         FROM stored_reading AS r JOIN station AS s ON s.id = r.station"
    );

    // Leads: json_each of as many zeros as there are leads counts them, hex digits are looked up one by one. Those of every
    // hour, which a zero precedes, get their hours from their place.
    let is_hourly = "substr(f.leads, 1, 1) = x'00'";
    let count = format!(
        "CASE WHEN {is_hourly} THEN min((length(f.leads) - 1) / {HOURLY_LEAD_BYTES}, {MAX_LEADS} - 1) \
         ELSE min(length(f.leads) / {LEAD_BYTES}, {MAX_LEADS}) END"
    );
    let zeros = format!("json_each('[' || rtrim(replace(hex(zeroblob({count})), '00', '0,'), ',') || ']')");
    let digits = format!(
        "CASE WHEN {is_hourly} THEN printf('%02X', p.key + 1) || \
         hex(substr(f.leads, {HOURLY_LEAD_BYTES} * p.key + 2, {HOURLY_LEAD_BYTES})) \
         ELSE hex(substr(f.leads, {LEAD_BYTES} * p.key + 1, {LEAD_BYTES})) END"
    );
    let digit = |at: usize| format!("instr('123456789ABCDEF', substr(h, {at}, 1))");
    let lead_h = format!("({} * 16 + {})", digit(1), digit(2));
    let temperature = |at: usize| {
        format!(
            "CASE substr(h, {at}, 4) WHEN '8000' THEN NULL ELSE \
             (((({} - 16 * ({0} > 7)) * 16 + {}) * 16 + {}) * 16 + {}) / 100.0 END",
            digit(at),
            digit(at + 1),
            digit(at + 2),
            digit(at + 3)
        )
    };
    let (point, low, high) = (temperature(3), temperature(7), temperature(11));
    let mut forecast_lead = format!(
        "CREATE VIEW forecast_lead AS\n\
         SELECT station, issued_at, source, model, {lead_h} AS lead_h, origin + 3600 * {lead_h} AS valid_at,\n    \
         {point} AS temperature_c,\n    {low} AS low_c,\n    {high} AS high_c,\n    origin\n\
         FROM (SELECT s.name AS station, f.origin + f.issued_after_s AS issued_at, m.source AS source, m.name AS model,\n    \
         f.origin AS origin, {digits} AS h\n    \
         FROM stored_forecast AS f JOIN station AS s ON s.id = f.station\n    \
         LEFT JOIN model AS m ON m.id = f.model, {zeros} AS p)"
    );
    let mut forecast = format!(
        "CREATE VIEW forecast AS\n\
         SELECT s.name AS station, f.origin + f.issued_after_s AS issued_at, m.source AS source, m.name AS model,\n    \
         {} AS temperature_c,\n    \
         (SELECT json_group_array(CASE substr(h, 7, 4) WHEN '8000' THEN json_array({lead_h}, {point})\n        \
         ELSE json_array({lead_h}, {point}, {low}, {high}) END)\n        \
         FROM (SELECT {digits} AS h FROM {zeros} AS p)) AS leads,\n    f.origin AS origin\n\
         FROM stored_forecast AS f JOIN station AS s ON s.id = f.station LEFT JOIN model AS m ON m.id = f.model",
        number("f.temperature_c")
    );
    if legacy {
        let _ = write!(
            reading,
            "\nUNION ALL SELECT s.name, r.time{}\n\
             FROM v1_station AS v JOIN station AS s ON s.id = v.station JOIN v1_reading AS r ON r.station = v.name\n\
             WHERE NOT EXISTS (SELECT 1 FROM stored_reading AS n WHERE n.station = v.station AND n.time = r.time)",
            columns(", r.", "")
        );
        let from = "FROM v1_station AS v JOIN station AS s ON s.id = v.station JOIN v1_forecast AS f ON f.station = v.name";
        let unmoved = "NOT EXISTS (SELECT 1 FROM stored_forecast AS n \
                       WHERE n.station = v.station AND n.origin = f.issued_at)";
        let _ = write!(
            forecast_lead,
            "\nUNION ALL SELECT s.name, f.issued_at, f.source, f.model, json_extract(p.value, '$[0]'),\n    \
             f.issued_at + 3600 * json_extract(p.value, '$[0]'), json_extract(p.value, '$[1]'),\n    \
             json_extract(p.value, '$[2]'), json_extract(p.value, '$[3]'), f.issued_at\n\
             {from}, json_each(CASE WHEN json_valid(f.leads) THEN f.leads ELSE '[]' END) AS p\nWHERE {unmoved}"
        );
        let _ = write!(
            forecast,
            "\nUNION ALL SELECT s.name, f.issued_at, f.source, f.model, f.temperature_c, f.leads, f.issued_at\n\
             {from}\nWHERE {unmoved}"
        );
    }
    [("reading", reading), ("forecast", forecast), ("forecast_lead", forecast_lead)]
}

/// What stands in the file under a name: kind (`table`, `view`, …) and SQL.
type Objects = HashMap<String, (String, String)>;

fn objects(connection: &Connection) -> rusqlite::Result<Objects> {
    let mut statement = connection.prepare(
        "SELECT lower(CAST(name AS TEXT)), CAST(type AS TEXT), CAST(coalesce(sql, '') AS TEXT) FROM sqlite_schema",
    )?;
    let text = |row: &rusqlite::Row<'_>, index: usize| -> rusqlite::Result<String> {
        Ok(String::from_utf8_lossy(row.get_ref(index)?.as_bytes()?).into_owned())
    };
    let rows = statement.query_map([], |row| Ok((text(row, 0)?, (text(row, 1)?, text(row, 2)?))))?;
    rows.collect()
}

/// Columns of a table with their place in the primary key, which is 0 outside it.
fn columns_of(connection: &Connection, table: &str) -> rusqlite::Result<HashMap<String, i64>> {
    let mut statement =
        connection.prepare("SELECT lower(name), pk FROM pragma_table_xinfo(?) WHERE hidden = 0")?;
    let rows = statement.query_map([table], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.collect()
}

fn has_key(columns: &HashMap<String, i64>, key: &[&str]) -> bool {
    let members = columns.values().filter(|&&place| place > 0).count();
    members == key.len()
        && key
            .iter()
            .zip(1..)
            .all(|(column, place)| columns.get(*column).is_some_and(|&found| found == place))
}

/// Whether rows of version 1 wait to be moved.
pub(crate) fn has_legacy(connection: &Connection) -> rusqlite::Result<bool> {
    let objects = objects(connection)?;
    Ok(["v1_station", "v1_reading", "v1_forecast"].iter().all(|name| is_table(&objects, name)))
}

fn is_table(objects: &Objects, name: &str) -> bool {
    objects.get(name).is_some_and(|(kind, _)| kind == "table")
}

/// A table of a database that no journal wrote: of version 0, which is that of an empty file and of the first journals, and
/// without a table of theirs.
pub(crate) fn foreign_table(connection: &Connection, version: i64) -> rusqlite::Result<Option<String>> {
    if version != 0 {
        return Ok(None);
    }
    let mut statement = connection.prepare(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite~_%' ESCAPE '~'",
    )?;
    let tables: Vec<String> = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let is_ours = tables
        .iter()
        .any(|table| ["reading", "forecast", "v1_reading", "stored_reading"].contains(&table.as_str()));
    Ok(tables.into_iter().next().filter(|_| !is_ours))
}

/// Brings the file to this version. Writes nothing when it is there already.
pub(crate) fn prepare(connection: &mut Connection) -> rusqlite::Result<()> {
    if is_prepared(connection)? {
        return Ok(());
    }
    // Renaming looks at every view and trigger of the file otherwise, and one that is broken is in the way.
    connection.pragma_update(None, "legacy_alter_table", true)?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let legacy = keep_legacy(&transaction)?;
    mend_legacy(&transaction)?;
    for table in tables() {
        let usable = is_usable(&transaction, &objects(&transaction)?, &table)?;
        if !usable {
            let aside = move_aside(&transaction, table.name)?;
            transaction.execute_batch(&table.sql)?;
            if let Some(aside) = aside {
                copy(&transaction, &aside, &table)?;
            }
            continue;
        }
        let found = columns_of(&transaction, table.name)?;
        for column in table.rest.iter().filter(|column| !found.contains_key(**column)) {
            transaction.execute_batch(&format!("ALTER TABLE {} ADD COLUMN {column}", table.name))?;
        }
    }
    if legacy {
        list_legacy_stations(&transaction)?;
    }
    make_views(&transaction)?;
    transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    transaction.commit()
}

fn is_prepared(connection: &Connection) -> rusqlite::Result<bool> {
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version != SCHEMA_VERSION {
        return Ok(false);
    }
    let objects = objects(connection)?;
    for table in tables() {
        if !is_usable(connection, &objects, &table)? {
            return Ok(false);
        }
        let found = columns_of(connection, table.name)?;
        if table.rest.iter().any(|column| !found.contains_key(*column)) {
            return Ok(false);
        }
    }
    Ok(waiting(connection, &objects)? == Waiting::Sound && views_stand(&objects, has_legacy(connection)?))
}

fn views_stand(objects: &Objects, legacy: bool) -> bool {
    views(legacy).iter().all(|(name, sql)| objects.get(*name).is_some_and(|(_, found)| found == sql))
}

/// Whether the table is there with its key; other columns can be added.
fn is_usable(connection: &Connection, objects: &Objects, table: &Table) -> rusqlite::Result<bool> {
    Ok(is_table(objects, table.name) && has_key(&columns_of(connection, table.name)?, table.key))
}

/// Makes the views, unless they stand as they should.
pub(crate) fn make_views(connection: &Connection) -> rusqlite::Result<()> {
    let legacy = has_legacy(connection)?;
    if views_stand(&objects(connection)?, legacy) {
        return Ok(());
    }
    for (name, sql) in views(legacy) {
        move_aside(connection, name)?;
        connection.execute_batch(&sql)?;
    }
    Ok(())
}

/// Frees a name: a view is dropped, as it holds nothing, and a table renamed. Says what a table is called now.
fn move_aside(connection: &Connection, name: &str) -> rusqlite::Result<Option<String>> {
    let objects = objects(connection)?;
    let kind = match objects.get(name).map(|(kind, _)| kind.as_str()) {
        None => return Ok(None),
        Some("view") => "VIEW",
        Some("index") => "INDEX",
        Some("trigger") => "TRIGGER",
        Some(_) => {
            let aside = (1..)
                .map(|number| format!("{name}_aside_{number}"))
                .find(|aside| !objects.contains_key(aside))
                .unwrap_or_default();
            connection.execute_batch(&format!("ALTER TABLE {name} RENAME TO {aside}"))?;
            return Ok(Some(aside));
        }
    };
    connection.execute_batch(&format!("DROP {kind} {name}"))?;
    Ok(None)
}

/// Takes over the rows of a table that has the columns but not the key.
fn copy(connection: &Connection, from: &str, to: &Table) -> rusqlite::Result<()> {
    let found = columns_of(connection, from)?;
    if !to.key.iter().all(|column| found.contains_key(*column)) {
        return Ok(());
    }
    let common: Vec<&str> =
        to.key.iter().chain(&to.rest).copied().filter(|column| found.contains_key(*column)).collect();
    let common = common.join(", ");
    connection
        .execute_batch(&format!("INSERT OR IGNORE INTO {} ({common}) SELECT {common} FROM {from}", to.name))
}

/// Takes the tables of version 1 out of the way of the views of the same names; false when they do not stand there.
fn keep_legacy(connection: &Connection) -> rusqlite::Result<bool> {
    let found = objects(connection)?;
    let reading =
        is_table(&found, "reading") && has_key(&columns_of(connection, "reading")?, &["station", "time"]);
    let forecast = is_table(&found, "forecast") && {
        let columns = columns_of(connection, "forecast")?;
        has_key(&columns, &["station", "issued_at"])
            && ["source", "model", "temperature_c", "leads"]
                .iter()
                .all(|column| columns.contains_key(*column))
    };
    if !reading && !forecast {
        return Ok(false);
    }
    for (there, name) in [(reading, "reading"), (forecast, "forecast")] {
        let kept = format!("v1_{name}");
        move_aside(connection, &kept)?;
        if there {
            connection.execute_batch(&format!("ALTER TABLE {name} RENAME TO {kept}"))?;
        }
    }
    move_aside(connection, "v1_station")?;
    let columns = columns(", ", " REAL");
    connection.execute_batch(&format!(
        "CREATE TABLE IF NOT EXISTS v1_reading (
             station TEXT NOT NULL, time INTEGER NOT NULL{columns}, PRIMARY KEY (station, time)) WITHOUT ROWID;
         CREATE TABLE IF NOT EXISTS v1_forecast (
             station TEXT NOT NULL, issued_at INTEGER NOT NULL, source TEXT, model TEXT, temperature_c REAL, leads TEXT,
             PRIMARY KEY (station, issued_at)) WITHOUT ROWID;
         CREATE TABLE v1_station (station INTEGER PRIMARY KEY, name TEXT NOT NULL)"
    ))?;
    Ok(true)
}

/// The tables that wait, with the columns that are read beside those of the quantities.
const LEGACY: [(&str, &[&str], &[&str]); 3] = [
    ("v1_station", &["station"], &["name"]),
    ("v1_reading", &["station", "time"], &[]),
    ("v1_forecast", &["station", "issued_at"], &["source", "model", "temperature_c", "leads"]),
];

/// What is to be done about the tables that wait.
#[derive(PartialEq)]
enum Waiting {
    Sound,
    /// Columns of quantities that an earlier version did not know.
    Lack(Vec<&'static str>),
    /// They are not ours.
    Foreign,
}

fn waiting(connection: &Connection, objects: &Objects) -> rusqlite::Result<Waiting> {
    if !LEGACY.iter().any(|(name, ..)| objects.contains_key(*name)) {
        return Ok(Waiting::Sound);
    }
    for (name, key, rest) in LEGACY {
        let columns = columns_of(connection, name)?;
        let whole = rest.iter().all(|column| columns.contains_key(*column));
        if !is_table(objects, name) || !has_key(&columns, key) || !whole {
            return Ok(Waiting::Foreign);
        }
    }
    let found = columns_of(connection, "v1_reading")?;
    let keys = Quantity::ALL.iter().map(|quantity| quantity.key());
    let lacking: Vec<&str> = keys.filter(|key| !found.contains_key(*key)).collect();
    Ok(if lacking.is_empty() { Waiting::Sound } else { Waiting::Lack(lacking) })
}

fn mend_legacy(connection: &Connection) -> rusqlite::Result<()> {
    match waiting(connection, &objects(connection)?)? {
        Waiting::Sound => {}
        Waiting::Lack(columns) => {
            for column in columns {
                connection.execute_batch(&format!("ALTER TABLE v1_reading ADD COLUMN {column} REAL"))?;
            }
        }
        Waiting::Foreign => {
            for (name, ..) in LEGACY {
                move_aside(connection, name)?;
            }
        }
    }
    Ok(())
}

/// Gives the stations of version 1 their numbers: one step of the primary key for each, without a scan of the tables.
fn list_legacy_stations(connection: &Connection) -> rusqlite::Result<()> {
    for table in ["v1_reading", "v1_forecast"] {
        let names = format!(
            "WITH RECURSIVE name(n) AS (
                 SELECT min(station) FROM {table}
                 UNION ALL SELECT (SELECT min(station) FROM {table} WHERE station > name.n) FROM name
                 WHERE name.n IS NOT NULL)"
        );
        connection.execute_batch(&format!(
            "INSERT INTO station (name)
             {names} SELECT n FROM name WHERE typeof(n) = 'text' AND n NOT IN (SELECT name FROM station);
             INSERT OR IGNORE INTO v1_station (station, name)
             {names} SELECT (SELECT id FROM station WHERE name = n ORDER BY id LIMIT 1), n FROM name
             WHERE typeof(n) = 'text'"
        ))?;
    }
    Ok(())
}

/// Drops the tables of version 1 when every row has been moved.
pub(crate) fn drop_legacy(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch("DROP TABLE v1_station; DROP TABLE v1_reading; DROP TABLE v1_forecast")?;
    make_views(connection)
}
