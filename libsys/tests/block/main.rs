//! Block devices over the fake kernel: a driver written with the kit, and its client `Disk`.

mod deaths;
mod hostile;
mod world;
