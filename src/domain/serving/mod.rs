//! How the webhook comes to a certificate that API servers believe: the objects of Kubernetes that it needs.

pub mod objects;
