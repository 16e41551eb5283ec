//! How many parameters each part of a model has.

use std::fmt;

/// Parameter counts by part, in order of name; prints as a table with the total.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Summary {
    parts: Vec<(String, usize)>,
}

impl Summary {
    /// Adds up the counts of named variables by the first component of their names.
    pub(crate) fn of<'a>(counts: impl IntoIterator<Item = (&'a str, usize)>) -> Self {
        let mut parts: Vec<(String, usize)> = Vec::new();
        for (name, count) in counts {
            let part = name.split('.').next().unwrap_or(name);
            match parts.iter_mut().find(|(known, _)| known == part) {
                Some((_, sum)) => *sum += count,
                None => parts.push((part.to_owned(), count)),
            }
        }
        parts.sort();
        Self { parts }
    }

    /// (part, parameters) in order of name.
    pub fn parts(&self) -> &[(String, usize)] {
        &self.parts
    }

    /// Parameters of one part; 0 where there is no such part.
    pub fn part(&self, name: &str) -> usize {
        self.parts.iter().find(|(part, _)| part == name).map_or(0, |(_, count)| *count)
    }

    /// Parameters of all parts.
    pub fn total(&self) -> usize {
        self.parts.iter().map(|(_, count)| count).sum()
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (part, count) in &self.parts {
            writeln!(f, "{part:<12} {count:>12}")?;
        }
        write!(f, "{:<12} {:>12}", "total", self.total())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_add_up_by_first_component() {
        let summary = Summary::of([("mel.a", 2), ("mel.b.c", 3), ("encoder.x", 7)]);
        assert_eq!(summary.parts(), [("encoder".to_owned(), 7), ("mel".to_owned(), 5)]);
        assert_eq!((summary.part("mel"), summary.part("image"), summary.total()), (5, 0, 12));
        assert!(summary.to_string().ends_with("12"));
    }
}
