//! The entry of a server's program.

use super::{Result, Serve, Service, damage};
use crate::Error;
use crate::client::{self, CallError};
use crate::env::{self, Env};
use crate::thread::parking;
use crate::wire::{Method, disjoint};

/// The main function of a server's program: starts the server, tells init that it is ready, and runs its loop until the
/// channel is closed.
pub fn main<S: Serve>() -> Result<()> {
    let env = env::get();
    parking::prepare();
    client::on_bad_reply(client::ask_again);
    damage::watch();
    let mut service = start::<S>(env)?;
    match env.registry().ready() {
        // Started by somebody else than init: nobody waits for it.
        Ok(()) | Err(CallError::Kernel(Error::BadHandle)) => {}
        Err(error) => return Err(error.into()),
    }
    service.run(env.channel())?;
    Ok(())
}

/// The server as it starts. What that takes of the stack is not below the loop then: the loop lies in few pages.
#[inline(never)]
fn start<S: Serve>(env: &'static Env) -> Result<Service<S>> {
    S::start(env).map(Service::new)
}

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

/// Makes a program of a server: [`serves!`](crate::serves), and the entry, which runs [`main`].
///
/// ```
/// #![cfg_attr(target_os = "none", no_std, no_main)]
/// //! A clock that is polled. Serves `rtc`; needs the I/O ports `cmos`.
///
/// use libsys::driver::{Context, Driver, Env, Ports, Result};
/// use libsys::protocol::rtc::{Rtc, RtcError, UnixTime};
///
/// struct Cmos {
///     ports: Ports,
/// }
///
/// impl Driver for Cmos {
///     fn start(env: &Env) -> Result<Self> {
///         Ok(Cmos { ports: env.ports("cmos")? })
///     }
/// }
///
/// impl Rtc for Cmos {
///     fn now(&mut self) -> core::result::Result<UnixTime, RtcError> {
///         let seconds = self.ports.read_u32(0).map_err(|_| RtcError::Device)?;
///         Ok(UnixTime(seconds.into()))
///     }
///
///     fn set(&mut self, cx: &Context, _: UnixTime) -> core::result::Result<(), RtcError> {
///         if cx.may_control() { Err(RtcError::OutOfRange) } else { Err(RtcError::Denied) }
///     }
/// }
///
/// # mod program {
/// #     use super::{Cmos, Rtc};
/// libsys::serve!(Cmos: Rtc);
/// # }
/// # fn main() {}
/// ```
///
/// Where a kit of [`driver`](crate::driver) implements the protocols of a class, the server stands alone: `serve!(Stream<Uart>)`.
///
/// On the host, where it only has to compile and to be linted, the program does the same over the fake kernel.
#[macro_export]
macro_rules! serve {
    ($server:ty: $($protocol:path),+ $(,)?) => {
        $crate::serves!($server: $($protocol),+);
        $crate::serve!($server);
    };
    ($server:ty) => {
        #[cfg(target_os = "none")]
        $crate::main!($crate::service::main::<$server>);

        #[cfg(not(target_os = "none"))]
        #[allow(dead_code)]
        fn main() -> $crate::service::Result<()> {
            $crate::service::main::<$server>()
        }
    };
}
