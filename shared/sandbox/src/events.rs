//! The deliveries of the demo: what the four sources send about the seeded estate, in their own formats.

/// One delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DemoEvent {
    /// The function folder that takes it: `securityhub-finding`, `defender-recommendation`, `scc-finding`.
    pub function: &'static str,
    /// What it reports, one line.
    pub title: &'static str,
    /// The payload as it arrives.
    pub json: &'static str,
}

/// The deliveries, in the order the demo sends them.
pub fn demo_events() -> &'static [DemoEvent] {
    &[
        DemoEvent {
            function: "securityhub-finding",
            title: "S3.8: bucket shop-invoices-archive does not block public access",
            json: include_str!("../events/securityhub-s3-8.json"),
        },
        DemoEvent {
            function: "securityhub-finding",
            title: "EC2.13: security group sg-0a1b2c3d4e5f60001 opens SSH to the world",
            json: include_str!("../events/securityhub-ec2-13.json"),
        },
        DemoEvent {
            function: "defender-recommendation",
            title: "storage account shopinvoices0001 allows anonymous access to blobs",
            json: include_str!("../events/defender-storage-public-blob.json"),
        },
        DemoEvent {
            function: "defender-recommendation",
            title: "key vault shop-kv has no purge protection",
            json: include_str!("../events/defender-keyvault-purge-protection.json"),
        },
        DemoEvent {
            function: "scc-finding",
            title: "PUBLIC_BUCKET_ACL: everybody can read bucket shop-exports",
            json: include_str!("../events/scc-public-bucket-acl.json"),
        },
        DemoEvent {
            function: "scc-finding",
            title: "OPEN_SSH_PORT: firewall rule allow-ssh-all opens SSH to the world",
            json: include_str!("../events/scc-open-ssh-port-push.json"),
        },
    ]
}
