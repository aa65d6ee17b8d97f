use super::*;

/// What a user reads of an error: it, and its source, which is what the system says or what is wrong with a mapping.
fn with_source(error: CsvError) -> String {
    match std::error::Error::source(&error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

fn read(text: impl AsRef<[u8]>, mapping: Option<&CsvMapping>) -> Result<Vec<Result<Row, String>>, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("record.csv");
    std::fs::write(&path, text).unwrap();
    let reader = CsvReader::open(&path, mapping).map_err(with_source)?;
    Ok(reader.map(|row| row.map_err(|error| error.to_string())).collect())
}

#[test]
fn jena_rows_are_read_whatever_the_quotes_ends_of_line_and_trailing_zeros() {
    let quoted = "\"Date Time\",\"p (mbar)\",\"T (degC)\"\r\n01.01.2009 00:10:00,996.52,-8.02\r\n";
    let plain = "\u{feff}Date Time,p (mbar),T (degC)\n01.01.2009 00:10:00,996.520,-8.020\n\n";
    let semicolons = "Date Time;p (mbar);T (degC)\n01.01.2009 00:10:00;996.52;-8.02";
    for text in [quoted, plain, semicolons] {
        let rows = read(text, None).unwrap();
        let (time, values) = rows[0].clone().unwrap();
        assert_eq!(time.to_string(), "2008-12-31T23:10:00Z", "station time is UTC+1");
        assert_eq!(values.get(Quantity::AirTemperature), Some(-8.02));
        assert_eq!(values.get(Quantity::AirPressure), Some(996.52));
        assert_eq!(rows.len(), 1);
    }
}

#[test]
fn a_broken_row_is_named_by_its_line_and_a_broken_value_costs_itself() {
    let text = "Date Time,T (degC),rh (%)\n\
                01.01.2009 00:10:00,1,50\n\
                01.01.2009 00:20:00,warm,50\n\
                32.01.2009 00:30:00,1,50\n\
                01.01.2009 00:40:00,1\n\
                01.01.2009 00:50:00,warm,\n\
                01.01.2009 01:00:00,,50\n";
    let rows = read(text, None).unwrap();
    assert!(rows[0].is_ok());
    let temperature = |row: usize| rows[row].clone().unwrap().1.get(Quantity::AirTemperature);
    let humidity = |row: usize| rows[row].clone().unwrap().1.get(Quantity::RelativeHumidity);
    assert_eq!((temperature(1), humidity(1)), (None, Some(50.0)));
    for (row, line, fault) in
        [(2, 4, "32.01.2009"), (3, 5, "row ends"), (4, 6, "air_temperature is \"warm\", not a number")]
    {
        let error = rows[row].clone().unwrap_err();
        assert!(error.contains(&format!("record.csv:{line}: ")) && error.contains(fault), "{error}");
    }
    assert_eq!((temperature(5), humidity(5)), (None, Some(50.0)));
}

#[test]
fn texts_that_are_no_values_are_counted_with_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("record.csv");
    let text = "Date Time,T (degC),rh (%)\n01.01.2009 00:10:00,1,wet\n01.01.2009 00:20:00,2,dry\n";
    std::fs::write(&path, text).unwrap();
    let mut reader = CsvReader::open(&path, None).unwrap();
    assert_eq!(reader.by_ref().filter(Result::is_ok).count(), 2);
    let expected = UnreadableValues { quantity: "relative_humidity", count: 2, first: "wet".to_owned() };
    assert_eq!(reader.unreadable(), [expected]);
    assert!((reader.progress() - 1.0).abs() < 1e-9);
}

#[test]
fn files_that_cannot_be_read_say_what_is_needed() {
    assert!(read("", None).unwrap_err().contains("a header line is needed"));
    assert!(read("a,b\n1,2\n", None).unwrap_err().contains("\"a\", \"b\"; give a mapping file"));
    let no_temperature = read("Date Time,p (mbar)\n", None).unwrap_err();
    assert!(no_temperature.contains("no column \"T (degC)\"; found \"Date Time\""), "{no_temperature}");
    assert!(read(b"\xff\xfeD\0", None).unwrap_err().contains("UTF-16"));
}

#[test]
fn a_header_in_latin_1_is_read() {
    // As in the files of the Jena station itself: µ is one byte.
    let text = b"Date Time,max. PAR (\xb5mol/m\xb2/s),T (degC)\n01.01.2009 00:10:00,1,-8.02\n";
    let rows = read(text, None).unwrap();
    assert_eq!(rows[0].as_ref().unwrap().1.get(Quantity::AirTemperature), Some(-8.02));
}

