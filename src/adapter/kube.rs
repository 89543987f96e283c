//! The API server of Kubernetes: one object at a time read, created, replaced, patched, watched.
