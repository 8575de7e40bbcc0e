//! No personal data and no key in a core dump (design 6): a process that holds them leaves none.
use nix::sys::{
    prctl,
    resource::{Resource, setrlimit},
};

use crate::tls::SetupError;

/// Forbids core dumps of this process: neither into a file nor to a program that collects them, and no
/// other process of the same user may look into its memory. To be called before the first secret is read.
///
/// # Errors
/// [`SetupError`] where the system refuses: then the process must not go on.
pub fn forbid() -> Result<(), SetupError> {
    let refused = |error| SetupError(format!("core dumps cannot be forbidden: {error}"));
    setrlimit(Resource::RLIMIT_CORE, 0, 0).map_err(refused)?;
    // The limit does not hold for a program that the system pipes dumps to; this does.
    prctl::set_dumpable(false).map_err(refused)
}

#[cfg(test)]
mod tests {
    use nix::sys::resource::getrlimit;

    use super::*;

    #[test]
    fn there_is_no_dump() {
        assert_eq!(prctl::get_dumpable(), Ok(true), "what is to be changed");
        assert!(forbid().is_ok());
        assert_eq!(prctl::get_dumpable(), Ok(false));
        assert_eq!(getrlimit(Resource::RLIMIT_CORE), Ok((0, 0)));
    }
}
