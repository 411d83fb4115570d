//! A certificate authority, and certificates for a server and a client that it has signed.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use crate::scratch;

/// PEM files in a directory that goes on drop: `ca.pem`, `ca.key`, `public.pem` (the key of the
/// authority), `server.pem` and `server.key` for 127.0.0.1, `client.pem` and `client.key`.
#[derive(Debug)]
pub struct Certificates {
    directory: TempDir,
}

impl Certificates {
    /// Makes all of them; the client's is for this name.
    ///
    /// # Panics
    /// When `openssl` is not installed.
    pub fn make(client: &str) -> Self {
        let made = Self {
            directory: scratch::directory("certificates"),
        };
        made.openssl(&format!(
            "req -x509 -newkey rsa:2048 -nodes -days 2 -keyout ca.key -out ca.pem -subj /CN=authority-of-{client}"
        ));
        made.openssl("rsa -in ca.key -pubout -out public.pem");
        made.sign("server", "server", "subjectAltName = IP:127.0.0.1\n");
        made.sign("client", client, "extendedKeyUsage = clientAuth\n");
        made
    }

    /// The path of one of the files.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The text of one of the files.
    ///
    /// # Panics
    /// When there is none of this name.
    pub fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).expect("it was made")
    }

    fn sign(&self, name: &str, subject: &str, extensions: &str) {
        fs::write(self.path("extensions"), extensions).expect("the new directory is ours");
        self.openssl(&format!(
            "req -newkey rsa:2048 -nodes -keyout {name}.key -out {name}.csr -subj /CN={subject}"
        ));
        self.openssl(&format!(
            "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile extensions -out {name}.pem"
        ));
    }

    fn openssl(&self, args: &str) {
        let output = Command::new("openssl")
            .args(args.split(' '))
            .current_dir(self.directory.path())
            .output()
            .expect("openssl is installed by scripts/install_servers.sh");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{error}");
    }
}
