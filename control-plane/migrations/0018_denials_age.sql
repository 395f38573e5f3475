-- Refused admits are kept for some time, not for ever.
CREATE INDEX denials_by_age ON denials (minute_us);
