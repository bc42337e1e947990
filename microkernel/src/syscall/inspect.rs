//! placeholder until the real one lands
use super::*;
macro_rules! nothing { ($($n:ident)*) => { $( #[allow(missing_docs)] pub fn $n(_: &Kernel, _: &Object<Thread>) -> Result<Results, Error> { Err(Error::Unsupported) } )* } }
nothing!(sessions account process clock system identify);
