//! The page cache: what reaches the medium and when, what is read ahead, who is evicted, what errors lose, what a death leaves.

use libsys::{Memory, env};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use volume::disk::DiskError;
use volume::page_cache::PAGE;
use volume::requests::Requests;
use volume::testing::{Death, Dice, FakeDisk, Image, SharedImage, end_after};
use volume::{
    Backing, DataError, FileError, Housekeeping, Kept, Options, Overlay, PageCache, Run, SharedRequests, WriteBack,
};

/// Room that each file has on the disk, in pages.
const ROOM: u64 = 512;
const CHUNK: u64 = 16 * PAGE;
/// A new block holds this until it is written.
const STALE: u8 = 0xee;

/// A file system whose page `page` of file `file` lies at a place that anybody can compute.
#[derive(Clone, Default)]
struct Files(Rc<RefCell<BTreeMap<u64, File>>>);

#[derive(Clone, Default)]
struct File {
    size: u64,
    /// How much of that is committed; `None`: all.
    settled: Option<u64>,
    /// Pages that have blocks.
    placed: BTreeSet<u64>,
    is_full: bool,
}

impl Files {
    /// With a file, all of whose pages have blocks.
    fn with(self, file: u64, pages: u64) -> Files {
        let new = File { size: pages * PAGE, placed: (0..pages).collect(), ..File::default() };
        self.0.borrow_mut().insert(file, new);
        self
    }

    /// With a file of that size, which has no blocks.
    fn with_hole(self, file: u64, pages: u64) -> Files {
        self.0.borrow_mut().insert(file, File { size: pages * PAGE, ..File::default() });
        self
    }

    fn change(&self, file: u64, change: impl FnOnce(&mut File)) {
        change(self.0.borrow_mut().entry(file).or_default());
    }

    fn size_of(&self, file: u64) -> Option<u64> {
        self.0.borrow().get(&file).map(|file| file.size)
    }
}

fn place(file: u64, page: u64) -> u64 {
    (file * ROOM + page) * PAGE
}

impl Backing for Files {
    fn block_bytes(&self) -> u64 {
        PAGE
    }

    fn written(&mut self, file: u64, end: u64) {
        self.change(file, |file| file.size = file.size.max(end));
    }

    fn settled(&mut self, file: u64) -> Result<u64, DataError> {
        let settled = self.0.borrow().get(&file).and_then(|file| file.settled);
        settled.map_or_else(|| self.size(file), Ok)
    }

    fn size(&mut self, file: u64) -> Result<u64, DataError> {
        self.size_of(file).ok_or(DataError::Corrupt)
    }

    fn map(&mut self, file: u64, offset: u64, bytes: u64, runs: &mut Vec<Run>) -> Result<(), DataError> {
        let files = self.0.borrow();
        let placed = &files.get(&file).ok_or(DataError::Corrupt)?.placed;
        let mut at = offset;
        while at < offset + bytes {
            let (page, part) = (at / PAGE, (PAGE - at % PAGE).min(offset + bytes - at));
            let place = placed.contains(&page).then(|| place(file, page) + at % PAGE);
            runs.push(Run { offset: at, bytes: part, place });
            at += part;
        }
        Ok(())
    }

    fn reserve(&mut self, file: u64, _: u64, _: u64) -> Result<(), DataError> {
        if self.0.borrow()[&file].is_full { Err(DataError::NoSpace) } else { Ok(()) }
    }

    fn allocate(&mut self, file: u64, offset: u64, bytes: u64) -> Result<(), DataError> {
        self.change(file, |file| file.placed.extend(offset / PAGE..(offset + bytes).div_ceil(PAGE)));
        Ok(())
    }

    fn extend(&mut self, _: u64, _: u64) -> Result<(), DataError> {
        Ok(())
    }
}

