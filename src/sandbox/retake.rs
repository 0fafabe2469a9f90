//! How often work is done again whose host was lost.

use crate::sandbox::SandboxError;

/// What one unit of work (all that happens in one session, from its start) may still lose.
///
/// Only what has not been recorded is done again, so that nothing stands twice in a result.
#[derive(Debug)]
pub struct Retakes {
    hosts: u32,
    sandboxes: u32,
}

impl Default for Retakes {
    fn default() -> Self {
        // A host that comes and goes must not keep a unit for ever; nor must a patch that ends its
        // own sandbox, which looks like a host that is being shut down.
        Self { hosts: 8, sandboxes: 1 }
    }
}

impl Retakes {
    /// Whether this failure is the loss of one of several hosts, and the unit may be done again.
    pub fn again(&mut self, error: &SandboxError) -> bool {
        let SandboxError::HostLost { certain, .. } = error else { return false };
        let left = if *certain { &mut self.hosts } else { &mut self.sandboxes };
        let again = *left > 0;
        *left = left.saturating_sub(1);
        again
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lost_hosts_are_retaken_and_not_for_ever() {
        let gone = || SandboxError::ImageMissing { image: "x".to_owned(), detail: String::new() };
        let lost = |certain| SandboxError::HostLost {
            host: "h".to_owned(),
            certain,
            source: Box::new(gone()),
        };
        let mut retakes = Retakes::default();
        assert!(!retakes.again(&gone()));
        assert!(retakes.again(&lost(false)) && !retakes.again(&lost(false)));
        assert_eq!((0..20).filter(|_| retakes.again(&lost(true))).count(), 8);
    }
}
