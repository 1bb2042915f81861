//! Has one of the programs linked by GNU ld, the others by what the toolchain takes (rust-lld on x86-64 Linux).

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-link-arg-bin=links-gnu=-fuse-ld=bfd");
}
