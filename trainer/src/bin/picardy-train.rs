//! The command `picardy-train`.

fn main() -> std::process::ExitCode {
    picardy_trainer::cli::main()
}
