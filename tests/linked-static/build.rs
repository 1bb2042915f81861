//! Compiles the fixture into the program, under OpenBLAS's names.

fn main() {
    let source = "../fixtures/pool.c";
    println!("cargo::rerun-if-changed={source}");
    cc::Build::new()
        .file(source)
        .define("GET", "openblas_get_num_threads")
        .define("SET", "openblas_set_num_threads")
        .flag("-pthread")
        .compile("pool");
}