/// A disk with room for some files, each of whose pages has bytes of its own.
fn disk() -> (SharedImage, SharedRequests) {
    let image = Image::new(vec![STALE; (4 * ROOM * PAGE) as usize]);
    for file in 0..4 {
        for page in 0..ROOM {
            image.borrow_mut().bytes[place(file, page) as usize..][..PAGE as usize].fill(old(file, page));
        }
    }
    let requests = again(&image);
    (image, requests)
}

fn again(image: &SharedImage) -> SharedRequests {
    Requests::new(Box::new(FakeDisk::new(image.clone(), 5)))
}

/// What a page has at first.
fn old(file: u64, page: u64) -> u8 {
    (file * 31 + page * 7 + 1) as u8 & 0x7f
}

/// What a test writes to it.
fn new(page: u64) -> Vec<u8> {
    vec![0x80 | page as u8; PAGE as usize]
}

fn cache(requests: &SharedRequests, pages: u64) -> PageCache {
    PageCache::new(env::account(), requests.clone(), pages * PAGE, CHUNK).expect("memory")
}

fn read_page(cache: &mut PageCache, files: &mut Files, file: u64, page: u64) -> Result<Vec<u8>, DataError> {
    let mut bytes = vec![0; PAGE as usize];
    let done = cache.read_into(files, file, page * PAGE, &mut bytes)?;
    bytes.truncate(done);
    Ok(bytes)
}

fn write_page(cache: &mut PageCache, files: &mut Files, file: u64, page: u64) -> Result<(), DataError> {
    cache.write_from(files, file, page * PAGE, &new(page)).map(|bytes| assert_eq!(bytes, PAGE))
}

fn on_disk(image: &SharedImage, file: u64, page: u64) -> Vec<u8> {
    image.borrow().bytes[place(file, page) as usize..][..PAGE as usize].to_vec()
}

/// Requests that were completed: reads and writes.
fn counts(image: &SharedImage) -> (u64, u64) {
    (image.borrow().counts[0], image.borrow().counts[1])
}

// ---- reading -----------------------------------------------------------------------------------------------------

#[test]
fn what_is_here_is_not_read_again() {
    let (image, requests) = disk();
    let (mut files, mut cache) = (Files::default().with(1, 8), cache(&requests, 64));
    for round in 0..3 {
        for page in 0..8 {
            assert_eq!(read_page(&mut cache, &mut files, 1, page), Ok(vec![old(1, page); PAGE as usize]));
        }
        assert_eq!(image.borrow().counts[3], 8 * PAGE, "round {round}: each page once");
    }
    assert!(cache.prepare(&mut files, 1, 0, 8 * PAGE) == Ok(true) && cache.pages_of(1) == 8);
    let mut bytes = [0; 100];
    assert_eq!(cache.read_into(&mut files, 1, 8 * PAGE - 30, &mut bytes), Ok(30), "to the file's end");
    assert_eq!(cache.read_into(&mut files, 1, 9 * PAGE, &mut bytes), Ok(0));
}

#[test]
fn a_hole_is_zeros_and_costs_the_medium_nothing() {
    let (image, requests) = disk();
    let (mut files, mut cache) = (Files::default().with_hole(1, 8), cache(&requests, 64));
    files.change(1, |file| file.placed = [5].into());
    for page in 0..8 {
        let expected = if page == 5 { old(1, 5) } else { 0 };
        assert_eq!(read_page(&mut cache, &mut files, 1, page), Ok(vec![expected; PAGE as usize]), "page {page}");
    }
    assert_eq!(image.borrow().counts[3], PAGE);
}

#[test]
fn who_reads_on_is_read_ahead_for() {
    let (image, requests) = disk();
    let (mut files, mut cache) = (Files::default().with(1, ROOM), cache(&requests, 2 * ROOM));
    read_page(&mut cache, &mut files, 1, 0).expect("a page");
    assert_eq!(cache.pages_of(1), 1 + 32, "128 KiB at first");
    let mut waits = 0;
    for page in 1..ROOM {
        waits += u32::from(cache.prepare(&mut files, 1, page * PAGE, PAGE) == Ok(false));
        assert_eq!(read_page(&mut cache, &mut files, 1, page), Ok(vec![old(1, page); PAGE as usize]));
        assert!(cache.pages_of(1) as u64 <= (page + 1 + 256).min(ROOM), "1 MiB at most");
    }
    let (reads, writes) = counts(&image);
    assert!(reads <= 32 && writes == 0, "{reads} requests for {ROOM} pages");
    assert_eq!(image.borrow().counts[3], ROOM * PAGE, "and nothing twice");
    assert!(waits < 32, "{waits} times");
}

