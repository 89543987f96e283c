//! When to log in, renew, read again and give up: `step(state, event, now)`.