#[test]
fn a_line_is_a_row_and_a_row_has_no_more_cells_than_the_header() {
    let text = "Date Time,T (degC)\n\
                01.01.2009 00:10:00,\"1\n\
                01.01.2009 00:20:00,2\n\
                01.01.2009 00:30:00,3,5\n\
                01.01.2009 00:40:00,N/A,,\n";
    let rows = read(text, None).unwrap();
    assert_eq!(rows.len(), 4);
    assert!(rows[0].as_ref().unwrap_err().contains(":2: a quote is not closed"));
    let nul = read("Date Time,T (degC)\n\0\0\0\n01.01.2009 00:20:00,2\n", None).unwrap();
    assert!(nul[0].is_err() && nul[1].is_ok(), "a damaged row costs itself");
    assert_eq!(rows[1].as_ref().unwrap().1.get(Quantity::AirTemperature), Some(2.0));
    assert!(rows[2].as_ref().unwrap_err().contains(":4: 3 cells where the header has 2; decimal commas?"));
    assert_eq!(rows[3].as_ref().unwrap().1.get(Quantity::AirTemperature), None);
    let twice = read("Date Time,T (degC),T (degC)\n", None).unwrap_err();
    assert!(twice.contains("more than one column \"T (degC)\""), "{twice}");
    let unknown = read("time,y\n2009-01-01T00:00:00Z,1\n", None).unwrap_err();
    assert!(unknown.contains("give a mapping file"), "{unknown}");
}

#[test]
fn a_column_that_a_mapping_names_and_the_file_lacks_is_said() {
    let text = "Date Time,p (mbar),T (degC)\n01.01.2009 00:10:00,996.52,-8.02\n";
    let mapping = |pressure: &str| {
        let time = "time = { column = \"Date Time\", format = \"%d.%m.%Y %H:%M:%S\" }";
        let columns = format!(
            "\"T (degC)\".quantity = \"air_temperature\"\n\"{pressure}\".quantity = \"air_pressure\""
        );
        CsvMapping::parse(&format!("{time}\n[columns]\n{columns}\n")).unwrap()
    };
    assert_eq!(read(text, Some(&mapping("p (mbar)"))).unwrap().len(), 1);
    let error = read(text, Some(&mapping("pressure"))).unwrap_err();
    assert!(error.contains("no column \"pressure\"; found \"Date Time\", \"p (mbar)\""), "{error}");
}

#[test]
fn a_mapping_file_gives_names_units_and_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mapping.toml");
    let mapping = r#"
        station = "cambridge"
        site = { latitude_deg = 52.21, longitude_deg = 0.09 }
        time = { column = "ds", format = "%Y-%m-%d %H:%M:%S" }
        [columns]
        y = { quantity = "air_temperature", unit = "0.1 degC" }
        "dew.point" = { quantity = "dew_point_temperature", unit = "0.1 degC" }
        "wind.speed.mean" = { quantity = "wind_speed", unit = "0.1 knot" }
    "#;
    std::fs::write(&path, mapping).unwrap();
    let mapping = CsvMapping::read(&path).unwrap();
    let text = "\"ds\",\"y\",\"dew.point\",\"wind.speed.mean\"\n2008-08-01 08:30:00,186,128,123\n";
    let rows = read(text, Some(&mapping)).unwrap();
    let (time, values) = rows[0].clone().unwrap();
    assert_eq!(time.to_string(), "2008-08-01T08:30:00Z");
    assert_eq!(values.get(Quantity::AirTemperature), Some(18.6));
    assert_eq!(values.get(Quantity::DewPointTemperature), Some(12.8));
    assert!((values.get(Quantity::WindSpeed).unwrap() - 6.3277).abs() < 1e-3);

    std::fs::write(&path, "time = { column = \"ds\" }\n[columns]\ny = { quantity = \"warmth\" }").unwrap();
    let error = with_source(CsvMapping::read(&path).unwrap_err());
    assert!(error.contains("unknown quantity \"warmth\""), "{error}");

    let time = "time = { column = \"ds\" }\n";
    for (text, message) in [
        ("[columns\ny = { quantity = \"air_temperature\" }", "unclosed table"),
        ("[columns]\ny = { quantity = \"air_pressure\" }", "no column is air_temperature"),
        (
            "[columns]\na = { quantity = \"air_temperature\" }\nb = { quantity = \"air_temperature\" }",
            "\"a\" and \"b\" are both air_temperature",
        ),
    ] {
        std::fs::write(&path, format!("{time}{text}")).unwrap();
        let error = with_source(CsvMapping::read(&path).unwrap_err());
        assert!(error.contains(message) && !error.contains(['\n', '^']), "{error}");
    }
}

