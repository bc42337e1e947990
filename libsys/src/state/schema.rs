//! Which form the records of a service have, and how they go to the next form and back: what an upgrade to another program needs.
//!
//! A program whose records have another form than those of the one before it says so with a [`Schema`]: one [`Migration`] for each form after the first.
//! [`Records::open_as`] brings what it finds up to its own form; each step is committed as a whole. When the new program does not hold, init starts it once more
//! with the parameter [`PARAMETER`], and it brings the records back to the form in which it found them: so the old program goes on with all that was answered.
//! Records of a newer form, which there is no way back from, are refused.

use super::records::{Full, RecordKey, Records};
use crate::service::StartError;
use crate::{Memory, env};
use serde::{Deserialize, Serialize};

/// Parameter of a program that init starts to bring its records back: it ends with status 0 when that is done.
pub const PARAMETER: &str = "state.back";

/// The kind of the record that says the form.
const FORM: RecordKey = RecordKey::new(u16::MAX - 1, 0);

/// A step from one form to the next, and back. Both stage changes only; when they cannot, nothing has changed.
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    /// From the form before.
    pub up: fn(&mut Records) -> Result<(), Full>,
    /// To the form before.
    pub down: fn(&mut Records) -> Result<(), Full>,
}

/// The form of a program's records: that of the program before, and these steps. Without any it is the first form, 0.
#[derive(Clone, Copy, Debug)]
pub struct Schema {
    /// In order; there is one more form than steps.
    pub steps: &'static [Migration],
}

/// What the record says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Form {
    now: u32,
    /// Where a way up that is not at its end, or was the last, began.
    before: u32,
    /// Where that way leads.
    goal: u32,
}

/// Why records cannot be brought to a form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchemaError {
    /// They have a form that the program does not know.
    Newer,
    /// There is no room for them.
    Full,
}

impl From<Full> for SchemaError {
    fn from(_: Full) -> SchemaError {
        SchemaError::Full
    }
}

impl From<SchemaError> for StartError {
    fn from(error: SchemaError) -> StartError {
        StartError::State(error)
    }
}

impl Schema {
    /// The form of the programs that never changed it.
    pub const FIRST: Schema = Schema { steps: &[] };

    /// Brings records up to this form.
    pub fn bring_up(&self, records: &mut Records) -> Result<(), SchemaError> {
        let own = self.steps.len() as u32;
        let mut form: Form = records.get(FORM).unwrap_or_default();
        if form.now > own {
            return Err(SchemaError::Newer);
        }
        if form.goal != own {
            form = Form { before: form.now, goal: own, ..form };
        }
        while form.now < own {
            let step = &self.steps[form.now as usize];
            form.now += 1;
            records.set_hint(form.now);
            stage(records, step.up, form)?;
        }
        Ok(())
    }

    /// Brings records back to where the last way up began.
    pub fn bring_back(&self, records: &mut Records) -> Result<(), SchemaError> {
        let mut form: Form = records.get(FORM).unwrap_or_default();
        if form.now as usize > self.steps.len() {
            return Err(SchemaError::Newer);
        }
        while form.now > form.before {
            form.now -= 1;
            // When this is true, the way up is over as well.
            form.goal = form.now;
            stage(records, self.steps[form.now as usize].down, form)?;
            records.set_hint(form.now);
        }
        Ok(())
    }
}

/// Makes a step true, with the form that it leads to.
fn stage(records: &mut Records, step: fn(&mut Records) -> Result<(), Full>, form: Form) -> Result<(), Full> {
    let staged = step(records).and_then(|()| records.put(FORM, &form));
    match staged {
        Ok(()) => records.commit(),
        Err(Full) => records.roll_back(),
    }
    staged
}

impl Records {
    /// The records that the incarnation before, or another program before, has left, in the form that is wanted.
    ///
    /// # Errors
    /// As [`Records::open`]; `State` (they cannot be brought to this form).
    pub fn open_as(environment: &env::Env, schema: &Schema) -> crate::service::Result<Records> {
        let mut records = Records::open_unchecked(environment)?;
        if environment.parameter(PARAMETER).is_some() {
            schema.bring_back(&mut records)?;
            crate::exit(crate::ExitStatus::SUCCESS);
        }
        schema.bring_up(&mut records)?;
        Ok(records)
    }
}

