//! Links the server with what requests for names run through side by side, by `link.ld`. Only LLD puts such a part into the layout that it has anyway;
//! with other linkers functions lie in any order.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=link.ld");
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|found| found.contains(value));
    if is("CARGO_CFG_TARGET_OS", "none") && is("CARGO_ENCODED_RUSTFLAGS", "-Clinker-flavor=ld.lld") {
        let folder = env::var("CARGO_MANIFEST_DIR").expect("cargo says where the package is");
        println!("cargo::rustc-link-arg-bins=-T{folder}/link.ld");
    }
}
