//! Editing of a line on a terminal: bytes become keys, keys change a line, and the changes are shown.
//!
//! | file | part |
//! |---|---|
//! | [`keys`] | from the terminal's bytes to keys |
//! | [`buffer`] | the text and the cursor in it |
//! | [`screen`] | how the terminal comes to show it |
//! | [`history`] | lines of before |
//! | [`completion`] | Tab |
//! | [`editor`] | what each key does |
//!
//! Nothing here knows where bytes come from or go to, so all of it is tested on the host.

pub mod buffer;
pub mod completion;
pub mod editor;
pub mod history;
pub mod keys;
pub mod screen;

pub use buffer::Buffer;
pub use completion::{Candidates, Completion};
pub use editor::{Editor, Outcome};
pub use history::{History, LINES};
pub use keys::{Decoder, Key};
