//! What people are told, kept in a file, so that a change of words is seen as one.

/// Compares with `words/{file}`. With `LOGGIA_UPDATE` set, that is written instead.
pub(crate) fn assert_words(file: &str, found: &str) {
    let path = format!("{}/src/domains/words/{file}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("LOGGIA_UPDATE").is_some() {
        std::fs::create_dir_all(std::path::Path::new(&path).parent().expect("a folder")).expect("made");
        std::fs::write(&path, found).expect("written");
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == found, "{path} says\n{kept}\nand the code\n{found}\nLOGGIA_UPDATE=1 writes it anew");
}
