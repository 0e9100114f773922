//! Which known word a misspelt one was meant to be.

const LONGEST: usize = 32;

/// The nearest of `known`, if it is near enough to be meant.
pub(super) fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    let word: Vec<char> = word.to_lowercase().chars().take(LONGEST + 1).collect();
    if word.len() > LONGEST || word.len() < 2 {
        return None;
    }
    let allowed = if word.len() < 4 { 1 } else { 2 };
    known
        .iter()
        .map(|candidate| (distance(&word, candidate), *candidate))
        .filter(|(distance, candidate)| *distance <= allowed || is_abbreviation(&word, candidate))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// `did you mean …?`, or else the list of all that is known.
pub(super) fn help(word: &str, known: &[&str], prefix: &str) -> String {
    if let Some(near) = nearest(word, known) {
        return format!("did you mean `{prefix}{near}`?");
    }
    let all: Vec<String> = known.iter().map(|name| format!("{prefix}{name}")).collect();
    format!("known are {}", all.join(", "))
}

fn is_abbreviation(word: &[char], candidate: &str) -> bool {
    word.len() >= 3 && candidate.starts_with(&word.iter().collect::<String>())
}

/// Edits between two words; swapping two neighbours is one edit.
fn distance(word: &[char], candidate: &str) -> usize {
    let candidate: Vec<char> = candidate.chars().collect();
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=candidate.len()).collect();
    for (row, letter) in word.iter().enumerate() {
        let mut current = vec![row + 1];
        for (column, other) in candidate.iter().enumerate() {
            let replaced = last[column] + usize::from(letter != other);
            let mut best = replaced.min(last[column + 1] + 1).min(current[column] + 1);
            let swapped = row > 0
                && column > 0
                && word[row - 1] == *other
                && *letter == candidate[column - 1];
            if swapped {
                best = best.min(before_last[column - 1] + 1);
            }
            current.push(best);
        }
        before_last = std::mem::replace(&mut last, current);
    }
    last[candidate.len()]
}
