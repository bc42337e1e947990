//! What words are expanded with.

use crate::failure::Failure;
use crate::script::expand::Surroundings;
use crate::script::{Parameter, Script};
use crate::shell::Shell;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use libsys::{fs, sys};

/// The name of the current directory among the variables.
pub(crate) const CURRENT: &str = "PWD";

impl Surroundings for Shell {
    type Error = Failure;

    fn parameter(&self, parameter: &Parameter) -> Option<String> {
        match parameter {
            Parameter::Status => Some(self.status.to_string()),
            Parameter::Count => Some(self.state.positions.len().to_string()),
            Parameter::All(_) => Some(self.state.positions.join(" ")),
            Parameter::Process => Some(sys::identify().process.to_string()),
            Parameter::Position(0) => Some(self.state.source.clone().unwrap_or_else(|| "shell".into())),
            Parameter::Position(number) => self.state.positions.get(number - 1).cloned(),
            Parameter::Variable(name) => self.variable(name),
        }
    }

    fn positions(&self) -> Vec<String> {
        self.state.positions.clone()
    }

    fn output(&mut self, script: &Script) -> Result<String, Failure> {
        let bytes = self.capture(|shell| shell.run_script(script))?;
        self.substituted = Some(self.status);
        Ok(String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
    }

    fn names(&mut self, directory: &str) -> Vec<String> {
        let directory = if directory.is_empty() { "." } else { directory };
        let Ok(names) = fs::read_dir(directory) else {
            return Vec::new();
        };
        names.filter_map(Result::ok).map(|entry| entry.file_name().to_string()).collect()
    }

    fn is_directory(&mut self, path: &str) -> bool {
        fs::metadata(path).is_ok_and(|metadata| metadata.is_dir())
    }

    fn error(&self, text: String) -> Failure {
        Failure::Error(text)
    }
}

impl Shell {
    /// The value of a variable.
    pub fn variable(&self, name: &str) -> Option<String> {
        match name {
            CURRENT => fs::current_directory().ok(),
            name => self.state.variable(name).map(String::from),
        }
    }
}
