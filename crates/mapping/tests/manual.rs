//! The examples of the manual are what it says they are.

use forecastd_mapping::{Mapping, Source};

#[test]
fn every_example_of_the_manual_is_read() {
    let manual = include_str!("../../../docs/mapping.md");
    let examples: Vec<&str> =
        manual.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert_eq!(examples.len(), 2);
    for example in examples {
        match example.contains("[[source]]") {
            true => assert_eq!(Source::read_all(example).unwrap().len(), 1),
            false => assert!(Mapping::parse(example).unwrap().station().is_some()),
        }
    }
}

#[test]
fn the_sources_of_the_commented_configuration_are_read_without_their_marks() {
    let configuration = include_str!("../../../deploy/forecastd.toml");
    let commented = &configuration[configuration.find("# [[source]]").unwrap()..];
    let text: String =
        commented.lines().map(|line| line.trim_start_matches('#').trim_start().to_owned() + "\n").collect();
    let sources = Source::read_all(&text).unwrap();
    assert_eq!(sources.len(), 2);
    assert!(sources[0].merges() && !sources[1].merges());
}
