//! Host tests: a machine of leaked memory.
