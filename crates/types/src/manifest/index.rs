//! A hash table over paths that is read where it lies, so that a look-up costs the same among ten files and among
//! 100,000.
//!
//! Open addressing with linear probing: a slot holds a record's number plus one, or zero. The hash is CRC-32, which is
//! here already; whoever makes paths collide slows down their own site only.

const SLOT_LEN: usize = 4;

/// At most half full, so that a probe ends soon. No slots for no records.
fn slots_for(records: usize) -> usize {
    if records == 0 { 0 } else { (records * 2).next_power_of_two() }
}

pub(super) fn len_bytes(records: usize) -> usize {
    slots_for(records) * SLOT_LEN
}

pub(super) fn build<'a>(paths: impl ExactSizeIterator<Item = &'a str>) -> Vec<u8> {
    let slots = slots_for(paths.len());
    let mut table = vec![0; slots * SLOT_LEN];
    for (number, path) in (1u32..).zip(paths) {
        let mut slot = first_slot(path.as_bytes(), slots);
        while slot_at(&table, slot) != 0 {
            slot = (slot + 1) & (slots - 1);
        }
        table[slot * SLOT_LEN..][..SLOT_LEN].copy_from_slice(&number.to_le_bytes());
    }
    table
}

/// Every record stands in one slot, with no empty one between its first slot and that, and some slot is empty: so
/// every probe ends, and finds what there is.
///
/// In one pass, whatever the table holds: to look each record up could take a square of their number.
pub(super) fn is_sound<'a>(table: &[u8], paths: impl ExactSizeIterator<Item = &'a [u8]>) -> bool {
    let slots = table.len() / SLOT_LEN;
    let first_slots: Vec<usize> = paths.map(|path| first_slot(path, slots)).collect();
    if first_slots.is_empty() {
        return true;
    }
    let Some(empty) = (0..slots).find(|slot| slot_at(table, *slot) == 0) else { return false };
    let mut is_placed = vec![false; first_slots.len()];
    let mut taken_before = 0;
    for slot in (empty..slots).chain(0..empty) {
        let Some(record) = (slot_at(table, slot) as usize).checked_sub(1) else {
            taken_before = 0;
            continue;
        };
        let Some(first) = first_slots.get(record) else { return false };
        let distance = slot.wrapping_sub(*first) & (slots - 1);
        if distance > taken_before || std::mem::replace(&mut is_placed[record], true) {
            return false;
        }
        taken_before += 1;
    }
    is_placed.into_iter().all(|is_placed| is_placed)
}

/// The record for which `is_wanted` says yes, among those whose hash leads to the same place.
pub(super) fn find(table: &[u8], path: &str, is_wanted: impl Fn(usize) -> bool) -> Option<usize> {
    let slots = table.len() / SLOT_LEN;
    if slots == 0 {
        return None;
    }
    let mut slot = first_slot(path.as_bytes(), slots);
    loop {
        let record = (slot_at(table, slot) as usize).checked_sub(1)?;
        if is_wanted(record) {
            return Some(record);
        }
        slot = (slot + 1) & (slots - 1);
    }
}

/// `slots` is a power of two.
fn first_slot(path: &[u8], slots: usize) -> usize {
    crc32fast::hash(path) as usize & (slots - 1)
}

fn slot_at(table: &[u8], slot: usize) -> u32 {
    let bytes = &table[slot * SLOT_LEN..][..SLOT_LEN];
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}
