use super::*;

fn header(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn row(table: &mut Table, cells: &[&str]) -> Result<Option<TableRow>, RowError> {
    let cells = cells.to_vec();
    table.row(&move |index| cells.get(index).copied())
}

#[test]
fn columns_are_found_by_name_position_occurrence_and_without_their_unit() {
    let mapping = Mapping::parse(
        "time = { column = 1, format = \"%Y-%m-%d %H:%M\" }\n[columns]\n\
         Temp = { quantity = \"air_temperature\", occurrence = 2 }\n\
         Pressure.quantity = \"air_pressure\"\n\
         wind = { quantity = \"wind_speed\" }\n",
    )
    .unwrap();
    let header = header(&["t", "Temp", "Temp", "PRESSURE", "wind [km/h]"]);
    let mut table = mapping.bind(&header, &[], None).unwrap();
    let read = row(&mut table, &["2024-01-01 00:00", "1", "2,5", "1000", "36"]).unwrap().unwrap();
    assert_eq!(read.values.get(Quantity::AirTemperature), Some(2.5));
    assert_eq!(read.values.get(Quantity::AirPressure), Some(1000.0));
    assert_eq!(read.values.get(Quantity::WindSpeed), Some(10.0));
    let twice = position(&header, &Column::Name("Temp".into()), None, None).unwrap_err();
    assert_eq!(twice, BindError::RepeatedColumn("Temp".into()));
}

#[test]
fn a_text_costs_its_value_and_not_its_row() {
    let mapping = Mapping::parse(
        "time = { column = \"t\" }\n[columns]\nT.quantity = \"temperature\"\nd.quantity = \"wind_direction\"\n\
         s.quantity = \"wind_speed\"\n",
    )
    .unwrap();
    let mut table = mapping.bind(&header(&["t", "T", "d", "s"]), &[], None).unwrap();
    let time = "2024-01-01T00:00:00Z";
    let read = row(&mut table, &[time, "1.9", "VRB", "Calm"]).unwrap().unwrap();
    assert_eq!(read.values.iter().count(), 2);
    assert_eq!(read.values.get(Quantity::WindSpeed), Some(0.0));
    let read = row(&mut table, &[time, "warm", "SSW", "1"]).unwrap().unwrap();
    assert_eq!(read.unreadable, [("air_temperature", "warm".to_owned())]);
    assert_eq!(read.values.get(Quantity::WindFromDirection), Some(202.5));
    let error = row(&mut table, &[time, "warm", "", ""]).unwrap_err();
    assert_eq!(error.to_string(), "air_temperature is \"warm\", not a number");
    assert_eq!(row(&mut table, &[time, "1"]).unwrap_err().to_string(), "row ends before wind_from_direction");
}

#[test]
fn a_unit_that_is_not_known_costs_its_value_and_is_said() {
    let mapping = Mapping::parse("preset = \"weewx-archive\"\n").unwrap();
    let header = header(&["dateTime", "usUnits", "outTemp", "outHumidity"]);
    let mut table = mapping.bind(&header, &[], None).unwrap();
    let read = row(&mut table, &["1704845100", "5", "35.2", "84"]).unwrap().unwrap();
    assert_eq!(read.values.iter().map(|(_, value)| value).collect::<Vec<_>>(), [84.0]);
    assert_eq!(read.unreadable, [("air_temperature", "35.2 in unit 5".to_owned())]);
    // Nothing was measured, or no unit is there.
    for (unit, value) in [("5", ""), ("", "35.2")] {
        let read = row(&mut table, &["1704845100", unit, value, "84"]).unwrap().unwrap();
        assert!(read.unreadable.is_empty(), "{:?}", read.unreadable);
    }
}

#[test]
fn conditions_choose_rows_and_values() {
    let mapping = Mapping::parse(
        "time = { column = \"t\" }\nwhere = { place = \"out\" }\n[columns]\n\
         T = { quantity = \"temperature\", column = \"v\", where = { id = \"t\" } }\n\
         H = { quantity = \"humidity\", column = \"v\", where = { id = [\"h\", \"rh\"] } }\n",
    )
    .unwrap();
    let mut table = mapping.bind(&header(&["t", "place", "id", "v"]), &[], None).unwrap();
    let time = "2024-01-01T00:00:00Z";
    let mut read = |place, id, value| row(&mut table, &[time, place, id, value]).unwrap();
    let values = read("out", "t", "1").unwrap().values;
    assert_eq!((values.get(Quantity::AirTemperature), values.iter().count()), (Some(1.0), 1));
    assert_eq!(read("out", "rh", "80").unwrap().values.get(Quantity::RelativeHumidity), Some(80.0));
    assert_eq!(read("in", "t", "20"), None);
    assert_eq!(read("out", "battery", "3"), None);
}

#[test]
fn of_two_orders_of_day_and_month_the_one_that_reads_every_row_is_taken_or_none() {
    let mapping = Mapping::parse(
        "time = { column = \"t\", format = [\"%m/%d/%y %H:%M\", \"%d/%m/%y %H:%M\"] }\ncolumns.T.quantity = \"temp\"\n",
    )
    .unwrap();
    let bind = |times: &[&str]| {
        let rows: Vec<Vec<String>> = times.iter().map(|time| header(&[time, "1"])).collect();
        mapping.bind(&header(&["t", "T"]), &rows, None)
    };
    let mut table = bind(&["11/02/24 00:00", "13/02/24 00:00"]).unwrap();
    let read = row(&mut table, &["12/02/24 00:00", "1"]).unwrap().unwrap();
    assert_eq!(read.time.to_string(), "2024-02-12T00:00:00Z");
    assert!(bind(&["11/02/24 00:00", "12/02/24 00:00"]).unwrap_err().to_string().contains("several forms"));
    assert!(bind(&["2024"]).unwrap_err().to_string().contains("nor of the 1 others"));
    assert!(bind(&["02/02/24 00:00"]).is_ok(), "both orders say the same");
}
