//! Compiles the agent with the machine's C compiler, which linking Rust programs needs anyway.
//!
//! Invariant: the library links nothing (`-nostdlib`) and names no version of a symbol, so that it goes into programs
//! whose C library is older than the one here, or another one.

use std::path::Path;
use std::process::ExitCode;

const SOURCE: &str = "agent.c";

fn main() -> ExitCode {
    println!("cargo::rerun-if-changed={SOURCE}");
    let Some(out) = std::env::var_os("OUT_DIR") else {
        println!("cargo::error=OUT_DIR is not set: cargo runs this program");
        return ExitCode::FAILURE;
    };
    let library = Path::new(&out).join("libthreadctl_agent.so");
    let compiler = match cc::Build::new().opt_level(2).try_get_compiler() {
        Ok(compiler) => compiler,
        Err(error) => {
            println!(
                "cargo::error=no C compiler for the agent ({error}); install cc (Debian: the package gcc)"
            );
            return ExitCode::FAILURE;
        }
    };
    let compiled = compiler
        .to_command()
        .args([
            "-std=gnu11",
            "-Wall",
            "-Wextra",
            "-fPIC",
            "-shared",
            "-nostdlib",
        ])
        .args([
            "-fvisibility=hidden",
            "-fno-stack-protector",
            "-fno-builtin",
        ])
        .args([
            "-U_FORTIFY_SOURCE",
            "-Wl,-z,relro",
            "-Wl,-z,now",
            "-Wl,-soname,libthreadctl_agent.so",
        ])
        .arg("-o")
        .arg(&library)
        .arg(SOURCE)
        .status();
    match compiled {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(status) => {
            println!(
                "cargo::error=the C compiler {} ended with {status} on {SOURCE}",
                compiler.path().display()
            );
            ExitCode::FAILURE
        }
        Err(error) => {
            println!(
                "cargo::error=the C compiler {} cannot be run: {error}",
                compiler.path().display()
            );
            ExitCode::FAILURE
        }
    }
}
