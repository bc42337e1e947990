//! `bench recovery` measures: figures come out of each machine that it boots, and those of a few deaths are within their bars.

use std::time::Duration;

use anyhow::{Result, ensure};
use images::bench::recovery::report::Figure;
use images::bench::recovery::{Part, Plan, measure};
use images::progress::Progress;
use tests::image;

fn figures(part: Part, victim: &str, kills: u32) -> Result<Vec<Figure>> {
    let plan = Plan {
        parts: vec![part],
        victims: vec![victim.to_string()],
        kills: Some(kills),
        timeout: Duration::from_secs(240),
    };
    let mut figures = Vec::new();
    measure(image(), &plan, &Progress::Silent, |figure| figures.push(figure))?;
    Ok(figures)
}

#[test]
fn recovery_of_a_disk_and_its_file_system_is_counted() -> Result<()> {
    for victim in ["virtio-blk", "ext4"] {
        let figures = figures(Part::Restart, victim, 20)?;
        let names: Vec<&str> = figures.iter().map(|figure| figure.name.as_str()).collect();
        ensure!(names == ["median", "p99", "max"].map(|what| format!("recovery_{victim}_{what}")), "{names:?}");
        ensure!(figures.iter().all(|figure| figure.is_within() && figure.value > 10_000), "{figures:#?}");
        ensure!(figures.is_sorted_by_key(|figure| figure.value), "{figures:#?}");
    }
    Ok(())
}

#[test]
fn deaths_of_a_driver_leave_nothing_behind() -> Result<()> {
    let figures = figures(Part::Residue, "virtio-blk", 200)?;
    ensure!(figures.len() == 1 && figures[0].is_within(), "{figures:#?}");
    Ok(())
}
