-- The name of an account as searches compare it: folded by the program, so alike in every database.
-- NULL: an earlier version made it; the next start fills it in.
ALTER TABLE accounts ADD COLUMN name_folded TEXT;
