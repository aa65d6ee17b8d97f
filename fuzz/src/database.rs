//! The journal: a file of any bytes, and a database of our tables with any cells.

use forecastd_journal::{RestoreLimits, Store};
use jiff::Timestamp;
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

/// The most rows that an input makes.
const MAX_ROWS: usize = 64;

/// A journal file: with the first byte even, as it is; odd, our tables, with rows whose cells the other bytes tell.
pub fn journal(data: &[u8]) {
    let Some((first, rest)) = data.split_first() else { return };
    let folder = super::folder();
    let path = folder.path().join("journal.sqlite");
    if first & 1 == 0 {
        super::write(&path, rest);
    } else {
        let mut store = Store::new(&path);
        store.open().expect("a new journal");
        drop(store);
        fill(&Connection::open(&path).expect("the new journal"), rest);
    }
    let mut store = Store::new(&path);
    if store.open().is_ok() {
        let limits = RestoreLimits {
            max_stations: 100,
            history_s: 4 * 86_400,
            forecasts_s: 25 * 3600,
            not_after: Timestamp::MAX,
        };
        let _ = store.restore(limits);
    }
}

/// Whatever SQLite takes into the tables that there are.
fn fill(connection: &Connection, data: &[u8]) {
    let mut cells = Cells(data);
    let tables = tables(connection);
    for _ in 0..MAX_ROWS {
        let Some(choice) = cells.byte() else { return };
        let Some((table, columns)) = tables.get(usize::from(choice) % tables.len().max(1)) else { return };
        let places = vec!["?"; *columns].join(", ");
        let row: Vec<Value> = (0..*columns).map(|_| cells.next()).collect();
        // A row that the table refuses was none.
        let _ =
            connection.execute(&format!("INSERT INTO \"{table}\" VALUES ({places})"), params_from_iter(row));
    }
}

/// Every table with the number of its columns.
fn tables(connection: &Connection) -> Vec<(String, usize)> {
    let query = "SELECT name, (SELECT count(*) FROM pragma_table_info(name)) FROM sqlite_schema \
                 WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name";
    let mut statement = connection.prepare(query).expect("a query of the schema");
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)? as usize)));
    rows.expect("the schema").map_while(Result::ok).collect()
}

/// The cells that bytes tell: a kind, then the content.
struct Cells<'a>(&'a [u8]);

impl Cells<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn take(&mut self, length: usize) -> Vec<u8> {
        let (taken, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        taken.to_vec()
    }

    fn eight(&mut self) -> [u8; 8] {
        let mut bytes = [0; 8];
        for (byte, taken) in bytes.iter_mut().zip(self.take(8)) {
            *byte = taken;
        }
        bytes
    }

    fn next(&mut self) -> Value {
        let kind = self.byte().unwrap_or_default();
        let length = usize::from(kind >> 3);
        match kind & 7 {
            0 => Value::Null,
            1 => Value::Integer(i64::from_le_bytes(self.eight())),
            // A time of our days, and a small number.
            2 => Value::Integer(1_577_836_800 + i64::from(self.byte().unwrap_or_default()) * 600),
            3 => Value::Integer(i64::from(self.byte().unwrap_or_default())),
            4 => Value::Real(f64::from_le_bytes(self.eight())),
            5 => Value::Real(f64::from(self.byte().unwrap_or_default()) - 100.0),
            6 => Value::Text(String::from_utf8_lossy(&self.take(length * 8)).into_owned()),
            _ => Value::Blob(self.take(length * 8)),
        }
    }
}
