//! What logins do to the state: the token in use, its predecessor, and what hangs on them.

use super::{Machine, Out, retry_after};
use crate::base::time::Mono;
use crate::domain::schedule::token::{Generation, Grant, OldToken, Token};
use crate::domain::schedule::{Action, Ending, Setback, Tried};

impl Machine {
    pub(super) fn logged_in(
        &mut self,
        grant: Grant,
        is_same: bool,
        is_no_stronger: bool,
        now: Mono,
        out: &mut Out,
    ) {
        self.login.succeeded(now);
        if let Some(token) = &mut self.token
            && !is_same
            && is_no_stronger
            && token.is_suspected_but_good()
        {
            // A new one may do no more, and with this one live the leases that were had with it.
            token.cleared(now);
            self.login.proven();
            let spare = token.generation.wrapping_add(1);
            return out.push(self.let_go_of(spare));
        }
        let generation = match &self.token {
            Some(token) if is_same => token.generation,
            Some(token) => token.generation.wrapping_add(1),
            None => 1,
        };
        let fresh = Token::new(generation, grant, now, &mut self.dice);
        self.unchecked = None;
        let before = self.token.replace(fresh).filter(|_| !is_same);
        if let Some(before) = before {
            if let Some(older) = self.old.take() {
                out.push(self.let_go(&older, now));
            }
            if before.is_alive() {
                self.old = Some(before.retire());
            } else {
                out.push(Action::ForgetToken(before.generation));
            }
        }
        if !is_same {
            self.files.sinks_done = false;
            out.push(Action::WriteSinks);
            for entry in self.wants.values_mut().filter(|entry| entry.is_leased) {
                entry.replace();
            }
        }
        if !self.files.is_complete {
            self.files.is_stale = true;
            out.push(Action::Render);
        }
    }

    pub(super) fn login_failed(&mut self, setback: Setback, now: Mono, out: &mut Out) {
        // It told nothing about the token that there is.
        if let Some(token) = &mut self.token {
            token.cleared(now);
        }
        let has_token = self.has_token();
        if self.plan.exits_on_failed_login && !has_token {
            return self.end(Ending::Failed, out);
        }
        let after = retry_after(setback.verdict);
        let (attempt, wait) = self.login.failed(after, now, &mut self.dice);
        out.push(Action::Retry(Tried::Login, attempt, wait, setback.reason));
        if self.token.as_ref().is_some_and(|token| !token.wants_successor(now)) {
            self.login.rest();
        }
    }

    pub(super) fn token_checked(&mut self, generation: Generation, is_dead: bool) {
        if self.unchecked == Some(generation) {
            self.unchecked = None;
        }
        if is_dead && generation == self.generation() {
            self.token.iter_mut().for_each(Token::bury);
        }
    }

    /// The old token goes once no file names a lease of it.
    pub(super) fn advance_old_token(&mut self, now: Mono, out: &mut Out) {
        let Some(old) = &mut self.old else { return };
        let current = self.token.as_ref().map(|token| token.generation);
        let is_named =
            self.wants.values().any(|entry| entry.is_leased && entry.had_with != current);
        let files_are_new = self.files.is_complete && !self.files.is_stale;
        if !is_named && files_are_new && self.files.sinks_done && self.files.commands == 0 {
            old.release(now);
        }
        if old.is_over(now) {
            let old = old.clone();
            out.push(self.let_go(&old, now));
            self.old = None;
        }
    }

    fn let_go(&self, old: &OldToken, now: Mono) -> Action {
        if old.is_expired(now) {
            Action::ForgetToken(old.generation)
        } else {
            self.let_go_of(old.generation)
        }
    }

    const fn let_go_of(&self, generation: Generation) -> Action {
        if self.plan.owns_tokens {
            Action::EndToken(generation)
        } else {
            Action::ForgetToken(generation)
        }
    }
}
