//! `fat`: the file systems FAT12, FAT16 and FAT32. Serves `filesystem` and `file`. Session `device`, a disk of `block`; session `rtc` for the times of files, if
//! there is one. Parameters: `read-only` (`true`); `cache` and `overlay`, MiB of the page cache (8) and of the overlay (4);
//! `patience`, milliseconds that the disk may take until init hears of it (8000).
//!
//! One process is one mounted file system.
#![cfg_attr(target_os = "none", no_std, no_main)]

extern crate alloc;

mod served;

use filesystem::FileServer;

libsys::serve!(FileServer<served::Served>);
