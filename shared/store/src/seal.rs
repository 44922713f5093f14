//! Sensitive captured values are stored under AES-256-GCM; what they belong to is authenticated with them.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use aes_gcm::aead::{Aead, Generate, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use stanch_core::port::StoreError;
use stanch_core::remediation::RemediationId;

use crate::folder::{Place, private_file};

/// The key's file in a data folder.
pub(crate) const SEAL_KEY: &str = "seal.key";

/// Length of a nonce, bytes.
const NONCE: usize = 12;

type Key = [u8; 32];

/// A sealed value: nonce and ciphertext with its tag.
pub(crate) struct Sealed {
    pub(crate) nonce: Vec<u8>,
    pub(crate) ciphertext: Vec<u8>,
}

impl Sealed {
    /// Nonce and ciphertext as one.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        [self.nonce.as_slice(), self.ciphertext.as_slice()].concat()
    }

    /// Takes them apart again.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (nonce, ciphertext) = bytes.split_at_checked(NONCE)?;
        Some(Sealed { nonce: nonce.to_vec(), ciphertext: ciphertext.to_vec() })
    }
}

/// Holds the key, or knows where it lies.
pub(crate) enum Seal {
    /// In a file of its own, made when the first value is sealed.
    File(PathBuf),
    /// For a store in memory.
    Memory(Key),
    /// Given by a setting.
    Given(Key),
    /// The setting that should give it is not set: nothing can be sealed.
    Missing(&'static str),
}

impl Seal {
    /// The key of a data folder.
    pub(crate) fn in_folder(folder: &Path) -> Self {
        Seal::File(folder.join(SEAL_KEY))
    }

    /// A fresh key that dies with the process.
    pub(crate) fn in_memory() -> Result<Self, StoreError> {
        random().map(Seal::Memory)
    }

    /// The key that a setting gives: 32 bytes as base64.
    pub(crate) fn from_setting(name: &'static str, value: Option<&str>) -> Result<Self, StoreError> {
        let Some(text) = value else { return Ok(Seal::Missing(name)) };
        let key = STANDARD.decode(text.trim()).ok().and_then(|bytes| bytes.try_into().ok());
        // The value is a secret: it is not repeated.
        key.map(Seal::Given)
            .ok_or_else(|| unavailable(format!("{name} is not 32 bytes as base64\nhint: `openssl rand -base64 32` makes one")))
    }

    /// Seals `plain`. `first` says that nothing was sealed before: only then may a missing key be made, for a new key beside
    /// old values would hide that the old key is lost. The caller holds the database's write lock.
    pub(crate) fn seal(&self, id: RemediationId, reference: &str, plain: &[u8], first: bool) -> Result<Sealed, StoreError> {
        let nonce: [u8; NONCE] = random()?;
        let cipher = Aes256Gcm::new(&self.key(first)?.into());
        let payload = Payload { msg: plain, aad: &belongs_to(id, reference) };
        let ciphertext = cipher.encrypt(&nonce.into(), payload).map_err(|_| unavailable("a value is too large to be sealed"))?;
        Ok(Sealed { nonce: nonce.to_vec(), ciphertext })
    }

    /// Opens a value sealed for the same remediation and reference.
    pub(crate) fn open(&self, id: RemediationId, reference: &str, sealed: &Sealed) -> Result<Vec<u8>, StoreError> {
        let unreadable =
            |reason: &str| StoreError::Unreadable { what: format!("sealed value `{reference}` of {id}"), reason: reason.to_owned() };
        let nonce = Nonce::try_from(sealed.nonce.as_slice()).map_err(|_| unreadable("its nonce does not have 12 bytes"))?;
        let cipher = Aes256Gcm::new(&self.key(false)?.into());
        let payload = Payload { msg: sealed.ciphertext.as_slice(), aad: &belongs_to(id, reference) };
        cipher.decrypt(&nonce, payload).map_err(|_| unreadable("it was changed, or sealed with another key"))
    }

