//! What a long command shows while it works: bars on a terminal, plain lines elsewhere.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, PoisonError};

use cooperage_image::{Event, Progress};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::output;

/// How much is shown.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct ProgressArgs {
    /// Show warnings and errors only.
    #[arg(long, short)]
    quiet: bool,
    /// Show the phases and steps, too, where no bars can be shown.
    #[arg(long, short, conflicts_with = "quiet")]
    verbose: bool,
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Voice {
    /// The engine: lines with their level, on standard error.
    Engine,
    /// A command of Singularity 2: its own lines, on standard output.
    Classic,
}

/// Shows the engine's events.
pub(crate) struct Display {
    voice: Voice,
    quiet: bool,
    verbose: bool,
    bars: Option<Bars>,
}

/// Bars below the lines.
#[derive(Default)]
struct Bars {
    all: MultiProgress,
    /// The bars by step, those that are not done.
    steps: Mutex<BTreeMap<String, ProgressBar>>,
}

impl ProgressArgs {
    pub(crate) fn display(self, voice: Voice) -> Display {
        let shows_bars = io::stderr().is_terminal() && !self.quiet;
        Display {
            voice,
            quiet: self.quiet,
            verbose: self.verbose,
            bars: shows_bars.then(Bars::default),
        }
    }
}

impl Display {
    pub(crate) fn show(&self, event: &Event<'_>) {
        match event {
            Event::Warning(text) => self.tell(format!("WARNING: {text}\n").as_bytes()),
            Event::Diagnostic(diagnostic) => {
                let severity = diagnostic.severity.as_str().to_uppercase();
                self.tell(format!("{severity}: {}\n", diagnostic.message).as_bytes());
            }
            _ if self.quiet => {}
            Event::Phase(phase) => self.detail(&format!("phase {}", phase.as_str())),
            Event::Info(text) => self.say(text),
            Event::Output(bytes) => self.tell(bytes),
            Event::Progress(progress) => {
                if self.bars.is_none() && progress.total == Some(progress.done) {
                    let size = output::size(progress.done);
                    self.detail(&format!("{}: {size}", progress.step));
                }
                self.advance(progress);
            }
        }
    }

    /// Shows a diagnostic with its line.
    pub(crate) fn explain(&self, rendered: &str) {
        self.tell(rendered.as_bytes());
    }

    /// Takes the bars away.
    pub(crate) fn finish(&self) {
        if let Some(bars) = &self.bars {
            ignore_closed(bars.all.clear());
        }
    }

    fn say(&self, text: &str) {
        match self.voice {
            Voice::Engine => self.tell(format!("INFO:    {text}\n").as_bytes()),
            Voice::Classic => self.beside_bars(|| {
                let mut out = io::stdout().lock();
                writeln!(out, "{text}").and_then(|()| out.flush())
            }),
        }
    }

    /// What only those want to know who ask for it.
    fn detail(&self, text: &str) {
        if self.verbose {
            self.tell(format!("VERBOSE: {text}\n").as_bytes());
        }
    }

    fn tell(&self, bytes: &[u8]) {
        self.beside_bars(|| io::stderr().lock().write_all(bytes));
    }

    fn beside_bars(&self, write: impl FnOnce() -> io::Result<()>) {
        ignore_closed(match &self.bars {
            Some(bars) => bars.all.suspend(write),
            None => write(),
        });
    }

    fn advance(&self, progress: &Progress<'_>) {
        let Some(bars) = &self.bars else {
            return;
        };
        let mut steps = bars.steps.lock().unwrap_or_else(PoisonError::into_inner);
        let bar = steps
            .entry(progress.step.to_owned())
            .or_insert_with(|| bars.all.add(new_bar(progress)));
        bar.set_position(progress.done);
        if progress.total.is_some_and(|total| progress.done >= total) {
            bar.finish_and_clear();
            steps.remove(progress.step);
        }
    }
}

fn new_bar(progress: &Progress<'_>) -> ProgressBar {
    let template = match progress.total {
        Some(_) => "{msg:30!} {bar:25} {bytes:>10}/{total_bytes:10} {bytes_per_sec:>12} {eta:>4}",
        None => "{msg:30!} {spinner} {bytes:>10} {bytes_per_sec:>12}",
    };
    let style = ProgressStyle::with_template(template);
    let bar = progress
        .total
        .map_or_else(ProgressBar::no_length, ProgressBar::new);
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        .with_message(progress.step.to_owned())
}

/// A terminal that went away is no reason to stop the work.
pub(crate) fn ignore_closed(written: io::Result<()>) {
    drop(written);
}
