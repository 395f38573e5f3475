//! What a process is: a whole installation, or one half of an installation whose gateways share a
//! hub.

/// What was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Both halves over an embedded hub.
    Serve,
    /// One of the gateways of a shared hub.
    Gateway,
    /// A control plane before a shared hub.
    ControlPlane,
}

impl Role {
    pub const ALL: [Self; 3] = [Self::Serve, Self::Gateway, Self::ControlPlane];

    /// The subcommand.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Serve => "serve",
            Self::Gateway => "gateway",
            Self::ControlPlane => "control-plane",
        }
    }

    pub const fn about(self) -> &'static str {
        match self {
            Self::Serve => {
                "Run gateway, control plane and an embedded hub in this process [default]"
            }
            Self::Gateway => "Run one of several gateways, which share the hub that hub_url names",
            Self::ControlPlane => {
                "Run a control plane for the gateways that share the hub that hub_url names"
            }
        }
    }

    pub const fn shares_hub(self) -> bool {
        !matches!(self, Self::Serve)
    }

    pub const fn has_gateway(self) -> bool {
        !matches!(self, Self::ControlPlane)
    }

    pub const fn has_control_plane(self) -> bool {
        !matches!(self, Self::Gateway)
    }
}
