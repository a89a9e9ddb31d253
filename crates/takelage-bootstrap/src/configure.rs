//! What happens in the container: Debian's own scripts and dpkg configure what was laid out.

/// The script that configures an unpacked file system: for `/bin/sh -c` in a container of it, as root, without arguments.
///
/// First the essential packages, whose scripts find everything essential unpacked, then the rest, as
/// `mmdebstrap` does. No service is started meanwhile (`policy-rc.d`), and no question is asked. Its exit status is
/// that of the first command that failed; its output is that of dpkg and the scripts.
pub const CONFIGURE: &str = include_str!("configure.sh");