#[test]
fn who_jumps_about_gets_what_he_asks_for() {
    let (image, requests) = disk();
    let (mut files, mut cache) = (Files::default().with(1, ROOM), cache(&requests, 2 * ROOM));
    let mut asked = BTreeSet::new();
    let mut page = 100;
    while asked.len() < 60 {
        asked.insert(page);
        assert_eq!(read_page(&mut cache, &mut files, 1, page), Ok(vec![old(1, page); PAGE as usize]));
        page = (page + 203) % ROOM;
    }
    assert_eq!((cache.pages_of(1), image.borrow().counts[3]), (60, 60 * PAGE));
}

#[test]
fn a_read_that_fails_is_told_and_spoils_nothing() {
    let (image, requests) = disk();
    let (mut files, mut cache) = (Files::default().with(1, 40), cache(&requests, 64));
    let bad = place(1, 20) / 512 + 3;
    image.borrow_mut().bad_sectors.push(bad);
    assert_eq!(
        read_page(&mut cache, &mut files, 1, 0),
        Ok(vec![old(1, 0); PAGE as usize]),
        "what was read ahead is nobody's"
    );
    for page in 0..40 {
        let expected = match page {
            20 => Err(DataError::Disk(DiskError::Device)),
            _ => Ok(vec![old(1, page); PAGE as usize]),
        };
        assert_eq!(read_page(&mut cache, &mut files, 1, page), expected, "page {page}");
    }
    // A part of the page is to be written: what it has besides cannot be had.
    assert_eq!(cache.write_from(&mut files, 1, 20 * PAGE + 8, b"part"), Err(DataError::Disk(DiskError::Device)));
    assert!(!cache.is_busy(1) && cache.load().0 == 0);
    image.borrow_mut().bad_sectors.clear();
    assert_eq!(read_page(&mut cache, &mut files, 1, 20), Ok(vec![old(1, 20); PAGE as usize]), "it is well again");
}

// ---- writing -----------------------------------------------------------------------------------------------------

#[test]
fn what_is_written_reaches_the_medium_when_it_is_told_to() {
    let (image, requests) = disk();
    let (mut files, mut cache) = (Files::default().with(1, 4).with_hole(2, 0), cache(&requests, 64));
    for page in 0..8 {
        write_page(&mut cache, &mut files, 1, page).expect("room");
    }
    cache.write_from(&mut files, 2, 10, b"short").expect("room");
    cache.advance();
    assert_eq!((counts(&image), cache.load()), ((0, 0), (9, 64)), "whole pages: nothing is read either");
    assert!(cache.is_dirty(1, 7) && cache.is_busy(1) && !cache.is_dirty(1, 8));
    assert_eq!(cache.dirty_runs(), [(1, 0..8), (2, 0..1)]);
    assert_eq!(cache.write_back_all(&mut files, 1), Ok(()));
    assert!((0..8).all(|page| on_disk(&image, 1, page) == new(page)));
    assert_eq!(
        (on_disk(&image, 2, 0), cache.dirty_runs()),
        (vec![old(2, 0); PAGE as usize], vec![(2, 0..1)]),
        "the other file waits"
    );
    assert_eq!(cache.write_back_all(&mut files, 2), Ok(()));
    let expected = [&[0; 10][..], b"short", &vec![0; PAGE as usize - 15]].concat();
    assert_eq!((on_disk(&image, 2, 0), cache.load().0), (expected, 0), "zeros around it");
    let writes = counts(&image).1;
    assert!(cache.write_back_all(&mut files, 1) == Ok(()) && counts(&image).1 == writes, "clean");
}