#[test]
fn each_fault_of_a_mapping_is_said_once_by_a_sentence_of_its_own_behind_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mapping.toml");
    let said = |error: CsvError, path: &Path| {
        let source = std::error::Error::source(&error).expect("what is wrong is the source");
        assert!(source.source().is_none(), "{source} is all that is wrong");
        let text = with_source(error);
        text.strip_prefix(&format!("mapping {}: ", path.display())).unwrap_or(&text).to_owned()
    };
    let gone = CsvMapping::read(&path).unwrap_err();
    assert!(said(gone, &path).starts_with("No such file"));
    let with = |text: &[u8]| {
        std::fs::write(&path, text).unwrap();
        said(CsvMapping::read(&path).unwrap_err(), &path)
    };
    assert_eq!(with(b"station = \"Z\xfcrich\""), "not UTF-8; save it as such");
    assert!(with(b"\ntable = 7").starts_with("line 2: "));
    assert_eq!(
        with(b"[columns]\ny = { quantity = \"air_pressure\" }"),
        "no column is air_temperature, which is needed"
    );

    let file = folder.path().join("file.csv");
    std::fs::write(&file, "time,y\n2009-01-01T00:00:00Z,1\n").unwrap();
    let open = |mapping: &str| {
        let mapping = CsvMapping::parse(mapping).unwrap();
        said(CsvReader::open(&file, Some(&mapping)).err().unwrap(), &file)
    };
    let columns = "[columns]\ny = { quantity = \"air_temperature\" }\n";
    assert_eq!(
        open(&format!("table = {{ delimiter = \"semicolon\" }}\n{columns}")),
        "delimiter \"semicolon\" is neither one character such as \";\" nor \"tab\" nor \"blank\""
    );
    assert_eq!(open(columns), "the mapping has no column of time; found \"time\", \"y\"");
}

#[test]
fn every_file_that_covers_what_another_does_is_named_with_the_one_whose_values_stand() {
    let folder = tempfile::tempdir().unwrap();
    // A year, read first; days within it; one day that overlaps nothing but the year; what follows.
    let days =
        [("a.csv", 1, 300), ("b.csv", 10, 20), ("c.csv", 40, 50), ("d.csv", 300, 310), ("0.csv", 305, 320)];
    let paths: Vec<PathBuf> = days
        .iter()
        .map(|&(name, first, last)| {
            let start: jiff::civil::Date = "2001-01-01".parse().unwrap();
            let row = |day: i64| {
                let date = start + jiff::SignedDuration::from_hours(24 * day);
                format!("{}T00:00:00Z,{}\n", date, day % 9)
            };
            let path = folder.path().join(name);
            std::fs::write(&path, format!("time,air_temperature_c\n{}{}", row(first), row(last))).unwrap();
            path
        })
        .collect();
    let mut reader = CsvReader::open_all(&paths, None).unwrap();
    assert_eq!(reader.by_ref().filter(Result::is_ok).count(), 2 * days.len());
    let overlaps = reader.overlaps();
    let named: Vec<(&str, &str)> =
        overlaps.iter().map(|overlap| (overlap.files.0.as_str(), overlap.files.1.as_str())).collect();
    assert_eq!(named, [("a.csv", "b.csv"), ("a.csv", "c.csv"), ("d.csv", "0.csv")]);
    assert!(
        overlaps[2].to_string().ends_with("that of 0.csv stands, which is read later"),
        "{}",
        overlaps[2]
    );
}

#[test]
fn of_two_files_that_say_another_value_of_one_time_that_which_is_read_later_stands() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, celsius: f64, last: i64| {
        let rows = (0..last).map(|hour| format!("2001-01-01T{hour:02}:00:00Z,{celsius}\n"));
        let path = folder.path().join(name);
        std::fs::write(&path, format!("time,air_temperature_c\n{}", rows.collect::<String>())).unwrap();
    };
    write("later.csv", 9.0, 4);
    write("before.csv", 7.0, 8);
    let source = crate::RecordSource::new(folder.path(), None);
    let grid = forecastd_core::Grid::new(3600).unwrap();
    let record = crate::Record::read(&source, grid, &[Quantity::AirTemperature]).unwrap();
    let value = |row: usize| record.history().value(record.rows()[row], Quantity::AirTemperature);
    assert_eq!((value(3), value(4)), (9.0, 7.0));
    let said = record.facts().quality.to_string();
    assert!(
        said.contains("before.csv and later.csv overlap") && said.contains("that of later.csv stands"),
        "{said}"
    );
}
