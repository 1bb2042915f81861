//! `threadctl completions` and `threadctl man`: written from the same definitions as the command line itself.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Args, Command, CommandFactory as _};
use clap_complete::Shell;
use clap_mangen::Man;

use crate::{Verdict, args::Cli, out};

/// Print the completions of this command for a shell.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:
  threadctl completions bash > /etc/bash_completion.d/threadctl
  threadctl completions fish > ~/.config/fish/completions/threadctl.fish")]
pub(crate) struct CompletionsArgs {
    /// The shell.
    pub(crate) shell: Shell,
}

/// Write the man pages, one for each command, to a folder.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Example:
  threadctl man ~/.local/share/man/man1 && man threadctl-run")]
pub(crate) struct ManArgs {
    /// The folder, which must be there.
    #[arg(value_name = "FOLDER")]
    pub(crate) folder: PathBuf,
}

/// Prints completions.
pub(crate) fn completions(args: &CompletionsArgs) -> Result<Verdict> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "threadctl", &mut script);
    out::text(&String::from_utf8_lossy(&script))?;
    Ok(Verdict::Good)
}

/// Writes man pages.
pub(crate) fn man(args: &ManArgs) -> Result<Verdict> {
    let mut root = Cli::command();
    // Gives every command its options of help and version, and its full name.
    root.build();
    write(&root, "threadctl", &args.folder)?;
    for command in root
        .get_subcommands()
        .filter(|command| !command.is_hide_set())
    {
        write(
            command,
            &format!("threadctl-{}", command.get_name()),
            &args.folder,
        )?;
    }
    Ok(Verdict::Good)
}

fn write(command: &Command, name: &str, folder: &Path) -> Result<()> {
    let path = folder.join(format!("{name}.1"));
    let mut page = Vec::new();
    Man::new(command.clone())
        .render(&mut page)
        .context("cannot make a man page")?;
    std::fs::write(&path, page).with_context(|| format!("cannot write {}", path.display()))
}
