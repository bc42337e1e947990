//! null
fn main() {}
