//! Programs in the background.

use crate::launch::Child;
use crate::status;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

/// A program in the background.
pub struct Job {
    /// Its number, for `%1`.
    pub number: usize,
    /// What was typed.
    pub command: String,
    /// The program.
    pub child: Box<dyn Child>,
}

/// All of them.
#[derive(Default)]
pub struct Jobs {
    jobs: Vec<Job>,
}

impl Jobs {
    /// Adds a program that was started; its number as a job, the smallest that is free.
    pub fn add(&mut self, command: String, child: Box<dyn Child>) -> usize {
        let is_free = |number: &usize| self.jobs.iter().all(|job| job.number != *number);
        let number = (1..).find(is_free).unwrap_or(usize::MAX);
        self.jobs.push(Job { number, command, child });
        self.jobs.sort_by_key(|job| job.number);
        number
    }

    /// In order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = &Job> {
        self.jobs.iter()
    }

    /// The job whose process has this number.
    pub fn of_process(&self, process: u64) -> Option<&Job> {
        self.jobs.iter().find(|job| job.child.process() == process)
    }

    /// Takes out a job that has ended: it, its status, and what is to be said about its end.
    pub fn next_ended(&mut self) -> Option<(Job, u8, String)> {
        let ended = self.jobs.iter().enumerate().find_map(|(at, job)| {
            // A child that cannot be asked is one that nothing more will come of.
            match job.child.ended() {
                Ok(None) => None,
                Ok(Some(record)) => Some((at, status::of_program(&record))),
                Err(error) => Some((at, (status::FAILURE, Some(error.text().into())))),
            }
        });
        let (at, (status, said)) = ended?;
        let said = said.unwrap_or_else(|| match status {
            status::SUCCESS => "done".into(),
            status::INTERRUPTED => "interrupted".into(),
            status => alloc::format!("ended with status {status}"),
        });
        Some((self.jobs.remove(at), status, said))
    }

    /// Takes a job out, for the foreground.
    pub fn take(&mut self, number: usize) -> Option<Job> {
        let at = self.jobs.iter().position(|job| job.number == number)?;
        Some(self.jobs.remove(at))
    }

    /// The job that was started last.
    pub fn last(&self) -> Option<usize> {
        self.jobs.iter().map(|job| job.number).max()
    }
}
