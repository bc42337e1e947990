//! Links the kernel's image by `kernel.ld`.

fn main() {
    println!("cargo:rerun-if-changed=kernel.ld");
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("none") {
        return;
    }
    let directory = std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    for argument in
        [&format!("-T{directory}/kernel.ld"), "--no-pie", "--gc-sections", "-zmax-page-size=4096", "--build-id=none"]
    {
        println!("cargo:rustc-link-arg-bin=skink={argument}");
    }
}