#[test]
fn what_is_not_committed_stays_off_the_medium() {
    let (image, requests) = disk();
    let (mut files, mut cache) = (Files::default().with_hole(1, 0), cache(&requests, 64));
    files.change(1, |file| file.settled = Some(PAGE + 1));
    for page in 0..3 {
        write_page(&mut cache, &mut files, 1, page).expect("room");
    }
    assert_eq!(cache.write_back(&mut files, 1, usize::MAX), 1, "the one page that is committed as a whole");
    while cache.dirty_runs() != [(1, 1..3)] || counts(&image).1 == 0 {
        cache.advance();
    }
    assert_eq!((on_disk(&image, 1, 0), on_disk(&image, 1, 1)), (new(0), vec![old(1, 1); PAGE as usize]));
    files.change(1, |file| file.settled = None);
    assert_eq!(cache.write_back_all(&mut files, 1), Ok(()));
    assert!((0..3).all(|page| on_disk(&image, 1, page) == new(page)));
}

#[test]
fn the_oldest_page_says_how_old_a_file_is() {
    let (_, requests) = disk();
    let (mut files, mut cache) = (Files::default().with(1, 4).with(2, 4), cache(&requests, 64));
    for (now, file, page) in [(7, 1, 0), (9, 1, 1), (11, 2, 0)] {
        cache.set_time(now);
        write_page(&mut cache, &mut files, file, page).expect("room");
    }
    assert_eq!(cache.dirty_files(), [(1, 7), (2, 11)]);
    cache.write_back_all(&mut files, 1).expect("a disk that works");
    assert_eq!(cache.dirty_files(), [(2, 11)]);
}

#[test]
fn dirty_pages_are_not_evicted() {
    let (image, requests) = disk();
    let (mut files, mut cache) = (Files::default().with(1, 8).with(2, ROOM), cache(&requests, 32));
    for page in 0..8 {
        write_page(&mut cache, &mut files, 1, page).expect("room");
    }
    let mut dice = Dice::new(1);
    for _ in 0..500 {
        let page = dice.below(ROOM);
        assert_eq!(read_page(&mut cache, &mut files, 2, page), Ok(vec![old(2, page); PAGE as usize]));
        assert!(cache.pages_of(1) == 8 && cache.pages_of(1) + cache.pages_of(2) <= 32);
    }
    assert_eq!((cache.load(), counts(&image).1), ((8, 32), 0));
    assert!((0..8).all(|page| read_page(&mut cache, &mut files, 1, page) == Ok(new(page))));
    assert_eq!(cache.write_back_all(&mut files, 1), Ok(()));
    for page in 0..ROOM {
        read_page(&mut cache, &mut files, 2, page).expect("a page");
    }
    assert_eq!(cache.pages_of(1), 0, "clean ones are");
}

#[test]
fn a_cache_full_of_dirty_pages_writes_back() {
    let (image, requests) = disk();
    let (mut files, mut cache) = (Files::default().with_hole(1, 0), cache(&requests, 32));
    for page in 0..ROOM {
        write_page(&mut cache, &mut files, 1, page).expect("room");
        assert!(page >= 32 || counts(&image).1 == 0, "not before it is full");
        assert!(cache.load().0 <= 32);
    }
    assert!((0..ROOM).all(|page| read_page(&mut cache, &mut files, 1, page) == Ok(new(page))));
    assert_eq!(cache.write_back_all(&mut files, 1), Ok(()));
    assert!((0..ROOM).all(|page| on_disk(&image, 1, page) == new(page)));
}

