//! Where the project and its build output are, and how its programs are started.
//!
//! Invariant: both paths are absolute, and every cargo that is started from here builds into the same target folder,
//! whatever folder the user stands in and however that folder was chosen (CARGO_TARGET_DIR or a cargo configuration).

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, bail};

/// The workspace that this xtask belongs to.
pub struct Project {
    /// The folder of the workspace's Cargo.toml.
    pub root: PathBuf,
    /// Cargo's target folder.
    pub target: PathBuf,
}

impl Project {
    /// Asks cargo.
    pub fn find() -> Result<Self> {
        // `cargo run` sets the variable to where the sources are now; the built-in path is for a bare binary.
        let own = std::env::var_os("CARGO_MANIFEST_DIR")
            .unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
        let root = Path::new(&own)
            .parent()
            .context("xtask's folder has no parent")?
            .to_path_buf();
        // In the user's folder, not in `root`: a relative CARGO_TARGET_DIR is relative to that.
        let mut metadata = Command::new(cargo());
        metadata
            .args([
                "metadata",
                "--no-deps",
                "--format-version",
                "1",
                "--manifest-path",
            ])
            .arg(root.join("Cargo.toml"));
        let json: serde_json::Value =
            serde_json::from_str(&stdout_of(&mut metadata)?).context("reading `cargo metadata`")?;
        let target = json["target_directory"]
            .as_str()
            .context("`cargo metadata` named no target_directory")?;
        Ok(Self {
            target: PathBuf::from(target),
            root,
        })
    }

    /// A cargo command that works on this project.
    pub fn cargo(&self) -> Command {
        let mut command = Command::new(cargo());
        command
            .current_dir(&self.root)
            .env("CARGO_TARGET_DIR", &self.target);
        command
    }
}

/// The cargo that runs this xtask, so that a `+toolchain` on the command line holds for all steps.
fn cargo() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// Runs a command to its end. An error says what was run when it could not be started.
pub fn output_of(command: &mut Command) -> Result<Output> {
    command
        .output()
        .with_context(|| format!("starting `{}`", shown(command)))
}

/// What a command prints. A failure of the command is an error that carries the end of what it said on stderr.
pub fn stdout_of(command: &mut Command) -> Result<String> {
    let output = output_of(command)?;
    if !output.status.success() {
        bail!(
            "`{}` ended with {}:\n{}",
            shown(command),
            output.status,
            tail(&output, 12)
        );
    }
    String::from_utf8(output.stdout)
        .with_context(|| format!("`{}` printed something other than UTF-8", shown(command)))
}

/// The last lines that a command wrote, stderr first choice.
pub fn tail(output: &Output, lines: usize) -> String {
    let bytes = if output.stderr.is_empty() {
        &output.stdout
    } else {
        &output.stderr
    };
    let text = String::from_utf8_lossy(bytes);
    let all: Vec<&str> = text.trim_end().lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

/// A command as a person would type it, its own variables included.
pub fn shown(command: &Command) -> String {
    let quoted = |text: &std::ffi::OsStr| {
        let text = text.to_string_lossy();
        let plain = !text.is_empty()
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_=+:,./@".contains(c));
        if plain {
            text.into_owned()
        } else {
            format!("'{}'", text.replace('\'', r"'\''"))
        }
    };
    let variables = command.get_envs().filter_map(|(name, value)| {
        let name = name.to_string_lossy();
        value.map(|value| format!("{name}={}", quoted(value)))
    });
    let program = Path::new(command.get_program())
        .file_name()
        .unwrap_or(command.get_program());
    let words = std::iter::once(quoted(program)).chain(command.get_args().map(quoted));
    variables.chain(words).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_as_it_would_be_typed() {
        let mut command = Command::new("/some/where/cargo");
        command
            .args(["test", "a b", "it's"])
            .env("RUSTFLAGS", "--cfg loom");
        assert_eq!(
            shown(&command),
            r"RUSTFLAGS='--cfg loom' cargo test 'a b' 'it'\''s'"
        );
    }
}
