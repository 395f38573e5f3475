//! A script as it is called: its text, its hash, and the keys it is given. Knows nothing of what it does.

use redis::Cmd;

/// A Lua script of one shard. It gets the key `{rf:k}:shard` first and finds its other keys by it.
#[derive(Debug)]
pub struct Script {
    /// For logs and metrics.
    pub name: &'static str,
    text: &'static str,
    hashed: redis::Script,
}

impl Script {
    pub fn new(name: &'static str, text: &'static str) -> Self {
        Self { name, text, hashed: redis::Script::new(text) }
    }

    /// `SCRIPT LOAD` of this script.
    pub(in crate::redis) fn load(&self) -> Cmd {
        let mut command = redis::cmd("SCRIPT");
        command.arg("LOAD").arg(self.text);
        command
    }

    /// `EVALSHA` of this script on a shard.
    ///
    /// The second key never exists. By it a cluster runs no script on a slot that is being migrated:
    /// neither server has all its keys, so the call is answered TRYAGAIN, by one server or the other.
    /// Without it a script would run where a part of its shard is missing.
    pub(in crate::redis) fn call(&self, shard: u8, arguments: &[impl AsRef<[u8]>]) -> Cmd {
        let mut command = redis::cmd("EVALSHA");
        let tag = tag(shard);
        command.arg(self.hashed.get_hash()).arg(2);
        command.arg([&tag, ":shard"].concat()).arg([&tag, ":never"].concat());
        for argument in arguments {
            command.arg(argument.as_ref());
        }
        command
    }

    /// `EVALSHA` on no shard, at whatever server is asked.
    pub(super) fn call_without_keys(&self, arguments: &[impl AsRef<[u8]>]) -> Cmd {
        let mut command = redis::cmd("EVALSHA");
        command.arg(self.hashed.get_hash()).arg(0);
        for argument in arguments {
            command.arg(argument.as_ref());
        }
        command
    }
}

/// The hash tag of a shard: all its keys begin with it.
pub(super) fn tag(shard: u8) -> String {
    format!("{{rf:{shard}}}")
}

/// The slot of a cluster in which a shard lies: CRC16 (XMODEM) of what stands between the braces.
pub fn slot(shard: u8) -> u16 {
    let crc = format!("rf:{shard}").bytes().fold(0_u16, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(byte) << 8), |crc, _| {
            if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 }
        })
    });
    crc % SLOTS
}

/// Slots of a cluster.
pub(super) const SLOTS: u16 = 16_384;
