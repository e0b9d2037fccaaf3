//! Calls the library, prints the error chain, picks the exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    authcanary::cli::main()
}
