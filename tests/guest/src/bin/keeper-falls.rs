//! `keeper-falls`: as `keeper-next`, but it dies by itself when it has served for a second.
#![cfg_attr(target_os = "none", no_std, no_main)]

use guest::keeper::{Form, Keeper};
use libsys::time::Duration;

struct Falls;

impl Form for Falls {
    const FORM: u32 = 1;
    const FALLS: Option<Duration> = Some(Duration::from_secs(1));
}

libsys::serve!(Keeper<Falls>);
