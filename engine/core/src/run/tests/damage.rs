//! Ledgers whose file is cut, has a byte that flipped, or comes from an older copy (rules 7 and 8): the run stops with
//! the choices, or does exactly what it would have done; it never takes records for missing.

use super::*;

/// Two thousand rows that the destination has, and one that changed since.
async fn world() -> World {
    let mut world = World::new(MIRROR);
    let rows = |first: &str| {
        let rest: String = (1..2_000)
            .map(|id| format!("{id},name {}\n", id * 7_919 % 1_000_003))
            .collect();
        format!("0,{first}\n{rest}")
    };
    world.rows(&rows("Ann"));
    assert_eq!(world.run().await.report.status, Status::Success);
    world.rows(&rows("Anna"));
    world.crm.take_sent();
    world
}

/// A run of a ledger that was harmed: either nothing is noticed, because nothing was in that place, or it stops, and
/// `rebaseline` mends it. Gives whether it stopped.
async fn judge(world: &mut World, harm: &str) -> bool {
    let run = world.run().await.report;
    let sent = world.crm.take_sent();
    if run.status == Status::Success {
        assert_eq!(sent, ["upsert 0"], "{harm}");
        assert_eq!(world.run().await.report.counts.changes.total(), 0, "{harm}");
        return false;
    }
    let message = run.message.unwrap();
    assert_eq!((run.status, sent.len()), (Status::Failed, 0), "{harm}: {message}");
    assert!(
        message.contains("rebaseline"),
        "{harm}: no choice is offered: {message}"
    );
    let declared = world.rebaseline().await.report;
    assert_eq!(declared.status, Status::Success, "{harm}: {declared:?}");
    let run = world.run().await.report;
    assert_eq!((run.status, run.counts.changes.total()), (Status::Success, 0), "{harm}");
    true
}

#[tokio::test]
async fn rule_07_a_byte_that_flipped_anywhere_in_a_ledger_is_noticed_or_means_nothing() {
    let mut world = world().await;
    let (sound, note) = (std::fs::read(world.ledger()).unwrap(), world.note().unwrap());
    let mut stopped = 0;
    for part in 0..12 {
        let mut bytes = sound.clone();
        let at = (sound.len() - 1) * part / 12 + 13;
        bytes[at] ^= 0x10;
        std::fs::write(world.ledger(), bytes).unwrap();
        stopped += u32::from(judge(&mut world, &format!("byte {at} of {}", sound.len())).await);
        world.restore((&sound, &note));
    }
    assert!(stopped > 2, "hardly anything was hit: {stopped}");
}

#[tokio::test]
async fn rule_07_a_ledger_that_was_cut_anywhere_is_noticed() {
    let mut world = world().await;
    let (sound, note) = (std::fs::read(world.ledger()).unwrap(), world.note().unwrap());
    for part in 0..10 {
        let length = sound.len() * part / 10;
        std::fs::write(world.ledger(), &sound[..length]).unwrap();
        let harm = format!("cut to {length} of {}", sound.len());
        assert!(judge(&mut world, &harm).await, "{harm}");
        world.restore((&sound, &note));
    }
}

#[tokio::test]
async fn rule_07_a_ledger_of_an_older_copy_is_noticed() {
    let mut world = world().await;
    let older = std::fs::read(world.ledger()).unwrap();
    world.run().await;
    assert_eq!(world.crm.take_sent(), ["upsert 0"]);
    std::fs::write(world.ledger(), older).unwrap();
    assert!(judge(&mut world, "an older copy").await);
}
