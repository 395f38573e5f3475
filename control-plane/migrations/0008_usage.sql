-- Calls of more than a day, few at any time: those that were live at an instant began within the day
-- before it, or are here.
CREATE INDEX calls_of_more_than_a_day ON calls (account_id, ended_us) WHERE ended_us - admitted_us > 86400000000;