    fn key(&self, may_create: bool) -> Result<Key, StoreError> {
        let path = match self {
            Seal::Memory(key) | Seal::Given(key) => return Ok(*key),
            Seal::Missing(name) => {
                let hint = "hint: set it to 32 random bytes as base64, kept in a key vault";
                return Err(unavailable(format!("{name} is not set, so that no sensitive value can be sealed or opened\n{hint}")));
            }
            Seal::File(path) => path,
        };
        let at = path.display();
        match fs::read(path) {
            Ok(bytes) => {
                bytes.try_into().map_err(|_| unavailable(format!("the seal key `{at}` does not have 32 bytes; put back the right file")))
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound && may_create => {
                let key = random()?;
                let folder = path.parent().unwrap_or(Path::new("."));
                write_key(path, &key).map_err(|e| Place::Folder(folder.to_owned()).file_fault("create `seal.key`", &e))?;
                Ok(key)
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                Err(unavailable(format!("the seal key `{at}` is missing although values are sealed with it; put it back from a backup")))
            }
            Err(e) => Err(unavailable(format!("cannot read the seal key `{at}`: {e}"))),
        }
    }
}

/// Whole or not at all: a half-written key would be taken for the key.
fn write_key(path: &Path, key: &Key) -> io::Result<()> {
    let draft = path.with_extension("key.new");
    let mut file = private_file(OpenOptions::new().create(true).truncate(true), &draft)?;
    file.write_all(key)?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    // The name must be on disk before a value sealed with the key is.
    #[cfg(unix)]
    if let Some(folder) = path.parent() {
        fs::File::open(folder)?.sync_all()?;
    }
    Ok(())
}

/// The id has a fixed length, so that no two pairs give the same bytes.
fn belongs_to(id: RemediationId, reference: &str) -> Vec<u8> {
    [id.0.as_bytes().as_slice(), reference.as_bytes()].concat()
}

fn random<const N: usize>() -> Result<[u8; N], StoreError> {
    Generate::try_generate().map_err(|e| unavailable(format!("the system gives no random numbers: {e}")))
}

fn unavailable(reason: impl Into<String>) -> StoreError {
    StoreError::Unavailable { reason: reason.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u128) -> RemediationId {
        RemediationId(uuid::Uuid::from_u128(n))
    }

    #[test]
    fn a_value_opens_only_where_it_belongs_and_only_unchanged() {
        let seal = Seal::in_memory().unwrap();
        let sealed = seal.seal(id(1), "options.password", b"hunter2", true).unwrap();
        assert_eq!(seal.open(id(1), "options.password", &sealed).unwrap(), b"hunter2");
        assert!(matches!(seal.open(id(2), "options.password", &sealed), Err(StoreError::Unreadable { .. })));
        assert!(matches!(seal.open(id(1), "options.other", &sealed), Err(StoreError::Unreadable { .. })));
        assert!(matches!(Seal::in_memory().unwrap().open(id(1), "options.password", &sealed), Err(StoreError::Unreadable { .. })));

        let mut changed = sealed;
        changed.ciphertext[0] ^= 1;
        assert!(matches!(seal.open(id(1), "options.password", &changed), Err(StoreError::Unreadable { .. })));
    }

    #[test]
    fn a_key_from_a_setting_is_checked_and_never_shown() {
        let text = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
        let seal = Seal::from_setting("STANCH_SEAL_KEY", Some(text)).unwrap();
        let sealed = Sealed::from_bytes(&seal.seal(id(1), "a", b"x", false).unwrap().to_bytes()).unwrap();
        assert_eq!(Seal::from_setting("STANCH_SEAL_KEY", Some(text)).unwrap().open(id(1), "a", &sealed).unwrap(), b"x");

        for wrong in ["", "c2hvcnQ=", "not base64!"] {
            let told = Seal::from_setting("STANCH_SEAL_KEY", Some(wrong)).err().unwrap().to_string();
            assert!(told.contains("STANCH_SEAL_KEY") && (wrong.is_empty() || !told.contains(wrong)), "{told}");
        }
        let missing = Seal::from_setting("STANCH_SEAL_KEY", None).unwrap();
        let told = missing.seal(id(1), "a", b"x", true).err().unwrap().to_string();
        assert!(told.contains("STANCH_SEAL_KEY is not set"), "{told}");
    }

    #[test]
    fn equal_values_do_not_look_equal() {
        let seal = Seal::in_memory().unwrap();
        let (one, two) = (seal.seal(id(1), "a", b"same", true).unwrap(), seal.seal(id(1), "a", b"same", true).unwrap());
        assert_ne!(one.nonce, two.nonce);
        assert_ne!(one.ciphertext, two.ciphertext);
    }

    #[test]
    fn a_lost_key_is_told_and_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let seal = Seal::in_folder(folder.path());
        let sealed = seal.seal(id(1), "a", b"x", true).unwrap();
        fs::remove_file(folder.path().join("seal.key")).unwrap();
        for told in [seal.open(id(1), "a", &sealed).map(|_| ()), seal.seal(id(1), "b", b"y", false).map(|_| ())] {
            let text = told.unwrap_err().to_string();
            assert!(text.contains("is missing") && text.contains("backup"), "{text}");
        }
        assert!(!folder.path().join("seal.key").exists());
    }
}
