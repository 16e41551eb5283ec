//! The same text, seed and version give the same bytes, whatever the machine does beside it.

use std::path::Path;

use paravox::voice::sha256_hex;

use crate::util::paravox;

const TEXT: &str =
    "Is this the same on any machine? It is, says the hash: 3.14 times.\n\nAnd a second paragraph follows.";

fn hash(threads: Option<&str>, folder: &Path, name: &str, seed: &str) -> String {
    let path = folder.join(name);
    let mut command = paravox();
    if let Some(threads) = threads {
        command.env("RAYON_NUM_THREADS", threads);
    }
    command.args(["speak", TEXT, "--seed", seed, "-o"]).arg(&path).assert().success();
    sha256_hex(&std::fs::read(path).unwrap())
}

#[test]
fn the_shipped_voice_gives_one_hash_on_any_number_of_threads() {
    let folder = tempfile::tempdir().unwrap();
    let first = hash(None, folder.path(), "a.wav", "7");
    for threads in ["1", "2", "7"] {
        assert_eq!(hash(Some(threads), folder.path(), "b.wav", "7"), first, "{threads} threads");
    }
    assert_ne!(hash(None, folder.path(), "c.wav", "8"), first, "another seed");
}

#[test]
fn a_talking_face_gives_one_hash_on_any_number_of_threads() {
    let folder = tempfile::tempdir().unwrap();
    let hashes = ["1", "7"].map(|threads| hash(Some(threads), folder.path(), "a.mp4", "7"));
    assert_eq!(hashes[0], hashes[1]);
}
