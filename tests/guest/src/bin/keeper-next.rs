//! `keeper-next`: the service `keeper` with records of the second form.
#![cfg_attr(target_os = "none", no_std, no_main)]

use guest::keeper::{Form, Keeper};
use libsys::time::Duration;

struct Next;

impl Form for Next {
    const FORM: u32 = 1;
    const FALLS: Option<Duration> = None;
}

libsys::serve!(Keeper<Next>);
