//! What a program was started with. Placeholder: the runtime's file takes its place.

/// What a program was started with.
#[derive(Debug)]
pub struct Env(());
