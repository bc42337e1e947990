//! The entry of a server's program.

use crate::wire::{Method, disjoint};

/// Whether the protocols of a server can be told apart.
pub const fn distinct(protocols: &[&[Method]]) -> bool {
    let mut i = 0;
    while i < protocols.len() {
        let mut j = i + 1;
        while j < protocols.len() {
            if !disjoint(protocols[i], protocols[j]) {
                return false;
            }
            j += 1;
        }
        i += 1;
    }
    true
}

/// Makes a type the server of its protocols: `serves!(Cmos: Rtc)`, `serves!(Uart: Character, Control)`. The
/// program's entry is [`serve!`](crate::serve)'s affair.
#[macro_export]
macro_rules! serves {
    ($server:ty: $($protocol:path),+ $(,)?) => {
        impl $crate::service::Serve for $server {
            const PROTOCOLS: &'static [&'static [$crate::wire::Method]] = &[$(<dyn $protocol>::METHODS),+];

            #[inline(always)]
            fn dispatch(&mut self, request: &$crate::wire::Request) -> $crate::wire::Answer {
                $(
                    match <dyn $protocol>::dispatch(self, request) {
                        $crate::wire::Answer::NoSuchMethod => {}
                        answer => return answer,
                    }
                )+
                $crate::wire::Answer::NoSuchMethod
            }
        }

        const _: () = assert!(
            $crate::service::distinct(<$server as $crate::service::Serve>::PROTOCOLS),
            "two protocols of the server share a method identity: rename a method",
        );
    };
}