#[test]
fn a_write_that_fails_is_told_once_and_the_data_can_be_written_again() {
    let (image, requests) = disk();
    let (mut files, mut cache) = (Files::default().with(1, 4).with(2, 4), cache(&requests, 64));
    for page in 0..4 {
        write_page(&mut cache, &mut files, 1, page).expect("room");
        write_page(&mut cache, &mut files, 2, page).expect("room");
    }
    image.borrow_mut().fail_writes = true;
    assert_eq!(cache.write_back_all(&mut files, 1), Err(DataError::Disk(DiskError::Device)));
    assert_eq!(cache.write_back_all(&mut files, 1), Ok(()), "told once");
    assert!((0..4).all(|page| on_disk(&image, 1, page) == vec![old(1, page); PAGE as usize]));
    assert!((0..4).all(|page| read_page(&mut cache, &mut files, 1, page) == Ok(new(page))), "it is here still");
    image.borrow_mut().fail_writes = false;
    assert_eq!(cache.write_back_all(&mut files, 2), Ok(()), "another file has nothing to do with it");
    for page in 0..4 {
        write_page(&mut cache, &mut files, 1, page).expect("room");
    }
    assert_eq!((cache.write_back_all(&mut files, 1), cache.load().0), (Ok(()), 0));
    assert!((0..4).all(|page| on_disk(&image, 1, page) == new(page)));
}

#[test]
fn a_full_file_system_says_so_before_anything_is_dirty() {
    let (image, requests) = disk();
    let (mut files, mut cache) = (Files::default().with(1, 4), cache(&requests, 64));
    write_page(&mut cache, &mut files, 1, 0).expect("room");
    files.change(1, |file| file.is_full = true);
    assert_eq!(write_page(&mut cache, &mut files, 1, 1), Err(DataError::NoSpace));
    assert_eq!(write_page(&mut cache, &mut files, 1, 0), Ok(()), "blocks for this one are promised");
    assert_eq!((cache.load().0, cache.write_back_all(&mut files, 1)), (1, Ok(())));
    assert_eq!((on_disk(&image, 1, 0), on_disk(&image, 1, 1)), (new(0), vec![old(1, 1); PAGE as usize]));
}

#[test]
fn what_is_cut_off_is_forgotten() {
    let (image, requests) = disk();
    let (mut files, mut cache) = (Files::default().with_hole(1, 0), cache(&requests, 64));
    for page in 0..8 {
        write_page(&mut cache, &mut files, 1, page).expect("room");
    }
    // Some of it is on its way at the moment.
    cache.write_back(&mut files, 1, 2);
    files.change(1, |file| file.size = 3 * PAGE + 100);
    cache.discard(1, 4);
    cache.clean_tail(&mut files, 1, 3 * PAGE + 100).expect("memory");
    assert_eq!((cache.pages_of(1), cache.is_dirty(1, 3), cache.is_dirty(1, 4)), (4, true, false));
    assert_eq!(cache.write_back_all(&mut files, 1), Ok(()));
    let half = [&new(3)[..100], &[0; PAGE as usize - 100]].concat();
    assert_eq!((on_disk(&image, 1, 2), on_disk(&image, 1, 3)), (new(2), half.clone()));
    // The file grows again: nothing of what was there comes back.
    files.change(1, |file| (file.size, file.placed) = (8 * PAGE, (0..4).collect()));
    assert_eq!(read_page(&mut cache, &mut files, 1, 3), Ok(half));
    assert_eq!(read_page(&mut cache, &mut files, 1, 4), Ok(vec![0; PAGE as usize]));
    cache.discard(1, 0);
    assert_eq!((cache.pages_of(1), cache.load().0), (0, 0));
}

// ---- deaths ------------------------------------------------------------------------------------------------------

/// Memory that outlives a cache: pages and table.
struct Survivor {
    chunks: Vec<Memory>,
    table: Memory,
}

impl Survivor {
    fn new(pages: u64) -> Survivor {
        let chunk = |_| Memory::create_dma(env::account(), CHUNK).expect("memory");
        let table = PageCache::table_bytes(pages * PAGE, CHUNK);
        let table = Memory::create(env::account(), table).expect("memory");
        Survivor { chunks: (0..(pages * PAGE).div_ceil(CHUNK)).map(chunk).collect(), table }
    }

