//! Names for people: the nearest one to a misspelt name, and lists of choices.

/// The most names that a message lists.
const CHOICES_MAX: usize = 12;

/// The name that was probably meant, if one is near enough.
pub(crate) fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_lowercase();
    let far = (name.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (distance(&name, &candidate.to_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= far)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The help for a name that does not exist: the one that was probably meant, else what there is.
pub(crate) fn instead<'a>(name: &str, what: &str, candidates: impl IntoIterator<Item = &'a str> + Clone) -> String {
    match nearest(name, candidates.clone()) {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None => match choices(candidates, "and") {
            Some(choices) => format!("{what} {choices}"),
            None => format!("{what} none"),
        },
    }
}

/// "`a`, `b` and `c`"; nothing for no names.
pub(crate) fn choices<'a>(names: impl IntoIterator<Item = &'a str>, last: &str) -> Option<String> {
    let mut names: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    if names.len() > CHOICES_MAX {
        let more = names.len() - CHOICES_MAX;
        names.truncate(CHOICES_MAX);
        names.push(format!("{more} more"));
    }
    let end = names.pop()?;
    Some(if names.is_empty() {
        end
    } else {
        format!("{} {last} {end}", names.join(", "))
    })
}

/// Insertions, removals, replacements and swaps of neighbours that lead from one to the other.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().collect();
    let b: Vec<char> = b.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let mut least = (last[j] + usize::from(x != y)).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                least = least.min(before[j - 1] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_suggested_and_a_distant_one_is_not() {
        let names = ["mappings", "match", "mode", "model"];
        assert_eq!(nearest("mapings", names), Some("mappings"));
        assert_eq!(nearest("mdoe", names), Some("mode"));
        assert_eq!(nearest("MODEL", names), Some("model"));
        assert_eq!(nearest("schedule", names), None);
    }

    #[test]
    fn choices_read_as_a_sentence() {
        assert_eq!(choices(["a", "b", "c"], "or").as_deref(), Some("`a`, `b` or `c`"));
        assert_eq!(choices(["a"], "or").as_deref(), Some("`a`"));
        assert_eq!(choices([], "or"), None);
    }
}
