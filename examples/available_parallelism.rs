//! Prints what the standard library and threadctl take for the number of cores, side by side.
#![allow(clippy::print_stdout, reason = "an example that shows something")]

fn main() -> std::io::Result<()> {
    println!(
        "{} {}",
        std::thread::available_parallelism()?,
        threadctl::cores().count()
    );
    Ok(())
}
