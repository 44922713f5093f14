//! The shipped library as a whole.

use stanch_library::Library;

#[test]
fn every_shipped_fix_compiles_and_declares_what_its_calls_need() {
    let library = Library::builtin().expect("the library loads");
    let mut count = 0;
    for fix in library.all() {
        let fix = fix.unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(fix.missing_permissions(), Vec::<String>::new(), "{}", fix.name);
        count += 1;
    }
    assert!(count > 0);
}
