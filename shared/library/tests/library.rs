//! The shipped library as a whole: every fix compiles, declares what it needs, and plans what its cases say.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test program; clippy knows only its test functions")]

mod cases;
mod mutations;

use stanch_library::Library;

#[test]
fn every_shipped_fix_compiles_and_declares_what_its_calls_need() {
    let library = Library::builtin().unwrap();
    let mut count = 0;
    for fix in library.all() {
        let fix = fix.unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(fix.missing_permissions(), Vec::<String>::new(), "{}", fix.name);
        let (file, _) = library.source(&fix.name).unwrap();
        assert_eq!(file, format!("{}/{}/fix.yaml", fix.cloud.as_str(), fix.name), "a fix stands in the folder of its name");
        count += 1;
    }
    assert!(count > 0);
}
