//! What came over a serial line, as text, bounded.

/// Bytes that are kept. More is not useful to anybody, and a guest may print for hours.
const LIMIT: usize = 8 * 1024 * 1024;

/// The last bytes of a serial line.
#[derive(Debug, Clone, Default)]
pub struct SerialLog {
    bytes: Vec<u8>,
}

impl SerialLog {
    /// Adds `bytes`; the older half goes when there are too many.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        if self.bytes.len() > LIMIT {
            self.bytes.drain(..self.bytes.len() - LIMIT / 2);
        }
    }

    /// The text, with line ends as on the host.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).replace("\r\n", "\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_end() {
        let mut log = SerialLog::default();
        for _ in 0..3 {
            log.push(&vec![b'.'; LIMIT / 2]);
        }
        log.push(b"last\r\n");
        assert!(log.text().ends_with(".last\n"));
        assert!(log.text().len() <= LIMIT);
    }
}
