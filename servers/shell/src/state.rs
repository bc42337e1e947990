//! What commands can change in the shell, and what a subshell gives back as it was.

use crate::script::Command;
use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// A variable.
#[derive(Clone, Debug)]
pub struct Variable {
    /// Its value.
    pub value: String,
    /// Programs get it.
    pub is_exported: bool,
}

/// All of it but the current directory, which is the process's.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// Variables by name.
    pub variables: BTreeMap<String, Variable>,
    /// Functions by name.
    pub functions: BTreeMap<String, Rc<Command>>,
    /// `$1` and those behind it.
    pub positions: Vec<String>,
    /// The file that is run; `None`: what was typed.
    pub source: Option<String>,
    /// `set -e`
    pub ends_on_failure: bool,
    /// `set -x`
    pub traces: bool,
    /// Functions, and files that are sourced, that `return` can leave.
    pub calls: u32,
    /// Loops that `break` can leave.
    pub loops: u32,
}

impl State {
    /// The value of a variable.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(|variable| variable.value.as_str())
    }

    /// Gives a variable a value. One that programs get, they go on getting.
    pub fn set(&mut self, name: &str, value: String) {
        match self.variables.get_mut(name) {
            Some(variable) => variable.value = value,
            None => drop(self.variables.insert(name.to_string(), Variable { value, is_exported: false })),
        }
    }

    /// From here on programs get the variable.
    pub fn export(&mut self, name: &str) {
        let variable = self.variables.entry(name.to_string());
        variable.or_insert_with(|| Variable { value: String::new(), is_exported: true }).is_exported = true;
    }

    /// Names and values that programs get.
    pub fn exported(&self) -> Vec<(String, String)> {
        let exported = self.variables.iter().filter(|(_, variable)| variable.is_exported);
        exported.map(|(name, variable)| (name.clone(), variable.value.clone())).collect()
    }
}
