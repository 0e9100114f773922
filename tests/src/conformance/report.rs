//! The table with its verdicts, as it stands in the documentation.

use std::fmt::Write;

use super::play::Verdict;
use super::table::{Case, Cast};

/// A case and what came of it, in the order of [`Cast::ALL`].
#[derive(Debug)]
pub struct Row {
    /// The case.
    pub case: Case,
    /// What came of it.
    pub verdicts: [Verdict; 3],
}

const HEAD: &str = "\
# Conformance

What Apptainer's own end-to-end tests ask for, as cases of ours, and who holds them. Each case stands
in `tests/conformance/` with its files and steps; `tests/run story conformance` plays all of them and
compares this page with what came of it.

- **ours**: our program builds, runs and inspects, as an ordinary user
- **mixed**: Apptainer runs and inspects the image that our program built
- **peer**: Apptainer does both, which shows that the expectation is right

| case | what must hold | ours | mixed | peer |
|---|---|---|---|---|
";

/// Renders the rows in Markdown.
pub fn render(rows: &[Row]) -> String {
    let mut page = HEAD.to_owned();
    let mut notes = Vec::new();
    for row in rows {
        let [ours, mixed, peer] = row
            .verdicts
            .each_ref()
            .map(|verdict| mark(verdict, &mut notes));
        let Case { id, essence, .. } = &row.case;
        let essence = essence.replace('|', "\\|");
        push(
            &mut page,
            &format!("| {id} | {essence} | {ours} | {mixed} | {peer} |\n"),
        );
    }
    let count = |wanted: fn(&Verdict) -> bool| {
        let verdicts = rows.iter().flat_map(|row| &row.verdicts);
        verdicts.filter(|verdict| wanted(verdict)).count()
    };
    let holds = count(|verdict| *verdict == Verdict::Holds);
    let fails = count(|verdict| matches!(verdict, Verdict::Fails(_)));
    push(
        &mut page,
        &format!(
            "\n{} cases of {} casts: {holds} hold, {fails} fail.\n",
            rows.len(),
            Cast::ALL.len()
        ),
    );
    if !notes.is_empty() {
        page.push_str("\nNot played:\n\n");
    }
    for (number, note) in (1..).zip(&notes) {
        push(&mut page, &format!("{number}. {note}\n"));
    }
    page
}

fn mark(verdict: &Verdict, notes: &mut Vec<String>) -> String {
    match verdict {
        Verdict::Holds => "holds".to_owned(),
        Verdict::Fails(_) => "**fails**".to_owned(),
        Verdict::NotPlayed(why) => {
            let known = notes.iter().position(|note| note == why);
            let index = known.unwrap_or_else(|| {
                notes.push(why.clone());
                notes.len() - 1
            });
            format!("– ({})", index + 1)
        }
    }
}

fn push(page: &mut String, text: &str) {
    page.write_str(text).expect("writing to memory");
}
