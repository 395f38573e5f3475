//! The names of all parameters, once. Must never hold a value.

/// Every parameter that some operation knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Field {
    CallId,
    Account,
    Direction,
    From,
    To,
    AgentId,
    RequestedS,
    LeaseS,
    Source,
    Token,
    Outcome,
    BillableS,
    Costs,
    Live,
    Complete,
    Op,
    State,
    Cursor,
    Limit,
    Status,
    Provider,
}

impl Field {
    pub const COUNT: usize = 21;

    pub const ALL: [Self; Self::COUNT] = [
        Self::CallId,
        Self::Account,
        Self::Direction,
        Self::From,
        Self::To,
        Self::AgentId,
        Self::RequestedS,
        Self::LeaseS,
        Self::Source,
        Self::Token,
        Self::Outcome,
        Self::BillableS,
        Self::Costs,
        Self::Live,
        Self::Complete,
        Self::Op,
        Self::State,
        Self::Cursor,
        Self::Limit,
        Self::Status,
        Self::Provider,
    ];

    pub const fn label(self) -> &'static str {
        match self {
            Self::CallId => "call_id",
            Self::Account => "account",
            Self::Direction => "direction",
            Self::From => "from",
            Self::To => "to",
            Self::AgentId => "agent_id",
            Self::RequestedS => "requested_s",
            Self::LeaseS => "lease_s",
            Self::Source => "source",
            Self::Token => "token",
            Self::Outcome => "outcome",
            Self::BillableS => "billable_s",
            Self::Costs => "costs",
            Self::Live => "live",
            Self::Complete => "complete",
            Self::Op => "op",
            Self::State => "state",
            Self::Cursor => "cursor",
            Self::Limit => "limit",
            Self::Status => "status",
            Self::Provider => "provider",
        }
    }

    /// Not a search of `ALL`: this stands on the path of every request.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "call_id" => Self::CallId,
            "account" => Self::Account,
            "direction" => Self::Direction,
            "from" => Self::From,
            "to" => Self::To,
            "agent_id" => Self::AgentId,
            "requested_s" => Self::RequestedS,
            "lease_s" => Self::LeaseS,
            "source" => Self::Source,
            "token" => Self::Token,
            "outcome" => Self::Outcome,
            "billable_s" => Self::BillableS,
            "costs" => Self::Costs,
            "live" => Self::Live,
            "complete" => Self::Complete,
            "op" => Self::Op,
            "state" => Self::State,
            "cursor" => Self::Cursor,
            "limit" => Self::Limit,
            "status" => Self::Status,
            "provider" => Self::Provider,
            _ => return None,
        })
    }

    /// Whether the value may be repeated in an error.
    pub const fn is_secret(self) -> bool {
        matches!(self, Self::Token)
    }
}

/// A set of fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FieldSet(u32);

const _: () = assert!(Field::COUNT <= u32::BITS as usize);

impl FieldSet {
    pub const EMPTY: Self = Self(0);

    pub const fn of(fields: &[Field]) -> Self {
        let mut bits = 0;
        let mut rest = fields;
        while let [first, tail @ ..] = rest {
            bits |= 1 << *first as u32;
            rest = tail;
        }
        Self(bits)
    }

    pub const fn has(self, field: Field) -> bool {
        self.0 & (1 << field as u32) != 0
    }

    #[must_use]
    pub const fn with(self, field: Field) -> Self {
        Self(self.0 | (1 << field as u32))
    }

    #[must_use]
    pub const fn without(self, others: Self) -> Self {
        Self(self.0 & !others.0)
    }

    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The fields in the order of [`Field::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Field> {
        let mut bits = self.0;
        std::iter::from_fn(move || {
            let index = bits.trailing_zeros() as usize;
            bits &= bits.wrapping_sub(1);
            Field::ALL.get(index).copied()
        })
    }

    /// `call_id, account, …`
    pub fn names(self) -> String {
        let labels: Vec<_> = self.iter().map(Field::label).collect();
        labels.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_found_by_its_own_name_and_place() {
        for (index, field) in Field::ALL.into_iter().enumerate() {
            assert_eq!(Field::named(field.label()), Some(field));
            assert_eq!(field as usize, index);
        }
        assert_eq!(Field::named("Call_id"), None);
    }

    #[test]
    fn a_set_lists_what_it_holds() {
        let set = FieldSet::of(&[Field::Status, Field::CallId]);
        assert_eq!(set.names(), "call_id, status");
        assert!(set.has(Field::Status) && !set.has(Field::Account));
        assert!(set.without(set).is_empty());
    }
}