    fn cache(&self, requests: &SharedRequests) -> PageCache {
        let table = self.table.map_writable().expect("a mapping");
        PageCache::over(self.chunks.iter(), requests.clone(), CHUNK, Some(table)).expect("memory")
    }

    /// What the next incarnation has.
    fn recovered(&self, requests: &SharedRequests, files: &mut Files) -> PageCache {
        let mut cache = self.cache(requests);
        let sizes = files.clone();
        cache.recover(files, |file| sizes.size_of(file)).expect("a recovery");
        cache
    }
}

#[test]
fn what_is_not_on_the_medium_outlives_the_server() {
    let (image, requests) = disk();
    let survivor = Survivor::new(64);
    let mut files = Files::default().with(1, 8).with(2, 8).with_hole(3, 0);
    let mut cache = survivor.cache(&requests);
    for page in 2..5 {
        write_page(&mut cache, &mut files, 1, page).expect("room");
    }
    write_page(&mut cache, &mut files, 3, 0).expect("room");
    write_page(&mut cache, &mut files, 3, 1).expect("room");
    read_page(&mut cache, &mut files, 2, 0).expect("a page");
    drop(cache);
    // The second page of the file was never committed.
    files.change(3, |file| file.size = PAGE);
    let mut cache = survivor.recovered(&again(&image), &mut files);
    assert_eq!((cache.dirty_runs(), cache.load().0), (vec![(1, 2..5), (3, 0..1)], 4), "what was read is forgotten");
    assert_eq!(cache.files_in_table(), [1, 3].into());
    assert!((2..5).all(|page| read_page(&mut cache, &mut files, 1, page) == Ok(new(page))));
    for file in [1, 3] {
        assert_eq!(cache.write_back_all(&mut files, file), Ok(()));
    }
    assert_eq!((on_disk(&image, 1, 4), on_disk(&image, 3, 0)), (new(4), new(0)));
    drop(cache);
    assert_eq!(survivor.recovered(&again(&image), &mut files).load().0, 0, "the medium has it all");
}

#[test]
fn what_was_on_its_way_is_on_its_way_again() {
    let (image, requests) = disk();
    let survivor = Survivor::new(64);
    let mut files = Files::default().with(1, 8);
    let mut cache = survivor.cache(&requests);
    write_page(&mut cache, &mut files, 1, 0).expect("room");
    write_page(&mut cache, &mut files, 1, 5).expect("room");
    image.borrow_mut().fail_writes = true;
    assert_eq!(cache.write_back(&mut files, 1, 1), 1);
    // The driver loses what it had, and so does the server.
    drop((cache, requests));
    image.borrow_mut().fail_writes = false;
    let mut cache = survivor.recovered(&again(&image), &mut files);
    for _ in 0..100 {
        cache.advance();
    }
    assert_eq!((on_disk(&image, 1, 0), on_disk(&image, 1, 5)), (new(0), vec![old(1, 5); PAGE as usize]));
    assert_eq!(cache.dirty_runs(), [(1, 0..1), (1, 5..6)], "nobody has noted yet what comes with it");
    assert_eq!(cache.write_back_all(&mut files, 1), Ok(()));
    assert_eq!(on_disk(&image, 1, 5), new(5));
}

#[test]
fn what_was_discarded_comes_back_unless_that_was_committed() {
    for is_committed in [false, true] {
        let (image, requests) = disk();
        let survivor = Survivor::new(64);
        let mut files = Files::default().with(1, 8);
        let mut cache = survivor.cache(&requests);
        for page in 0..4 {
            write_page(&mut cache, &mut files, 1, page).expect("room");
        }
        cache.discard(1, 1);
        assert_eq!(cache.dirty_runs(), [(1, 0..1)]);
        if is_committed {
            cache.settle();
        }
        drop(cache);
        let mut cache = survivor.recovered(&again(&image), &mut files);
        let expected = if is_committed { vec![(1, 0..1)] } else { vec![(1, 0..4)] };
        assert_eq!(cache.dirty_runs(), expected);
        let second = if is_committed { vec![old(1, 1); PAGE as usize] } else { new(1) };
        assert_eq!(read_page(&mut cache, &mut files, 1, 1), Ok(second));
    }
}

