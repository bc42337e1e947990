//! Tests over functions made up.
