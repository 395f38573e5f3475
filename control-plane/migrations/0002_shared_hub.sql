-- What a hub that several gateways share relies on.
INSERT INTO counters (name, value) VALUES ('publication', 0), ('incarnation', 0);

-- Holders that may have something of a shard of the hub, by their ids in hexadecimal.
CREATE TABLE holders (
    shard    BIGINT NOT NULL,
    id       TEXT NOT NULL,
    since_us BIGINT NOT NULL,
    PRIMARY KEY (shard, id)
);

-- When a holder of the shard was struck out last: its calls may outlive it.
CREATE TABLE struck_out (
    shard   BIGINT PRIMARY KEY,
    last_us BIGINT NOT NULL
);
