pub const TESTS: &[guest::test::Test] = &[];
