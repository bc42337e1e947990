//! `logs info|panic TEXT…`: writes a line into its log, or panics with it. What a test of the log starts from the shell.
#![cfg_attr(target_os = "none", no_std, no_main)]

extern crate alloc;

use alloc::string::String;
use libsys::env;

libsys::main!(run);

fn run() -> Result<(), &'static str> {
    let (how, words) =
        env::arguments().get(1..).and_then(<[String]>::split_first).ok_or("usage: logs info|panic TEXT…")?;
    let text = words.join(" ");
    match how.as_str() {
        "info" => libsys::info!("{text}"),
        "panic" => panic!("{text}"),
        _ => return Err("usage: logs info|panic TEXT…"),
    }
    Ok(())
}
