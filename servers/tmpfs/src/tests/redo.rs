//! The redo of the last commit is written again at a start: never into what a page has come to hold since.

use super::world::World;
use libsys::client;
use libsys::protocol::FileClient;
use libsys::protocol::filesystem::{OpenFlags, OpenOptions};

/// Of a slot size of its own, so that nothing else is in the page of the name.
const NAME: &str = "a name that is so long that no other name of the file system has a slot of this size";
/// More than are free before the one that the name leaves.
const PAGES: u64 = 64;
const PAGE: u64 = 4096;

#[test]
fn data_in_a_page_that_names_have_left_outlives_a_death() {
    let world = World::new();
    let root = world.root();
    let flags = OpenFlags::READ | OpenFlags::WRITE | OpenFlags::CREATE;
    let (_, session) = root.open("file", OpenOptions { flags, mode: 0o644 }).expect("opened");
    let file: FileClient = client::unchecked(session.expect("a session"));
    file.truncate(PAGES * PAGE).expect("a hole");
    // The last commit: with it the name ends, and its page is free.
    root.make_directory(NAME, 0o755).expect("made");
    root.remove(NAME, true).expect("removed");
    // Data in a hole needs no commit.
    let bytes = [0xa5; 64];
    for page in 0..PAGES {
        assert_eq!(file.write_inline(page * PAGE, &bytes), Ok(bytes.len() as u32));
    }
    world.kill();
    for page in 0..PAGES {
        let mut found = [0; 64];
        assert_eq!(file.read_inline(page * PAGE, &mut found), Ok(found.len()));
        assert_eq!(found, bytes, "page {page}");
    }
}
