//! Threads that ask Vault: started when there is work, gone a second after it.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use super::Message;
use super::asking::{Answer, Context, Question};
use crate::base::reason::Reason;
use crate::domain::vault::Verdict;
use crate::run::fetching::Failure;

/// Started at once: a further connection takes as long to set up as it takes to read three secrets, so
/// more of them would only burden Vault.
const WORKERS_AT_ONCE: usize = 2;

/// Started when questions wait behind slow ones: a database that hangs shall not hold up other secrets.
const WORKERS_MAX: usize = 8;

/// How long a worker waits for more work.
const IDLE_MAX: Duration = Duration::from_secs(1);

/// TLS and JSON need some; the default of 2 MiB is for recursion that does not happen here.
const STACK_BYTES: usize = 512 * 1024;

/// The workers.
pub(super) struct Workers {
    shared: Arc<Shared>,
}

struct Shared {
    context: Arc<Context>,
    answers: Sender<Message>,
    work: Mutex<Work>,
    added: Condvar,
    /// `max_connections_per_host`, where it is less than [`WORKERS_MAX`].
    workers_max: usize,
}

#[derive(Default)]
struct Work {
    questions: VecDeque<Question>,
    workers: usize,
    idle: usize,
}

impl Workers {
    pub(super) fn new(
        context: Arc<Context>,
        answers: Sender<Message>,
        connections_max: usize,
    ) -> Self {
        let work = Mutex::new(Work::default());
        let workers_max = connections_max.min(WORKERS_MAX);
        let added = Condvar::new();
        Self { shared: Arc::new(Shared { context, answers, work, added, workers_max }) }
    }

    /// Has a question answered by some thread; the answer comes as a [`Message`].
    pub(super) fn ask(&self, question: Question) {
        let mut work = self.shared.work();
        work.questions.push_back(question);
        if work.idle >= work.questions.len() {
            self.shared.added.notify_one();
        } else if work.workers < WORKERS_AT_ONCE.min(self.shared.workers_max) {
            self.start(&mut work);
        }
    }

    /// Whether questions wait for a worker that could still be started.
    pub(super) fn has_backlog(&self) -> bool {
        let work = self.shared.work();
        !work.questions.is_empty() && work.workers < self.shared.workers_max
    }

    /// Starts one more worker for questions that waited too long.
    pub(super) fn reinforce(&self) {
        let mut work = self.shared.work();
        if !work.questions.is_empty() && work.workers < self.shared.workers_max {
            self.start(&mut work);
        }
    }

    fn start(&self, work: &mut Work) {
        let shared = Arc::clone(&self.shared);
        let started = thread::Builder::new()
            .name("vault".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || shared.work_off());
        match started {
            Ok(_detached) => work.workers += 1,
            Err(error) if work.workers == 0 => {
                let reason = format!("no thread to ask Vault with: {error}");
                while let Some(question) = work.questions.pop_front() {
                    self.shared.report(question, &reason);
                }
            }
            Err(_the_others_will_do_it) => {}
        }
    }

    /// Has a question answered by a thread of its own, however busy the others are.
    pub(super) fn ask_at_once(&self, question: Question) {
        let shared = Arc::clone(&self.shared);
        let started = thread::Builder::new()
            .name("vault".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || shared.answer(question));
        // Without a thread there is no answer, and whoever asked stops waiting for it.
        drop(started);
    }
}

impl Shared {
    fn work(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work_off(&self) {
        let mut work = self.work();
        loop {
            if let Some(question) = work.questions.pop_front() {
                drop(work);
                self.answer(question);
                work = self.work();
                continue;
            }
            work.idle += 1;
            let waited = self.added.wait_timeout(work, IDLE_MAX);
            let (back, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            work = back;
            work.idle -= 1;
            if timeout.timed_out() && work.questions.is_empty() {
                work.workers -= 1;
                return;
            }
        }
    }

    fn answer(&self, question: Question) {
        match catch_unwind(AssertUnwindSafe(|| self.context.answer(&question))) {
            Ok(outcome) => {
                let Question { ask, generation, token: _ } = question;
                // A receiver that is gone has ended the process.
                drop(self.answers.send(Message::Answer(Box::new(Answer {
                    ask,
                    generation,
                    outcome,
                }))));
            }
            Err(_printed_by_the_hook) => self.report(question, "internal error"),
        }
    }

    fn report(&self, question: Question, reason: &str) {
        let failure = Failure {
            reason: Reason::new(reason),
            verdict: Verdict::TryLater(None),
            is_explained: false,
        };
        let Question { ask, generation, token: _ } = question;
        drop(self.answers.send(Message::Answer(Box::new(Answer {
            ask,
            generation,
            outcome: Err(failure),
        }))));
    }
}
