//! The explanation of every key, read from the shipped default, for manuals.

use super::DEFAULT;

/// Keys that one comment explains together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyGroup {
    /// The section that they are in; empty for what stands before the first.
    pub section: String,
    /// The comment above them, in one line; of a commented example, line by line.
    pub text: String,
    /// Name and default of each, as they are written; none when the comment speaks of the section.
    pub keys: Vec<(String, String)>,
}

impl KeyGroup {
    /// Whether the text is a commented example, and not prose.
    pub fn is_example(&self) -> bool {
        self.text.starts_with("[[")
    }
}

/// Every key of the shipped default with its explanation, in the order in which they stand there.
pub fn reference() -> Vec<KeyGroup> {
    let mut groups = Vec::new();
    let mut section = String::new();
    for paragraph in DEFAULT.split("\n\n") {
        let mut comment = Vec::new();
        let mut group = KeyGroup { section: section.clone(), text: String::new(), keys: Vec::new() };
        for line in paragraph.lines() {
            if let Some(text) = line.strip_prefix('#') {
                let text = text.strip_prefix(' ').unwrap_or(text);
                // An example begins a group of its own.
                if text.starts_with("[[") && !comment.is_empty() {
                    group.text = joined(&comment);
                    groups.push(std::mem::replace(
                        &mut group,
                        KeyGroup { section: String::new(), text: String::new(), keys: Vec::new() },
                    ));
                    comment.clear();
                }
                if !(text.is_empty() && comment.is_empty()) {
                    comment.push(text);
                }
            } else if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                name.clone_into(&mut section);
                name.clone_into(&mut group.section);
            } else if let Some((name, default)) = line.split_once(" = ") {
                group.keys.push((name.to_owned(), default.to_owned()));
            }
        }
        group.text = joined(&comment);
        groups.push(group);
    }
    groups
}

fn joined(comment: &[&str]) -> String {
    let is_example = comment.first().is_some_and(|line| line.starts_with("[["));
    // A line that was empty within a comment ends a sentence.
    let lines: Vec<&str> = comment.iter().copied().filter(|line| is_example || !line.is_empty()).collect();
    lines.join(if is_example { "\n" } else { " " })
}

#[cfg(test)]
mod tests {
    use super::super::schema::Schema;
    use super::*;

    #[test]
    fn every_key_of_the_schema_is_explained_once() {
        let explained: Vec<String> = reference()
            .iter()
            .flat_map(|group| group.keys.iter().map(|(name, _)| format!("{}.{name}", group.section)))
            .collect();
        let schema = Schema::of_default();
        assert_eq!(explained, schema.keys().collect::<Vec<_>>());
    }

    #[test]
    fn every_key_has_a_text_of_its_own_or_that_of_its_group() {
        for group in reference() {
            assert!(!group.text.is_empty(), "{group:?}");
            assert!(group.is_example() || !group.text.contains(['\n', '#']), "{group:?}");
        }
    }
}
