//! Computes through each kind of symbol, and says on what.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let backend = links::check(true)?;
    // The result is what this program is for.
    #[expect(clippy::print_stdout, reason = "a program that answers")]
    {
        println!("right on {backend}");
    }
    Ok(())
}