#[test]
fn a_death_anywhere_loses_nothing_that_was_written() {
    for steps in 0.. {
        let (image, requests) = disk();
        let survivor = Survivor::new(32);
        let mut files = Files::default().with(1, 8);
        let written = Cell::new(0);
        let mut far = files.clone();
        end_after(steps);
        let work = catch_unwind(AssertUnwindSafe(|| {
            let mut cache = survivor.cache(&requests);
            for page in 0..4 {
                write_page(&mut cache, &mut far, 1, page).expect("room");
                written.set(page + 1);
            }
            cache.write_back_all(&mut far, 1).expect("a disk that works");
        }));
        end_after(u64::MAX);
        drop(requests);
        let has_died = work.is_err();
        if let Err(death) = work
            && !death.is::<Death>()
        {
            resume_unwind(death);
        }
        let mut cache = survivor.recovered(&again(&image), &mut files);
        for page in 0..written.get() {
            assert_eq!(read_page(&mut cache, &mut files, 1, page), Ok(new(page)), "{steps} steps, page {page}");
        }
        assert_eq!(cache.write_back_all(&mut files, 1), Ok(()));
        assert!((0..written.get()).all(|page| on_disk(&image, 1, page) == new(page)), "{steps} steps");
        let is_whole = |page| [new(page), vec![old(1, page); PAGE as usize]].contains(&on_disk(&image, 1, page));
        assert!((0..8).all(is_whole), "{steps} steps: a page is old or new");
        if !has_died {
            assert!(steps > 10, "it had {steps} steps");
            return;
        }
    }
}

#[test]
fn a_table_of_nonsense_does_no_harm() {
    let mut dice = Dice::new(9);
    for _ in 0..200 {
        let (image, requests) = disk();
        let survivor = Survivor::new(32);
        let mut files = Files::default().with(1, 8).with_hole(2, 3);
        let table = survivor.table.map_writable().expect("a mapping");
        for word in 0..64 {
            let value = [dice.below(16), dice.below(u64::MAX), u64::MAX, dice.below(4)][dice.below(4) as usize];
            table.copy_in(word * 8, &value.to_le_bytes());
        }
        drop(requests);
        let mut cache = survivor.recovered(&again(&image), &mut files);
        let pages: BTreeMap<u64, u64> = [(1, 8), (2, 3)].into();
        let is_there = |(file, run): &(u64, std::ops::Range<u64>)| pages.get(file).is_some_and(|all| run.end <= *all);
        assert!(cache.dirty_runs().iter().all(is_there), "{:?}", cache.dirty_runs());
        for file in [1, 2] {
            assert_eq!(cache.write_back_all(&mut files, file), Ok(()));
        }
        assert_eq!(cache.load().0, 0);
    }
}

// ---- age and limits ----------------------------------------------------------------------------------------------

thread_local! {
    static NOW: Cell<u64> = const { Cell::new(100) };
}

/// [`Files`] as a volume, whose metadata never changes.
struct World {
    files: Files,
    overlay: Overlay,
    kept: Kept,
}

impl Backing for World {
    fn block_bytes(&self) -> u64 {
        self.files.block_bytes()
    }

    fn written(&mut self, file: u64, end: u64) {
        self.files.written(file, end);
    }

    fn size(&mut self, file: u64) -> Result<u64, DataError> {
        self.files.size(file)
    }

    fn map(&mut self, file: u64, offset: u64, bytes: u64, runs: &mut Vec<Run>) -> Result<(), DataError> {
        self.files.map(file, offset, bytes, runs)
    }

    fn reserve(&mut self, file: u64, offset: u64, bytes: u64) -> Result<(), DataError> {
        self.files.reserve(file, offset, bytes)
    }

