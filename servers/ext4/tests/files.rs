//! Files, directories and names on images of every flavour, checked by the host's tools afterwards.

mod common;

use common::*;
use volume::{FileError, Kind};

#[test]
fn what_is_written_is_there_after_the_mount() {
    for (name, kib, arguments) in FLAVOURS {
        let image = image(make(*kib, arguments));
        let mut volume = mount(&image).unwrap_or_else(|error| panic!("{name}: {error:?}"));
        let file = volume.create(ROOT, b"hello", 0o644).unwrap();
        let text = pattern(1, 300_000);
        assert_eq!(write(&mut volume, file, 0, &text).unwrap(), 300_000, "{name}");
        let folder = volume.make_directory(ROOT, b"folder", 0o755).unwrap();
        volume.symlink(folder, b"short", b"../hello").unwrap();
        volume.symlink(folder, b"long", &[b'x'; 200]).unwrap();
        volume.link(file, folder, b"again").unwrap();
        assert_eq!(read(&mut volume, file, 0, 400_000).unwrap(), text, "{name}");
        volume.unmount().unwrap_or_else(|error| panic!("{name}: {error:?}"));
        check(&image.borrow().bytes).unwrap_or_else(|what| panic!("{name}: {what}"));
        assert_eq!(read_on_host(&image.borrow().bytes, "/folder/again"), text, "{name}");

        let mut volume = mount(&image).unwrap();
        assert_eq!(names(&mut volume, ROOT), ["folder", "hello", "lost+found"], "{name}");
        let (folder, kind) = volume.lookup(ROOT, b"folder").unwrap().unwrap();
        assert_eq!(kind, Kind::Directory);
        let (file, _) = volume.lookup(folder, b"again").unwrap().unwrap();
        assert_eq!(volume.status(file).unwrap().links, 2);
        assert_eq!(read(&mut volume, file, 0, 400_000).unwrap(), text, "{name}");
        let (short, kind) = volume.lookup(folder, b"short").unwrap().unwrap();
        assert_eq!((volume.read_link(short).unwrap(), kind), (b"../hello".to_vec(), Kind::Link));
        let (long, _) = volume.lookup(folder, b"long").unwrap().unwrap();
        assert_eq!(volume.read_link(long).unwrap(), vec![b'x'; 200]);
        assert_eq!(volume.lookup(folder, b"none").unwrap(), None);
        assert_eq!(volume.create(ROOT, b"hello", 0o644), Err(FileError::Exists));
        volume.unmount().unwrap();
        check(&image.borrow().bytes).unwrap_or_else(|what| panic!("{name}: {what}"));
    }
}
