//! Typed channels end to end: a protocol with every kind of argument, served over the fake kernel.

mod every;
