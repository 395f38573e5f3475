-- What gateways do with an account's calls while the hub that they share is lost: 'closed' or 'open'.
ALTER TABLE accounts ADD COLUMN on_hub_loss TEXT NOT NULL DEFAULT 'closed';
