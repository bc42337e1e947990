//! Programs in the background.

use crate::launch::Child;
use crate::status;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use libsys::Error;
use libsys::process::ExitRecord;

/// A program in the background.
pub struct Job {
    /// Its number, for `%1`.
    pub number: usize,
    /// What was typed.
    pub command: String,
    /// The last program of the pipeline.
    pub child: Rc<dyn Child>,
    /// Those before it.
    pub others: Vec<Rc<dyn Child>>,
}

impl Job {
    /// Kills all of its programs.
    pub fn kill(&self) -> Result<(), Error> {
        self.others.iter().try_for_each(|child| child.kill(0))?;
        self.child.kill(0)
    }

    /// How the last one ended, once all have.
    fn ended(&self) -> Result<Option<ExitRecord>, Error> {
        for child in &self.others {
            if child.ended()?.is_none() {
                return Ok(None);
            }
        }
        self.child.ended()
    }

    /// Whether one of its programs is the process of this number.
    fn has(&self, process: u64) -> bool {
        self.child.process() == process || self.others.iter().any(|child| child.process() == process)
    }
}

/// All of them.
#[derive(Default)]
pub struct Jobs {
    jobs: Vec<Job>,
}

impl Jobs {
    /// Adds programs that were started; their number as a job, the smallest that is free.
    pub fn add(&mut self, command: String, child: Rc<dyn Child>, others: Vec<Rc<dyn Child>>) -> usize {
        let is_free = |number: &usize| self.jobs.iter().all(|job| job.number != *number);
        let number = (1..).find(is_free).unwrap_or(usize::MAX);
        self.jobs.push(Job { number, command, child, others });
        self.jobs.sort_by_key(|job| job.number);
        number
    }

    /// A job of the shell before.
    pub fn restore(&mut self, job: Job) {
        self.jobs.push(job);
    }

    /// In order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = &Job> {
        self.jobs.iter()
    }

    /// The job whose process has this number.
    pub fn of_process(&self, process: u64) -> Option<&Job> {
        self.jobs.iter().find(|job| job.has(process))
    }

    /// Takes out a job that has ended: it, its status, and what is to be said about its end.
    pub fn next_ended(&mut self) -> Option<(Job, u8, String)> {
        let ended = self.jobs.iter().enumerate().find_map(|(at, job)| {
            // A child that cannot be asked is one that nothing more will come of.
            match job.ended() {
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