/// A number that changes whenever a program takes records to another form: init looks at it in a service's Memory. 0: there are no records.
pub fn form_of(memory: &Memory) -> u64 {
    memory.map().map_or(0, |mapping| super::records::hint(&mapping))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake;

    const OLD: RecordKey = RecordKey::new(1, 7);
    const NEW: RecordKey = RecordKey::new(2, 7);

    /// A number became two.
    const STEPS: [Migration; 2] = [
        Migration {
            up: |records| {
                let number: u64 = records.get(OLD).unwrap_or_default();
                records.remove(OLD);
                records.put(NEW, &(number, 0u64))
            },
            down: |records| {
                let (number, _): (u64, u64) = records.get(NEW).unwrap_or_default();
                records.remove(NEW);
                records.put(OLD, &number)
            },
        },
        Migration {
            up: |records| records.put(RecordKey::new(3, 0), &1u8),
            down: |records| {
                records.remove(RecordKey::new(3, 0));
                Ok(())
            },
        },
    ];

    const SECOND: Schema = Schema { steps: &[STEPS[0]] };
    const THIRD: Schema = Schema { steps: &STEPS };

    fn memory() -> Memory {
        Memory::create(&fake::account(), 64 << 10).expect("memory")
    }

    fn records() -> Records {
        let mut records = Records::of(memory().map_writable().expect("mapped")).expect("room");
        records.put(OLD, &40u64).expect("room");
        records.commit();
        records
    }

    #[test]
    fn records_go_up_and_back_with_what_happened_between() {
        for schema in [SECOND, THIRD] {
            let mut records = records();
            schema.bring_up(&mut records).expect("up");
            assert_eq!((records.get(OLD), records.get(NEW)), (None::<u64>, Some((40u64, 0u64))));
            records.put(NEW, &(41u64, 1u64)).expect("room");
            records.commit();
            // A restart changes nothing, nor where the way began.
            schema.bring_up(&mut records).expect("up");
            assert_eq!(Schema::FIRST.bring_up(&mut records), Err(SchemaError::Newer));
            schema.bring_back(&mut records).expect("back");
            schema.bring_back(&mut records).expect("back");
            Schema::FIRST.bring_up(&mut records).expect("the first form");
            assert_eq!((records.get(OLD), records.get(NEW)), (Some(41u64), None::<(u64, u64)>));
        }
    }

    #[test]
    fn the_way_back_ends_where_the_last_way_up_began() {
        let mut records = records();
        SECOND.bring_up(&mut records).expect("up");
        THIRD.bring_up(&mut records).expect("up");
        assert_eq!(SECOND.bring_back(&mut records), Err(SchemaError::Newer));
        THIRD.bring_back(&mut records).expect("back");
        SECOND.bring_up(&mut records).expect("the second form");
        assert_eq!(records.get(NEW), Some((40u64, 0u64)));
    }

    #[test]
    fn who_looks_from_outside_sees_that_the_form_has_changed() {
        let memory = memory();
        assert_eq!(form_of(&memory), 0);
        let mut records = Records::of(memory.map_writable().expect("mapped")).expect("room");
        let before = form_of(&memory);
        SECOND.bring_up(&mut records).expect("up");
        assert_ne!(form_of(&memory), before);
        SECOND.bring_back(&mut records).expect("back");
        assert_eq!(form_of(&memory), before);
    }

    #[test]
    fn a_step_that_cannot_be_leaves_what_was() {
        const NEVER: Schema = Schema {
            steps: &[Migration {
                up: |records| {
                    records.remove(OLD);
                    Err(Full)
                },
                down: |_| Ok(()),
            }],
        };
        let mut records = records();
        assert_eq!(NEVER.bring_up(&mut records), Err(SchemaError::Full));
        assert!(records.is_clean());
        Schema::FIRST.bring_up(&mut records).expect("the first form");
        assert_eq!(records.get(OLD), Some(40u64));
    }
}
