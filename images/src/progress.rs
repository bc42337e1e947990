//! What the tool says while it works: a spinner on a terminal, plain lines elsewhere.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// How often the spinner turns.
const TICK: Duration = Duration::from_millis(100);

/// Where progress is shown.
#[derive(Debug)]
pub enum Progress {
    /// Nowhere: in tests.
    Silent,
    /// A line on stderr for each step.
    Lines,
    /// A line at the bottom of the terminal, gone when the work is done.
    Spinner(ProgressBar),
}

impl Progress {
    /// A spinner if stderr is a terminal, else lines.
    pub fn for_stderr() -> Self {
        if !std::io::stderr().is_terminal() {
            return Self::Lines;
        }
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner:.green} {prefix} {wide_msg:.dim}") {
            bar.set_style(style);
        }
        bar.set_prefix("preparing");
        bar.enable_steady_tick(TICK);
        Self::Spinner(bar)
    }

    /// Begins a step that is always worth a line, such as a download.
    pub fn step(&self, text: &str) {
        match self {
            Self::Silent => {}
            Self::Lines => eprintln!("skink: {text}"),
            Self::Spinner(bar) => {
                bar.set_prefix(text.to_string());
                bar.set_message("");
            }
        }
    }

    /// Says what the step is doing right now; shown on a terminal only.
    pub fn detail(&self, text: &str) {
        if let Self::Spinner(bar) = self {
            bar.set_message(text.to_string());
        }
    }

    /// Prints a line of results, above the spinner.
    pub fn line(&self, text: &str) {
        match self {
            Self::Spinner(bar) => bar.suspend(|| println!("{text}")),
            Self::Silent | Self::Lines => println!("{text}"),
        }
    }

    /// Takes the spinner away.
    pub fn finish(&self) {
        if let Self::Spinner(bar) = self {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}
