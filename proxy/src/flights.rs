//! Work that is done once for all who want its result at the same time.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};

/// A result that is on its way. Everybody who waits gets it.
pub(crate) type Flight<V> = Shared<BoxFuture<'static, V>>;

/// What is on its way. Cheap to clone.
#[derive(Debug)]
pub(crate) struct Flights<K, V: Clone>(Arc<Mutex<HashMap<K, Flight<V>>>>);

impl<K, V: Clone> Default for Flights<K, V> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K, V> Flights<K, V>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + Send + Sync + 'static,
{
    pub(crate) fn running(&self, key: &K) -> Option<Flight<V>> {
        self.lock().get(key).cloned()
    }

    /// Joins those who wait for `key`, or begins the work. Work that does not come to its end is `abandoned`.
    pub(crate) fn join(
        &self,
        key: &K,
        work: impl Future<Output = V> + Send + 'static,
        abandoned: V,
    ) -> Flight<V> {
        let mut flights = self.lock();
        if let Some(flight) = flights.get(key) {
            return flight.clone();
        }
        let landing = Landing { flights: Self(Arc::clone(&self.0)), key: key.clone() };
        // A task of its own: whoever started it may leave, others wait for the same result.
        let task = tokio::spawn(async move {
            let _landing = landing;
            work.await
        });
        let flight = task.map(|ended| ended.unwrap_or(abandoned)).boxed().shared();
        flights.insert(key.clone(), flight.clone());
        flight
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, Flight<V>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes room for the next one, also when the work ends half-way.
struct Landing<K, V>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + Send + Sync + 'static,
{
    flights: Flights<K, V>,
    key: K,
}

impl<K, V> Drop for Landing<K, V>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + Send + Sync + 'static,
{
    fn drop(&mut self) {
        self.flights.lock().remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[tokio::test]
    async fn work_is_done_once_for_all_who_wait_and_anew_for_the_next() {
        let (flights, done) = (Flights::<&str, usize>::default(), Arc::new(AtomicUsize::new(0)));
        let join = || {
            let done = Arc::clone(&done);
            let work = async move {
                tokio::task::yield_now().await;
                done.fetch_add(1, Ordering::Relaxed) + 1
            };
            flights.join(&"a", work, 0)
        };
        let (first, second) = (join(), join());
        assert_eq!((first.await, second.await), (1, 1));
        assert!(flights.running(&"a").is_none());
        assert_eq!(join().await, 2);
    }

    #[tokio::test]
    async fn work_that_breaks_off_is_told_and_does_not_stay() {
        let flights = Flights::<&str, usize>::default();
        let flight = flights.join(&"a", async { panic!("on purpose") }, 7);
        assert_eq!(flight.await, 7);
        assert!(flights.running(&"a").is_none());
    }
}