    fn allocate(&mut self, file: u64, offset: u64, bytes: u64) -> Result<(), DataError> {
        self.files.allocate(file, offset, bytes)
    }

    fn extend(&mut self, file: u64, end: u64) -> Result<(), DataError> {
        self.files.extend(file, end)
    }
}

impl Housekeeping for World {
    fn with_overlay<T>(&mut self, operation: impl FnOnce(&mut Overlay) -> T) -> T {
        operation(&mut self.overlay)
    }

    fn kept(&mut self) -> &mut Kept {
        &mut self.kept
    }

    fn files(&self) -> Vec<u64> {
        self.files.0.borrow().keys().copied().collect()
    }

    fn settle_time(&mut self, _: u64) -> Result<(), FileError> {
        Ok(())
    }

    fn come_home(&mut self) -> Result<(), FileError> {
        Ok(())
    }

    fn restore_size(&mut self, _: u64, _: u64) -> bool {
        false
    }

    fn restore_data(&mut self, _: u64) -> Option<u64> {
        None
    }

    fn promise_again(&mut self, _: u64, _: u64, _: u64) -> Result<(), FileError> {
        Ok(())
    }
}

fn world(files: Files, pages: u64) -> (SharedImage, World, WriteBack) {
    let (image, requests) = disk();
    let options = Options {
        read_only: false,
        overlay_bytes: 256 << 10,
        cache_bytes: pages * PAGE,
        chunk_bytes: CHUNK,
        seconds: || NOW.get(),
    };
    let mut kept = Kept::nothing();
    let overlay = options.create_overlay(env::account(), &requests, 1024, &mut kept).expect("an overlay");
    let write_back = WriteBack::new(cache(&requests, pages), requests, options, false);
    (image, World { files, overlay, kept }, write_back)
}

#[test]
fn what_has_been_dirty_for_five_seconds_is_written() {
    let (image, mut world, mut write_back) = world(Files::default().with(1, 8), 64);
    write_back.set_time();
    write_page(&mut write_back.cache, &mut world.files, 1, 0).expect("room");
    for _ in 0..5 {
        for _ in 0..50 {
            write_back.tick(&mut world).expect("a disk that works");
        }
        assert_eq!(counts(&image).1, 0, "{} s", NOW.get());
        NOW.set(NOW.get() + 1);
    }
    for _ in 0..50 {
        write_back.tick(&mut world).expect("a disk that works");
    }
    assert_eq!((on_disk(&image, 1, 0), counts(&image).1), (new(0), 1));
}

#[test]
fn a_sync_writes_a_file_and_flushes() {
    let (image, mut world, mut write_back) = world(Files::default().with(1, 8).with(2, 8), 64);
    for file in [1, 2] {
        write_page(&mut write_back.cache, &mut world.files, file, 3).expect("room");
    }
    write_back.sync(&mut world, 1, true).expect("a disk that works");
    assert_eq!((on_disk(&image, 1, 3), image.borrow().counts[2]), (new(3), 1));
    assert!(write_back.cache.is_dirty(2, 3) && on_disk(&image, 2, 3) != new(3));
    write_back.sync_all(&mut world).expect("a disk that works");
    assert_eq!(on_disk(&image, 2, 3), new(3));
}

#[test]
fn who_makes_an_eighth_dirty_has_it_written() {
    let (image, mut world, mut write_back) = world(Files::default().with_hole(1, 0), 64);
    for page in 0..8 {
        write_page(&mut write_back.cache, &mut world.files, 1, page).expect("room");
        write_back.throttle(&mut world).expect("a disk that works");
        assert_eq!(write_back.cache.load().0 as u64, page + 1, "not yet");
    }
    write_page(&mut write_back.cache, &mut world.files, 1, 8).expect("room");
    write_back.throttle(&mut world).expect("a disk that works");
    assert!(write_back.cache.load().0 <= 4, "down to a sixteenth");
    for _ in 0..100 {
        write_back.cache.advance();
    }
    assert!(counts(&image).1 > 0 && on_disk(&image, 1, 0) == new(0));
}
