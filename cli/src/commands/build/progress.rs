//! What a build shows while it runs: bars on a terminal, plain lines elsewhere.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, PoisonError};

use cooperage_image::{Event, Progress};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// Shows the engine's events on standard error.
pub(crate) enum Display {
    /// Bars below the lines.
    Terminal {
        /// All bars.
        bars: MultiProgress,
        /// The bars by step, those that are not done.
        steps: Mutex<BTreeMap<String, ProgressBar>>,
    },
    /// Lines alone.
    Plain,
}

impl Display {
    pub(crate) fn on_stderr() -> Self {
        if io::stderr().is_terminal() {
            Self::Terminal {
                bars: MultiProgress::new(),
                steps: Mutex::default(),
            }
        } else {
            Self::Plain
        }
    }

    pub(crate) fn show(&self, event: &Event<'_>) {
        match event {
            Event::Phase(_) => {}
            Event::Info(text) => self.print(format!("INFO:    {text}\n").as_bytes()),
            Event::Warning(text) => self.print(format!("WARNING: {text}\n").as_bytes()),
            Event::Output(bytes) => self.print(bytes),
            Event::Progress(progress) => self.advance(progress),
        }
    }

    /// Takes the bars away.
    pub(crate) fn finish(&self) {
        if let Self::Terminal { bars, .. } = self {
            ignore_closed(bars.clear());
        }
    }

    fn print(&self, bytes: &[u8]) {
        let write = || io::stderr().lock().write_all(bytes);
        ignore_closed(match self {
            Self::Terminal { bars, .. } => bars.suspend(write),
            Self::Plain => write(),
        });
    }

    fn advance(&self, progress: &Progress<'_>) {
        let Self::Terminal { bars, steps } = self else {
            return;
        };
        let mut steps = steps.lock().unwrap_or_else(PoisonError::into_inner);
        let bar = steps
            .entry(progress.step.to_owned())
            .or_insert_with(|| bars.add(new_bar(progress.step.to_owned(), progress.total)));
        bar.set_position(progress.done);
        if progress.total.is_some_and(|total| progress.done >= total) {
            bar.finish_and_clear();
            steps.remove(progress.step);
        }
    }
}

fn new_bar(step: String, total: Option<u64>) -> ProgressBar {
    let template = match total {
        Some(_) => "{msg:30!} {bar:25} {bytes:>10}/{total_bytes:10} {bytes_per_sec:>12} {eta:>4}",
        None => "{msg:30!} {spinner} {bytes:>10} {bytes_per_sec:>12}",
    };
    let style = ProgressStyle::with_template(template);
    let bar = total.map_or_else(ProgressBar::no_length, ProgressBar::new);
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        .with_message(step)
}

/// A terminal that went away is no reason to stop the build.
fn ignore_closed(written: io::Result<()>) {
    drop(written);
}
