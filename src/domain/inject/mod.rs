//! The webhook's decision: an AdmissionReview and the configuration in, an answer out.
